"""Reading a store: which commits count, whether they are whole, and their state. Writes nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colab_guard.errors import ForeignStore, StoreDamaged, StoreTooNew
from colab_guard.store.leases import Lease, counts, read_leases
from colab_guard.store.lineage import implied_leases, missing_newest
from colab_guard.store.packs import Pack, open_pack
from colab_guard.store.records import RECORD_NAME, read_record
from colab_guard.store.types import CommitRecord, Loaded, PassedOver

FORMAT_NAME = "colab_guard store"
FORMAT_VERSION = 1
KEPT_COMMITS = 2


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file in a commit: size in bytes, permission bits."""

    size: int
    mode: int


class StoreView:
    """A store as readers see it. Everything is read from the disk when it is asked for."""

    def __init__(self, path: Path, shown: str | None = None) -> None:
        self.path = path
        check_format(path, shown)
        self.problems: list[PassedOver] = []
        self.lineage: list[PassedOver] = []
        self._damaged_lease = False
        self._bad: set[str] = set()
        """Commits that were found not to be whole."""
        self._packs: dict[str, Pack] = {}

    @property
    def leases(self) -> list[Lease]:
        """Leases that can be read, oldest first."""
        return read_leases(self.path / "leases")[0]

    @property
    def careful(self) -> bool:
        """Whether something was unreadable at the last look, so that nothing that was here before may be removed."""
        return bool(self.problems) or self._damaged_lease

    def commits(self) -> list[CommitRecord]:
        """Commits that count, newest first; `problems` names the records that cannot be read, `lineage` what is
        wrong or missing in the order of the writers."""
        leases, damaged = read_leases(self.path / "leases")
        found: list[CommitRecord] = []
        problems: list[PassedOver] = []
        for path in (self.path / "commits").glob("*.json"):
            match = RECORD_NAME.match(path.name)
            if match is None or not counts((int(match[1]), int(match[2])), leases):
                continue
            try:
                found.append(read_record(path))
            except StoreDamaged as error:
                problems.append(PassedOver(path.stem, str(error)))
        implied, lineage = implied_leases(found, leases)
        found = [record for record in found if counts((record.generation, record.seq), implied)]
        found.sort(key=lambda record: (record.generation, record.seq), reverse=True)
        self.problems, self.lineage, self._damaged_lease = problems, damaged + lineage, bool(damaged)
        self.lineage += missing_newest(found, problems, leases)
        return found

    def retained(self, keep: int = KEPT_COMMITS) -> tuple[list[CommitRecord], list[CommitRecord]]:
        """Commits whose state is kept, and unit ends of which the record and what it saved is kept."""
        records = [record for record in self.commits() if record.id not in self._bad]
        whole = records[:keep]
        for kind in ("unit", "cell"):
            newest = next((record for record in records if record.kind == kind), None)
            if newest is not None and newest not in whole:
                whole.append(newest)
        return whole, self.units()

    def units(self) -> list[CommitRecord]:
        """Unit ends, oldest first; of several for one unit, the newest."""
        newest: dict[tuple[str, str], CommitRecord] = {}
        for record in self.commits():
            if record.unit is not None:
                newest.setdefault((str(record.unit["group"]), str(record.unit["key"])), record)
        return list(reversed(newest.values()))

    def newest(self) -> tuple[Loaded | None, list[PassedOver]]:
        """The newest commit that is whole, loaded; and those that were passed over on the way to it, with reasons."""
        records = self.commits()
        passed = sorted(self.problems, key=lambda problem: problem.commit, reverse=True)
        for record in records:
            try:
                loaded = self.load(record)
            except StoreDamaged as error:
                passed.append(PassedOver(record.id, str(error)))
                continue
            return loaded, [*self.lineage, *(step for step in passed if step.commit > record.id)]
        return None, [*self.lineage, *passed]

    def load(self, record: CommitRecord) -> Loaded:
        """A commit's state, every chunk verified; StoreDamaged if something is missing or damaged."""
        parts = self.parts(record)
        buffers = {buffer["key"]: self._join(buffer) for buffer in record.raw["buffers"]}
        for entry in record.raw["files"].values():
            self._join(entry)
        return Loaded(record, parts, buffers)

    def parts(self, record: CommitRecord) -> dict[str, bytes]:
        """The pickled parts of a commit's state, without its memory; StoreDamaged if one is missing or damaged."""
        return {name: bytes(self._join(part)) for name, part in record.raw["parts"].items()}

    def files(self, record: CommitRecord) -> dict[str, FileInfo]:
        return _infos(record.raw["files"])

    def read_file(self, record: CommitRecord, name: str) -> bytes:
        return bytes(self._join(record.raw["files"][name]))

    def unit_files(self, record: CommitRecord) -> dict[str, FileInfo]:
        return _infos(record.raw["unit_files"])

    def read_unit_file(self, record: CommitRecord, name: str) -> bytes:
        return bytes(self._join(record.raw["unit_files"][name]))

    def _join(self, entry: Mapping[str, Any]) -> bytearray:
        data = bytearray()
        for chunk, pack in zip(entry["chunks"], entry["packs"], strict=True):
            opened = self._pack(pack)
            if chunk not in opened.index:
                raise StoreDamaged(f"pack {pack[:12]} lacks a chunk that the commit needs")
            data += opened.read(chunk)
        if len(data) != entry["size"]:
            raise StoreDamaged("an entry has another size than its record says")
        return data

    def _pack(self, name: str) -> Pack:
        if name not in self._packs:
            self._packs[name] = open_pack(self.path / "packs" / f"{name}.pack")
        return self._packs[name]


def _infos(entries: Mapping[str, Any]) -> dict[str, FileInfo]:
    return {name: FileInfo(entry["size"], entry["mode"]) for name, entry in entries.items()}


def packs_of(entries: Iterable[Mapping[str, Any]]) -> set[str]:
    return {pack for entry in entries for pack in entry["packs"]}


def state_packs(record: CommitRecord) -> set[str]:
    """Packs that the commit's state needs."""
    raw = record.raw
    return packs_of(raw["parts"].values()) | packs_of(raw["buffers"]) | packs_of(raw["files"].values())


def unit_packs(record: CommitRecord) -> set[str]:
    """Packs that what the unit saved needs; they are kept for as long as the store is."""
    return packs_of(record.raw["unit_files"].values())


def packs_needed(whole: Iterable[CommitRecord], units: Iterable[CommitRecord]) -> set[str]:
    """Packs that are needed by the state of `whole` and by what the unit ends `units` saved."""
    return set().union(*(state_packs(r) | unit_packs(r) for r in whole), *(unit_packs(r) for r in units))


def check_format(path: Path, shown: str | None = None) -> None:
    """Whether a store is there that this version reads; ForeignStore or StoreTooNew if not. `shown`: what people call it."""
    name = shown or str(path)
    try:
        content = (path / "FORMAT").read_bytes()
    except OSError:
        raise ForeignStore(f"{name} holds no colab_guard store; check the name, or run the cell once to make it") from None
    check_words(content, name)


def check_words(content: bytes, name: str) -> None:
    """As `check_format`, of what FORMAT holds."""
    words = content.decode(errors="replace").split()
    damage = _damage(words)
    if damage:
        raise ForeignStore(
            f"{name} is not a colab_guard store, or a damaged one: {damage}; --to with a whole mirror replaces it (and keeps "
            "it), or move that folder away, or use another NAME"
        )
    if int(words[2]) > FORMAT_VERSION:
        raise StoreTooNew(
            f"{name} was written by a newer colab_guard (format {words[2]}, this one reads {FORMAT_VERSION}); "
            "upgrade colab_guard, or use another NAME"
        )


def damaged_format(path: Path) -> str:
    """What is wrong with the FORMAT of the store at `path`; "" for a good one, of a newer version too, and for none."""
    try:
        words = (path / "FORMAT").read_bytes().decode(errors="replace").split()
    except FileNotFoundError:
        return ""
    except OSError as error:
        return f"its FORMAT cannot be read ({error.strerror})"
    return _damage(words)


def _damage(words: list[str]) -> str:
    good = words[:2] == FORMAT_NAME.split() and len(words) == 3 and words[2].isdecimal()
    return "" if good else f"its FORMAT says {' '.join(words)[:40]!r}"
