"""What a record may say: names and numbers that lead nowhere but into the store and the folder that files come back to.

A record's hash tells that it is whole, not who wrote it: on a mirror others may. So nothing in it is believed before it
was looked at here: packs and chunks are BLAKE3 in hexadecimal digits, sizes fit their chunks, names of files stay below
the folder that they are for. Files of a store are opened without following links, and only regular files are read.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from pathlib import Path
from typing import Any, BinaryIO

from colab_guard.errors import StoreDamaged

CHUNK_BYTES = 2**20
HASH_DIGITS = 64
DIGITS = re.compile(r"[0-9a-f]*")
LARGEST = 2**50
"""Bytes of an entry, and a commit's number in its generation."""
LATEST = 10**11
"""Seconds since the epoch."""
LONGEST_NAME = 4096
PIECE_BYTES = 2**16
KINDS = ("step", "unit", "cell")
NEEDED: dict[str, type | tuple[type, ...]] = {
    "generation": int,
    "seq": int,
    "kind": str,
    "created": (int, float),
    "position": dict,
    "meta": dict,
    "parts": dict,
    "buffers": list,
    "files": dict,
    "unit_files": dict,
    "bytes_total": int,
    "bytes_new": int,
}


def check_record(content: Any) -> None:
    """Raise StoreDamaged unless `content` is a commit record as the format has it, whose names lead nowhere else."""
    if not isinstance(content, dict):
        raise StoreDamaged("the record is no JSON object")
    for field, kind in NEEDED.items():
        if not isinstance(content.get(field), kind) or isinstance(content.get(field), bool):
            raise StoreDamaged(f"the record's {field!r} is missing or of another kind")
    if not {"parent", "unit"} <= content.keys() or not is_moment(content["created"]):
        raise StoreDamaged("the record lacks what a record has, or is of no time that can be")
    if not isinstance(content["meta"].get("inexact", []), list):
        raise StoreDamaged("the record's 'inexact' is no list")
    if content["kind"] not in KINDS or not all(0 <= content[name] <= LARGEST for name in ("bytes_total", "bytes_new")):
        raise StoreDamaged("the record's kind or sizes mean nothing")
    parent, unit = content.get("parent"), content.get("unit")
    if not (parent is None or (isinstance(parent, str) and re.fullmatch(r"\d{8}-\d{10}-[0-9a-f]{32}", parent))):
        raise StoreDamaged("the record's parent is no commit's id")
    if not (unit is None or (isinstance(unit, dict) and {"group", "key", "record"} <= unit.keys() and isinstance(unit["record"], dict))):
        raise StoreDamaged("the record's unit lacks what a unit has")
    for buffer in content["buffers"]:
        if not isinstance(buffer, dict) or not isinstance(buffer.get("key"), str):
            raise StoreDamaged("the record's buffers are not as the format has them")
        if not all(isinstance(buffer.get(name, []), list) for name in ("shape", "stride")):
            raise StoreDamaged("the record has a buffer whose shape is no list")
    _check_entries([*content["parts"].values(), *content["buffers"], *content["files"].values(), *content["unit_files"].values()])
    for name, entry in [*content["files"].items(), *content["unit_files"].items()]:
        if not is_inside(name):
            raise StoreDamaged(f"the record names a file {name[:80]!r}, which would lie outside the folder it is for")
        if not isinstance(entry.get("mode"), int) or not 0 <= entry["mode"] <= 0o777:
            raise StoreDamaged("the record gives a file other rights than files have")


def _check_entries(entries: Iterable[Any]) -> None:
    hashes: list[str] = []
    for entry in entries:
        if not isinstance(entry, dict):
            raise StoreDamaged("the record has an entry that is no object")
        size, chunks, packs = entry.get("size"), entry.get("chunks"), entry.get("packs")
        if not isinstance(size, int) or not isinstance(chunks, list) or not isinstance(packs, list) or not 0 <= size <= LARGEST:
            raise StoreDamaged("the record has an entry of a size, or with chunks, that no entry has")
        if len(chunks) != -(-size // CHUNK_BYTES) or len(packs) != len(chunks):
            raise StoreDamaged("the record has an entry whose chunks do not make up its size")
        hashes += chunks
        hashes += packs
    if not all(isinstance(one, str) and len(one) == HASH_DIGITS for one in hashes) or not DIGITS.fullmatch("".join(hashes)):
        raise StoreDamaged("the record names a chunk or a pack that is no hash")


def is_moment(seconds: Any) -> bool:
    """Whether that is a time of this world, in seconds since the epoch."""
    return isinstance(seconds, (int, float)) and 0 <= seconds <= LATEST


def is_inside(name: Any) -> bool:
    """Whether the relative file name `name` stays in whatever folder it is put into."""
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or "\0" in name or name.startswith("/"):
        return False
    if not is_text(name):
        return False
    return all(part not in ("", ".", "..") for part in name.split("/"))


def is_text(name: str) -> bool:
    """Whether `name` can be written as UTF-8; a file's name may hold any bytes."""
    return not any("\ud800" <= char <= "\udfff" for char in name)


def check_no_links(path: Path, parts: Iterable[str]) -> str:
    """Which of the folders `parts` of the store `path` is a link to somewhere else; "" for none."""
    return next((part for part in parts if (path / part).is_symlink()), "")


def read_plain(path: Path) -> bytes:
    """The bytes of a regular file, with as few calls as can be; a link is not followed."""
    descriptor = _opened(path)
    try:
        pieces = [os.read(descriptor, PIECE_BYTES)]
        while len(pieces[-1]) == PIECE_BYTES:
            pieces.append(os.read(descriptor, PIECE_BYTES))
    finally:
        os.close(descriptor)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def open_plain(path: Path) -> BinaryIO:
    """A regular file, opened for reading; a link is not followed, and nothing else (a pipe, a device) is waited for."""
    return os.fdopen(_opened(path), "rb")


def _opened(path: Path) -> int:
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise StoreDamaged(f"{path.name} is no regular file")
    return descriptor
