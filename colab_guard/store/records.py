"""Commit records as files: JSON, gzipped from format 2 on, whose hash is in its name; signed where a key is set."""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import write_whole
from colab_guard.store.names import check_record, read_plain
from colab_guard.store.packs import digest
from colab_guard.store.signing import opened, signed
from colab_guard.store.types import CommitRecord

RECORD_NAME = re.compile(r"^(\d{8})-(\d{10})-([0-9a-f]{32})\.json$")
GZIPPED = b"\x1f\x8b"
GZIPPED_SINCE = 2
"""The format from which on records are gzipped."""
LEVEL = 6
MOST_BYTES = 2**29
"""Of a record's JSON; one of a hundred thousand buffers has 50 MB."""


def write_record(folder: Path, generation: int, seq: int, content: Mapping[str, Any]) -> CommitRecord:
    """Write a commit record: the last file of a commit, the one that makes the others count."""
    data = signed(content)
    if content["format"] >= GZIPPED_SINCE:
        data = gzip.compress(data, LEVEL, mtime=0)
    path = folder / f"{generation:08d}-{seq:010d}-{digest(data)[:32]}.json"
    write_whole(path, [data])
    return as_record(path.name, content)


def read_record(path: Path) -> CommitRecord:
    """A commit record; StoreDamaged if its bytes are not what its name says, or mean nothing."""
    content = read_content(path)
    check_record(content)
    return as_record(path.name, content)


def read_content(path: Path) -> dict[str, Any]:
    """What a record says, signed where there is a key, and of that name; it is not looked into further."""
    content = opened(json_of(read_sealed(path)), "the record")
    match = RECORD_NAME.match(path.name)
    assert match is not None  # its bytes were compared with its name
    if (content.get("generation"), content.get("seq")) != (int(match[1]), int(match[2])):
        raise StoreDamaged("the record does not belong to its name")
    return content


def json_of(data: bytes) -> bytes:
    """The JSON in a record's bytes; StoreDamaged where it cannot be had."""
    if not data.startswith(GZIPPED):
        return data
    unzip = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        found = unzip.decompress(data, MOST_BYTES)
    except zlib.error as error:
        raise StoreDamaged("the record cannot be unzipped") from error
    if not unzip.eof or unzip.unused_data:
        raise StoreDamaged("the record is longer than any, or more than one")
    return found


def read_sealed(path: Path) -> bytes:
    """A record's bytes, which are those that its name has the hash of; StoreDamaged if not. They are not looked into."""
    match = RECORD_NAME.match(path.name)
    if match is None:
        raise StoreDamaged(f"{path.name} is not a commit record's name")
    try:
        data = read_plain(path)
    except OSError as error:
        raise StoreDamaged(f"the record cannot be read: {error}") from error
    if digest(data)[:32] != match[3]:
        raise StoreDamaged("the record is cut short or damaged")
    return data


def as_record(name: str, content: Mapping[str, Any]) -> CommitRecord:
    return CommitRecord(
        id=name.removesuffix(".json"),
        generation=content["generation"],
        seq=content["seq"],
        kind=content["kind"],
        created=content["created"],
        parent=content["parent"],
        position=content["position"],
        meta=content["meta"],
        unit=content["unit"],
        raw=content,
        bytes_total=content["bytes_total"],
        bytes_new=content["bytes_new"],
    )


def packs_of(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    return frozenset(pack for entry in entries for pack in entry["packs"])


def packs_of_state(raw: Mapping[str, Any]) -> frozenset[str]:
    """Packs that the state of a commit needs, by its record's JSON."""
    return packs_of((*raw["parts"].values(), *raw["buffers"], *raw["files"].values()))
