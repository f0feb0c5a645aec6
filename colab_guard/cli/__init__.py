"""The terminal's words: `colab-guard run`, `status`, `stop`, `show`, `verify`, `export`, `doctor`.

What enters: arguments. What leaves: lines for people and an exit status: 0 done, 1 a cell failed or something is wrong,
2 bad arguments, 3 the kernel kept dying, 4 the notebook, its inputs or the device changed since the commit and a person
must decide, 130 interrupted.
"""

from __future__ import annotations

import argparse
import re
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from colab_guard import hosts, store
from colab_guard.cli import looking
from colab_guard.cli.runner import run_notebook
from colab_guard.errors import GuardError, UserMistake
from colab_guard.hosts import blackbox
from colab_guard.keepalive import report

DONE, FAILED, BAD_WORDS = 0, 1, 2
RUN_STATUS = (
    "Exit status: 0 done; 1 a cell failed; 2 bad arguments; 3 the kernel kept dying; 4 the cell, an input or the device is "
    "not the committed one, named on the last line: put --resume or --fresh on the %%checkpointed line; 130 interrupted."
).replace("%", "%%")


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry of the console script; the exit status."""
    options = parser().parse_args(arguments)
    try:
        status: int = options.act(options)
    except UserMistake as mistake:
        print(f"colab-guard: {mistake}", file=sys.stderr)
        return BAD_WORDS
    except GuardError as error:
        print(f"colab-guard: {error}", file=sys.stderr)
        return FAILED
    except OSError as error:
        print(f"colab-guard: {_of_the_disk(error)}", file=sys.stderr)
        return FAILED
    return status


def _of_the_disk(error: OSError) -> str:
    return f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}"


def parser() -> argparse.ArgumentParser:
    """The grammar of all words; documentation and tests read it too."""
    top = argparse.ArgumentParser("colab-guard", description="Run notebooks that survive, and look at what is saved.")
    words = top.add_subparsers(required=True, metavar="WORD")
    run = words.add_parser(
        "run",
        help="execute a notebook without a browser, again after each death of its kernel",
        description="Execute a notebook without a browser, again after each death of its kernel.",
        epilog=RUN_STATUS,
    )
    run.add_argument("notebook", type=Path)
    run.add_argument("--retries", type=_count, default=3, help="new kernels after a death (default: 3)")
    run.add_argument("--output", type=Path, help="where the executed notebook goes (default: NOTEBOOK itself)")
    run.add_argument("--timeout", type=float, default=0.0, help="seconds for one cell (default: no limit)")
    run.set_defaults(act=_run)
    for word, help_, act in (
        ("status", "what is saved, one line a name", _status),
        ("show", "the commits of one NAME (or store folder)", _show),
        ("verify", "read every byte of one NAME (or store folder)", _verify),
        ("stop", "ask the work NAME to save and stop", _stop),
        ("doctor", "what this host is, allows and has", _doctor),
        ("export", "write a store's contents in open formats: safetensors, JSON, files, adapters", _export),
    ):
        one = words.add_parser(word, help=help_)
        if word in ("show", "verify", "stop", "export"):
            one.add_argument("name", metavar="NAME")
        if word == "show":
            one.add_argument("--all", action="store_true", help=f"all commits, and not the newest {looking.ROWS} only")
            one.add_argument("--json", action="store_true", help="as JSON")
        if word in ("show", "export"):
            one.add_argument("--commit", metavar="ID", help="one commit, by its id or the beginning of it")
        if word == "export":
            one.add_argument("--to", metavar="DIR", type=Path, required=True, help="a folder that is new or empty")
            one.add_argument("--force", action="store_true", help="replace an earlier export")
        one.set_defaults(act=act)
    return top


def _run(options: argparse.Namespace) -> int:
    return run_notebook(
        options.notebook,
        output=options.output,
        retries=options.retries,
        cell_limit_s=options.timeout or None,
    )


def _place(name: str) -> Path:
    """The store that NAME means: a folder if there is one, else the local store of that name."""
    path = Path(name)
    if (path / "FORMAT").exists():
        return path
    return hosts.home() / _work_name(name)


def _work_name(name: str) -> str:
    """A NAME that leads nowhere but into the home folder."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name):
        raise UserMistake(f"{name!r} is no NAME of guarded work, and no folder of a store; colab-guard status lists what is here")
    return name


def _status(options: argparse.Namespace) -> int:
    home = hosts.home()
    found = sorted(path.parent for path in home.glob("*/FORMAT"))
    if not found:
        print(f"nothing is saved under {home}")
    for path in found:
        try:
            described = store.describe(path)
        except (GuardError, OSError) as error:
            told = _of_the_disk(error) if isinstance(error, OSError) else error
            print(looking.plain(f"{path.name}: cannot be read: {told}"))
            continue
        rows = described.rows
        newest = f"{looking.age(rows[0].created)} ago at {rows[0].position}" if rows else "no commit"
        print(looking.plain(f"{path.name}: {newest}; {sum(bool(row.unit) for row in rows)} units done"))
        if described.unreadable:
            print(f"    {looking.unreadable_words(path, described.unreadable)}")
    for line in blackbox.last_kernel(home).splitlines():
        print(looking.plain(line))
    return DONE


def _show(options: argparse.Namespace) -> int:
    path = _place(options.name)
    if options.json:
        print(looking.one_as_json(path, options.commit) if options.commit else looking.as_json(path, everything=options.all))
        return DONE
    for line in looking.one(path, options.commit) if options.commit else looking.rows(path, everything=options.all):
        print(line)
    return DONE


def _verify(options: argparse.Namespace) -> int:
    problems = store.verify(_place(options.name))
    print("\n".join(map(looking.plain, problems)) or "every byte is as it was written")
    return FAILED if problems else DONE


def _stop(options: argparse.Namespace) -> int:
    folder = hosts.home() / f"{_work_name(options.name)}.requests"
    if not (hosts.home() / options.name / "FORMAT").exists():
        raise UserMistake(f"there is no work called {options.name!r} under {hosts.home()}; colab-guard status lists what is")
    store.make_private_folder(folder)
    store.write_private(folder / "stop", b"stop\n")
    held = store.holder(hosts.home() / options.name)
    if held is not None and not held.held:
        print(f"{options.name} is not running here: nothing is to be stopped")
        return DONE
    print(f"asked {options.name} to save and stop at its next safe point")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    host = hosts.detect()
    probe = hosts.SystemProbe()
    print(report(host, _in_force(), hosts.started_at(), time.time()))
    print(f"home        {hosts.home()}")
    print(f"memory      {probe.host_used() / 2**30:.1f} of {probe.host_limit() / 2**30:.1f} GiB used")
    try:
        devices = hosts.devices(import_torch=True)
    except ImportError:
        devices = hosts.devices()
        print("torch       not installed")
    for device in devices:
        print(f"device      {device.name}: {device.free / 2**30:.1f} of {device.total / 2**30:.1f} GiB free")
    return DONE


def _in_force() -> list[str]:
    """What can be told from outside a kernel: which work is running."""
    held = {path.parent.name: store.holder(path.parent) for path in sorted(hosts.home().glob("*/FORMAT"))}
    running = [name for name, holder in held.items() if holder is not None and holder.held]
    told = f"running here: {', '.join(running)}" if running else "no guarded work is running here"
    return [f"{told}; whether signs of life are given is told by %keepalive doctor in the notebook"]


def _export(options: argparse.Namespace) -> int:
    done = store.export(_place(options.name), options.to, commit=options.commit, force=options.force)
    where = f" of {done.commit}" if done.commit else ""
    print(f"{done.tensors} tensors and {done.files} files{where}, and {done.units} units: {done.folder}")
    for line in done.passed_over:
        print(looking.plain(f"passed over: {line}"), file=sys.stderr)
    for line in done.missing:
        print(looking.plain(f"not exported: {line}"), file=sys.stderr)
    return FAILED if done.missing or done.passed_over else DONE


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of kernels: 0, 1, 2 and so on")
    return int(text)
