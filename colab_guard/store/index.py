"""Commit records that were read once: files are immutable, so that what was checked then need not be read again.

A record's tables of parts, buffers and files are most of it, and are asked for of the newest commits only: they are
read from the file again, and checked again, when they are. A record that could not be read is tried again at each look.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from colab_guard.errors import StoreDamaged
from colab_guard.store.leases import Place
from colab_guard.store.records import RECORD_NAME, packs_of_state, read_content, read_record, read_sealed
from colab_guard.store.signing import the_key
from colab_guard.store.types import CommitRecord, PassedOver

TABLES = ("parts", "buffers", "files")


class ReadAgain(Mapping[str, Any]):
    """A record's JSON whose tables are read from its file when they are asked for; StoreDamaged where that is gone."""

    __slots__ = ("_kept", "_path", "packs")

    def __init__(self, path: Path, raw: Mapping[str, Any]) -> None:
        self._path = path
        self._kept = {key: value for key, value in raw.items() if key not in TABLES}
        self.packs = packs_of_state(raw)

    def __getitem__(self, key: str) -> Any:
        return self.whole()[key] if key in TABLES else self._kept[key]

    def __iter__(self) -> Iterator[str]:
        return iter((*self._kept, *TABLES))

    def __len__(self) -> int:
        return len(self._kept) + len(TABLES)

    def whole(self) -> Mapping[str, Any]:
        return read_record(self._path).raw


def whole_of(record: CommitRecord) -> Mapping[str, Any]:
    """A record's JSON, read once for all of its tables."""
    return record.raw.whole() if isinstance(record.raw, ReadAgain) else record.raw


def state_packs(record: CommitRecord) -> frozenset[str]:
    """Packs that the commit's state needs."""
    return record.raw.packs if isinstance(record.raw, ReadAgain) else packs_of_state(record.raw)


class Index:
    """The records in `folder`, each read once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.owner = ""
        """The NAME that signed records have to be of; "" where whoever looks does not know it."""
        self._read: dict[str, CommitRecord] = {}
        self._sealed: set[str] = set()
        """Whole by their names, and signed with the key."""
        self._key = the_key()

    def names(self) -> list[tuple[Place, str]]:
        """Place and id of every record that is there, oldest first."""
        try:
            listed = os.listdir(self._folder)
        except FileNotFoundError:
            return []
        matches = (RECORD_NAME.match(name) for name in listed)
        there = sorted(((int(m[1]), int(m[2])), m[0].removesuffix(".json")) for m in matches if m is not None)
        self._only({name for _, name in there})
        return there

    def problem(self, name: str) -> PassedOver | None:
        """Why a record cannot be used; it is parsed only where a key is set, whose signature is inside."""
        if self._key != the_key():
            self._key = the_key()
            self._only(set())  # what was looked at with another key is looked at again
        if name not in self._sealed:
            try:
                path = self._folder / f"{name}.json"
                if self._key is None:
                    read_sealed(path)
                else:
                    self._check_owner(read_content(path))
            except StoreDamaged as error:
                return PassedOver(name, str(error))
            self._sealed.add(name)
        return None

    def record(self, name: str) -> CommitRecord | PassedOver:
        """A record, or why it cannot be read."""
        if name not in self._read:
            try:
                record = read_record(self._folder / f"{name}.json")
                self._check_owner(record.raw)
                self.add(record)
            except StoreDamaged as error:
                return PassedOver(name, str(error))
        return self._read[name]

    def _check_owner(self, content: Mapping[str, Any]) -> None:
        signed_for = content.get("name")
        if the_key() is not None and self.owner not in ("", signed_for):
            raise StoreDamaged(f"the record was signed for the NAME {str(signed_for)[:80]!r}")

    def add(self, record: CommitRecord) -> None:
        """`record` was read just now, or written by this process."""
        self._sealed.add(record.id)
        self._read[record.id] = replace(record, raw=ReadAgain(self._folder / f"{record.id}.json", record.raw))

    def _only(self, names: set[str]) -> None:
        """Forget records that are gone."""
        self._sealed &= names
        for name in self._read.keys() - names:
            del self._read[name]
