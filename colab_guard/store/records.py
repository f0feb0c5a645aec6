"""Commit records and leases as files: JSON whose hash is in its name, signed where a key is set."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from colab_guard.errors import StoreDamaged
from colab_guard.store.disk import read_at_once, write_whole
from colab_guard.store.packs import digest
from colab_guard.store.types import CommitRecord

KEY_VARIABLE = "COLAB_GUARD_KEY"
RECORD_NAME = re.compile(r"^(\d{8})-(\d{10})-([0-9a-f]{32})\.json$")


def has_key() -> bool:
    return bool(os.environ.get(KEY_VARIABLE))


def encode(content: Mapping[str, Any]) -> bytes:
    """JSON in the order of the content, with an HMAC-SHA256 of the rest where `COLAB_GUARD_KEY` is set."""
    body = _canonical(content)
    key = os.environ.get(KEY_VARIABLE)
    if not key:
        return body
    return _canonical({**content, "hmac": hmac.new(key.encode(), body, hashlib.sha256).hexdigest()})


def decode(data: bytes) -> dict[str, Any]:
    """The content; StoreDamaged where a key is set and the signature is missing or wrong."""
    try:
        content: dict[str, Any] = json.loads(data)
    except ValueError as error:
        raise StoreDamaged("the record is no JSON") from error
    signature = content.pop("hmac", None)
    key = os.environ.get(KEY_VARIABLE)
    if key:
        wanted = hmac.new(key.encode(), _canonical(content), hashlib.sha256).hexdigest()
        if signature is None or not hmac.compare_digest(signature, wanted):
            raise StoreDamaged(f"the record is {'not signed' if signature is None else 'signed with another key'}")
    return content


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()


def write_record(folder: Path, generation: int, seq: int, content: Mapping[str, Any]) -> CommitRecord:
    """Write a commit record: the last file of a commit, the one that makes the others count."""
    data = encode(content)
    path = folder / f"{generation:08d}-{seq:010d}-{digest(data)[:32]}.json"
    write_whole(path, [data])
    return as_record(path.name, content)


def read_record(path: Path) -> CommitRecord:
    """A commit record; StoreDamaged if its bytes are not what its name says."""
    data = read_sealed(path)
    content = decode(data)
    if path.name[:19] != f"{content.get('generation'):08d}-{content.get('seq'):010d}":
        raise StoreDamaged("the record does not belong to its name")
    return as_record(path.name, content)


def read_sealed(path: Path) -> bytes:
    """A record's bytes, which are those that its name has the hash of; StoreDamaged if not. They are not looked into."""
    match = RECORD_NAME.match(path.name)
    if match is None:
        raise StoreDamaged(f"{path.name} is not a commit record's name")
    try:
        data = read_at_once(path)
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
