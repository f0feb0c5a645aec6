"""A store's contents in open formats, for whoever has no colab_guard: JSON, safetensors, and files as they were.

    DIR/export.json                what is here, from which commit, every file that was written, and under which name each is
                                   that had to get another
    DIR/commit.json                the commit's record: position, what it says of itself (versions, inputs, what was not kept)
    DIR/tensors.safetensors        its buffers; export.json tells how each was made of what
    DIR/output.jsonl               what the cell printed and displayed, a JSON object a line, in order
    DIR/files/…                    files of the working folder that the cell had written
    DIR/units/GROUP/KEY/record.json, …   what a finished unit logged, and what it saved: an adapter is a folder that PEFT loads

Nothing is unpickled, so a store that nobody trusts can be exported; what stands in pickles only (numbers, texts, objects,
tensors below 1 KiB) is not here. Everything is written beside DIR first and gets its name when it is whole. A folder
that holds something else is never touched: `force` replaces an earlier export, in which nothing is but what export.json says
that it wrote. Names that other systems take for
something else (`:`, `\\`, a device's name) are written with `%` and two digits.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from typing import Any

from colab_guard.errors import StoreDamaged, UserMistake
from colab_guard.store import tensors
from colab_guard.store.disk import PRIVATE_FOLDER, make_folder, write_whole
from colab_guard.store.index import state_packs, whole_of
from colab_guard.store.names import is_inside, is_text
from colab_guard.store.target import MADE, SHOWN, WROTE, check_target, expanded, files_below, put_in_place
from colab_guard.store.types import CommitRecord
from colab_guard.store.view import StoreView, check_format

UNSAFE = frozenset('<>:"\\|?*%') | frozenset(map(chr, range(32))) | {chr(127)}
DEVICES = frozenset({"con", "prn", "aux", "nul", *(f"{name}{n}" for name in ("com", "lpt") for n in range(10))})
LONGEST_PART = 200
CANNOT_BE_NAMED = (errno.EEXIST, errno.ENOTDIR, errno.EISDIR, errno.ENAMETOOLONG)
"""Why one file has no place beside the others, where there is room: a folder has its name, or the way is too long."""
OUTPUT = "output/"
LOOKS = 5
"""How often it is begun where somebody writes meanwhile; two commits during one look are enough to spoil it."""


@dataclass(slots=True)
class Exported:
    """What was written: the folder, the commit (None: no state), and counts; `missing` is what could not be, and why.

    `passed_over`: newer commits that are not whole, and what is wrong with the order of the writers.
    """

    folder: Path
    commit: str | None = None
    tensors: int = 0
    files: int = 0
    units: int = 0
    missing: list[str] = field(default_factory=list)
    passed_over: list[str] = field(default_factory=list)
    renamed: dict[str, str] = field(default_factory=dict)


def export(path: Path, target: Path, *, commit: str | None = None, force: bool = False) -> Exported:
    """Write the store at `path`, with the state of `commit` (a part of its id; else the newest that is whole), as the folder `target`.

    Somebody who writes there meanwhile removes what is read: then all is written anew, of what is there by then.
    """
    check_format(path)
    target = expanded(target)
    check_target(target, force)
    make_folder(target.parent)
    for left in reversed(range(LOOKS)):
        before = StoreView(path).standing()
        try:
            return _exported(path, target, commit, force, lambda: StoreView(path).standing() == before, last=not left)
        except _WrittenMeanwhile:
            continue
    raise UserMistake(
        f"{path} is written faster than it can be exported: what was read went when newer commits came, {LOOKS} times; stop the work "
        f"(colab-guard stop {path.name}) and export it then"
    )


class _WrittenMeanwhile(Exception):
    """What was missed may be there no more because the store is not as it was at the beginning."""


def _exported(path: Path, target: Path, commit: str | None, force: bool, unchanged: Callable[[], bool], *, last: bool) -> Exported:
    """`last`: what is missing is told and not looked for again."""
    beside = target.parent / f".colab_guard-export-{uuid.uuid4().hex}"
    beside.mkdir(mode=PRIVATE_FOLDER)
    try:
        done = _written(path, beside, commit)
        missed = [*done.missing, *done.passed_over]
        if missed and not last and not unchanged():
            raise _WrittenMeanwhile
        check_target(target, force)  # something may have come there meanwhile
        put_in_place(beside, target)
    except (StoreDamaged, UserMistake) as error:
        if unchanged():
            raise
        raise _WrittenMeanwhile from error
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    done.folder = target
    return done


def _written(path: Path, beside: Path, commit: str | None) -> Exported:
    view = StoreView(path)
    chosen, passed = _newest(view) if commit is None else (chosen_commit(view, commit), [])
    units = [record for record in view.units() if chosen is None or record.place <= chosen.place]
    if chosen is None and not units:
        raise UserMistake(f"{path} holds no commit that is whole, and no finished unit; colab-guard verify tells what is damaged")
    if chosen is not None:
        _check_kept(view, chosen)
    done = _Writing(view, beside).all(chosen, units)
    done.passed_over = passed
    return done


def _newest(view: StoreView) -> tuple[CommitRecord | None, list[str]]:
    loaded, passed = view.newest()
    return (None if loaded is None else loaded.record), [f"{step.commit}: {step.reason}" for step in passed]


def chosen_commit(view: StoreView, commit: str | None) -> CommitRecord | None:
    """The commit whose id begins with `commit` (or ends so); without one the newest whose state is whole, or None."""
    if commit is None:
        return _newest(view)[0]
    found = [record for record in view.commits() if record.id.startswith(commit) or record.id.endswith(commit)]
    if len(found) != 1:
        told = f"{len(found)} commits have ids like that" if found else "there is none like that"
        raise UserMistake(f"{commit!r} names no commit: {told}; colab-guard show {view.path.name} --all lists their ids")
    return found[0]


def _check_kept(view: StoreView, record: CommitRecord) -> None:
    """UserMistake where retention let the commit's state go; what is missing of one that is kept is damage."""
    packs = view.path / "packs"
    if all((packs / f"{name}.pack").exists() for name in state_packs(record)):
        return
    kept = [one.id for one in view.retained()[0]]
    if record.id not in kept:
        raise UserMistake(
            f"the state of {record.id} was let go, as of all but the newest commits, and only its record is left; give one that has "
            f"its state to --commit: {', '.join(kept)}"
        )


class _Writing:
    """One export into the folder `root`, which is new and nobody else's."""

    def __init__(self, view: StoreView, root: Path) -> None:
        self._view = view
        self._root = root
        self._done = Exported(root)

    def all(self, chosen: CommitRecord | None, units: list[CommitRecord]) -> Exported:
        told: dict[str, Any] = {}
        if chosen is not None:
            told = self._state(chosen)
        for record in units:
            self._unit(record)
        done = self._done
        told |= {"store": self._view.path.name, "units": done.units, "missing": done.missing, "renamed": done.renamed}
        told[WROTE] = sorted([MADE, *files_below(self._root)])
        self._json(MADE, told)
        return done

    def _state(self, record: CommitRecord) -> dict[str, Any]:
        done, raw = self._done, whole_of(record)
        done.commit = record.id
        self._json("commit.json", {"id": record.id, **{name: value for name, value in raw.items() if name not in LISTS}})
        buffers = {str(buffer["key"]): buffer for buffer in raw["buffers"]}
        planned = tensors.planned(buffers.values())
        strides = {key: buffer.get("stride") for key, buffer in buffers.items()}
        tensors.write(self._root / "tensors.safetensors", planned, lambda key: self._view.join(buffers[key]), strides)
        done.tensors = len(planned)
        self._output(raw["parts"])
        for name in sorted(raw["files"]):
            if self._file("files", name, lambda name=name: self._view.read_file(record, name)):  # type: ignore[misc]
                done.files += 1
        told = [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape), "how": t.how, "buffer": t.key} for t in planned]
        return {"commit": record.id, "tensors": told}

    def _output(self, parts: Mapping[str, Any]) -> None:
        """Segments in the order of their numbers; images stand in the store's parts only."""
        names = sorted(name for name in parts if name.startswith(OUTPUT) and name.removeprefix(OUTPUT).isdecimal())
        lines = [bytes(self._view.join(parts[name])) for name in names]
        if lines:
            write_whole(self._root / "output.jsonl", [line if line.endswith(b"\n") or not line else line + b"\n" for line in lines])

    def _unit(self, record: CommitRecord) -> None:
        unit = record.unit or {}
        folder = f"units/{self._safe_part(str(unit['group']))}/{self._safe_part(str(unit['key']))}"
        self._json(f"{folder}/record.json", {**unit, "commit": record.id, "created": record.created})
        for name in sorted(record.raw["unit_files"]):
            self._file(folder, name, lambda name=name: self._view.read_unit_file(record, name))  # type: ignore[misc]
        self._done.units += 1

    def _file(self, folder: str, name: str, read: Callable[[], bytes]) -> bool:
        try:
            content = read()
        except StoreDamaged as damage:
            self._done.missing.append(f"{folder}/{name}: {damage}")
            return False
        safe = "/".join(map(self._safe_part, name.split("/")))
        target = self._free(f"{folder}/{safe}")
        if target != f"{folder}/{name}":
            self._done.renamed[f"{folder}/{name}"] = target
        path = self._root / target
        try:
            make_folder(path.parent)
            write_whole(path, [content])
        except OSError as error:
            if error.errno not in CANNOT_BE_NAMED:
                raise
            self._done.missing.append(f"{folder}/{name[:SHOWN]}: {error.strerror}")
            return False
        return True

    def _free(self, name: str) -> str:
        """`name`, or one like it where a file or folder of that name is there already (as on a disk that knows no case)."""
        numbers = chain(("",), (f"~{n}" for n in count(2)))
        return next(name + number for number in numbers if not os.path.lexists(self._root / (name + number)))

    @staticmethod
    def _safe_part(part: str) -> str:
        """`part` as one step of a path on every system; it leads nowhere."""
        safe = "".join(f"%{ord(char):02X}" if char in UNSAFE or char == "/" or not is_text(char) else char for char in part)
        if safe[-1:] in (".", " "):
            safe = f"{safe[:-1]}%{ord(safe[-1]):02X}"
        if safe.partition(".")[0].lower() in DEVICES or not safe:
            safe = f"%{safe}"
        if len(safe.encode()) > LONGEST_PART:
            safe = f"{safe.encode()[:LONGEST_PART - 40].decode(errors='ignore')}~{uuid.uuid5(uuid.NAMESPACE_URL, part).hex}"
        return safe

    def _json(self, name: str, content: Any) -> None:
        if not is_inside(name):
            raise StoreDamaged(f"{name!r} would lie outside the export")
        path = self._root / name
        make_folder(path.parent)
        write_whole(path, [json.dumps(content, indent=1, ensure_ascii=False).encode("utf-8", "surrogatepass"), b"\n"])


LISTS = ("parts", "buffers", "files", "unit_files")
"""What of a record tells where its bytes lie in the store."""
