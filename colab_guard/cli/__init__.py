"""The terminal's words: `colab-guard run`, `status`, `stop`, `show`, `verify`, `doctor`.

What enters: arguments. What leaves: lines for people and an exit status: 0 done, 1 a cell failed or something is wrong,
2 bad arguments, 3 the kernel kept dying, 4 the notebook, its inputs or the device changed since the commit and a person
must decide, 130 interrupted.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from colab_guard import hosts, store
from colab_guard.cli.runner import run_notebook
from colab_guard.errors import GuardError, UserMistake

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
    return status


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
        ("export", "not yet: give a store's contents in open formats", _export),
    ):
        one = words.add_parser(word, help=help_)
        if word in ("show", "verify", "stop", "export"):
            one.add_argument("name", metavar="NAME")
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
    return path if (path / "FORMAT").exists() else hosts.home() / name


def _status(options: argparse.Namespace) -> int:
    home = hosts.home()
    found = sorted(path.parent for path in home.glob("*/FORMAT"))
    if not found:
        print(f"nothing is saved under {home}")
    for path in found:
        rows = store.describe(path)
        newest = f"{_age(rows[0].created)} ago at {rows[0].position}" if rows else "no commit"
        print(f"{path.name}: {newest}; {sum(bool(row.unit) for row in rows)} units done")
    return DONE


def _show(options: argparse.Namespace) -> int:
    rows = store.describe(_place(options.name))
    for row in rows:
        mark = "whole" if row.whole else "record only"
        size = f"{row.bytes_total / 2**20:.1f} MiB ({row.bytes_new / 2**20:.1f} new)"
        print(f"{row.commit}  {row.kind:<4}  {_age(row.created):>7} ago  {size:>26}  {mark:<11}  {row.position}")
    for reason in rows[0].inexact if rows else ():
        print(f"not bit-exact since a resume: {reason}")
    return DONE


def _verify(options: argparse.Namespace) -> int:
    problems = store.verify(_place(options.name))
    print("\n".join(problems) or "every byte is as it was written")
    return FAILED if problems else DONE


def _stop(options: argparse.Namespace) -> int:
    folder = hosts.home() / f"{options.name}.requests"
    if not (hosts.home() / options.name / "FORMAT").exists():
        raise UserMistake(f"there is no work called {options.name!r} under {hosts.home()}; colab-guard status lists what is")
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    (folder / "stop").write_text("stop\n")
    print(f"asked {options.name} to save and stop at its next safe point")
    return DONE


def _doctor(options: argparse.Namespace) -> int:
    host = hosts.detect()
    probe = hosts.SystemProbe()
    print(f"host     {host.label}: {host.idle_rule}")
    print(f"home     {hosts.home()}")
    print(f"memory   {probe.host_used() / 2**30:.1f} of {probe.host_limit() / 2**30:.1f} GiB used")
    try:
        devices = hosts.devices(import_torch=True)
    except ImportError:
        devices = hosts.devices()
        print("torch    not installed")
    for device in devices:
        print(f"device   {device.name}: {device.free / 2**30:.1f} of {device.total / 2**30:.1f} GiB free")
    return DONE


def _export(options: argparse.Namespace) -> int:
    raise UserMistake("export is not there yet; sweep.export() in the notebook writes results and adapters")


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is no number of kernels: 0, 1, 2 and so on")
    return int(text)


def _age(created: float) -> str:
    seconds = max(time.time() - created, 0.0)
    for limit, unit, words in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {words}"
    return f"{seconds / 86_400:.0f} d"
