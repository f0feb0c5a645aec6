"""Reading a store: which commits count, whether they are whole, and their state. Writes nothing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colab_guard.errors import ForeignStore, StoreDamaged, StoreTooNew
from colab_guard.store.index import Index, state_packs, whole_of
from colab_guard.store.leases import Lease, Place, last_that_counts, read_leases
from colab_guard.store.lineage import implied_leases, missing_newest
from colab_guard.store.names import check_no_links, read_plain
from colab_guard.store.packs import Pack, open_pack
from colab_guard.store.records import packs_of
from colab_guard.store.types import CommitRecord, Loaded, PassedOver

FORMAT_NAME = "colab_guard store"
FORMAT_VERSION = 4
KNOWN_VERSIONS = (1, 2, 4)
"""No flipped bit makes one of these of another: 3 was left out."""
FORMAT_LINE = re.compile(r"colab_guard store [1-9][0-9]{0,5}\n")
KEPT_COMMITS = 2
FOLDERS = ("packs", "commits", "leases")


@dataclass(frozen=True, slots=True)
class FileInfo:
    """A file in a commit: size in bytes, permission bits."""

    size: int
    mode: int


class StoreView:
    """A store as readers see it, whenever it is asked; records, which never change, are read once."""

    def __init__(self, path: Path, shown: str | None = None) -> None:
        self.path = path
        check_format(path, shown)
        self.problems: list[PassedOver] = []
        self.lineage: list[PassedOver] = []
        self._damaged_lease = False
        self._bad: set[str] = set()
        """Commits that were found not to be whole."""
        self._packs: dict[str, Pack] = {}
        self._index = Index(path / "commits")

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
        found = []
        for name in self.standing():
            record = self._index.record(name)
            if isinstance(record, PassedOver):
                self.problems.append(record)
            else:
                found.append(record)
        return found

    def standing(self) -> list[str]:
        """The ids of the commits that count, newest first, whose records are whole; most are not looked into."""
        leases, damaged = read_leases(self.path / "leases")
        found: list[tuple[Place, str]] = []
        problems: list[PassedOver] = []
        there = self._index.names()
        last = {generation: last_that_counts(generation, leases) for generation in {place[0] for place, _ in there}}
        for place, name in reversed(there):
            if place > last[place[0]]:
                continue
            problem = self._index.problem(name)
            if problem is None:
                found.append((place, name))
            else:
                problems.append(problem)
        first_of = {place[0]: name for place, name in found}
        implied, lineage = implied_leases(first_of, self._index.record, leases)
        if implied:
            found = [(place, name) for place, name in found if place <= last_that_counts(place[0], implied)]
        self.problems, self.lineage, self._damaged_lease = problems, damaged + lineage, bool(damaged)
        self.lineage += missing_newest([place for place, _ in found], problems, leases)
        return [name for _, name in found]

    def record(self, commit: str) -> CommitRecord | PassedOver:
        """The commit of that id, or why its record cannot be read."""
        return self._index.record(commit)

    def retained(
        self, keep: int = KEPT_COMMITS, packs: Set[str] | None = None
    ) -> tuple[list[CommitRecord], list[CommitRecord]]:
        """Commits whose state is kept, and unit ends of which the record and what it saved is kept.

        `packs`: those that there are; a unit's end without its state is none of the first then.
        """
        records = self.commits()
        alone = set() if packs is None else {r.id for r in units_of(records) if not state_packs(r) <= packs}
        return whole_of_newest((r for r in records if r.id not in self._bad | alone), keep), units_of(records)

    def units(self) -> list[CommitRecord]:
        """Unit ends, oldest first; of several for one unit, the newest."""
        return units_of(self.commits())

    def newest(self) -> tuple[Loaded | None, list[PassedOver]]:
        """The newest commit that is whole, loaded; and those that were passed over on the way to it, with reasons."""
        names = self.standing()
        passed = sorted(self.problems, key=lambda problem: problem.commit, reverse=True)
        for name in names:
            record = self._index.record(name)
            if isinstance(record, PassedOver):
                passed.append(record)
                continue
            try:
                loaded = self.load(record)
            except StoreDamaged as error:
                passed.append(PassedOver(record.id, str(error)))
                continue
            return loaded, [*self.lineage, *(step for step in passed if step.commit > record.id)]
        return None, [*self.lineage, *passed]

    def readable(self) -> bool:
        """Whether `newest` would find a commit that is whole: every chunk is read, one at a time, and none is kept."""
        for name in self.standing():
            record = self._index.record(name)
            if isinstance(record, PassedOver):
                continue
            try:
                raw = whole_of(record)
                for entry in (*raw["parts"].values(), *raw["buffers"], *raw["files"].values()):
                    for _ in self._chunks(entry):
                        pass
            except StoreDamaged:
                continue
            return True
        return False

    def load(self, record: CommitRecord) -> Loaded:
        """A commit's state, every chunk verified; StoreDamaged if something is missing or damaged."""
        raw = whole_of(record)
        parts = {name: bytes(self.join(part)) for name, part in raw["parts"].items()}
        buffers = {buffer["key"]: self.join(buffer) for buffer in raw["buffers"]}
        for entry in raw["files"].values():
            self.join(entry)
        return Loaded(record, parts, buffers)

    def parts(self, record: CommitRecord) -> dict[str, bytes]:
        """The pickled parts of a commit's state, without its memory; StoreDamaged if one is missing or damaged."""
        return {name: bytes(self.join(part)) for name, part in record.raw["parts"].items()}

    def files(self, record: CommitRecord) -> dict[str, FileInfo]:
        return _infos(record.raw["files"])

    def read_file(self, record: CommitRecord, name: str) -> bytes:
        return bytes(self.join(record.raw["files"][name]))

    def unit_files(self, record: CommitRecord) -> dict[str, FileInfo]:
        return _infos(record.raw["unit_files"])

    def read_unit_file(self, record: CommitRecord, name: str) -> bytes:
        return bytes(self.join(record.raw["unit_files"][name]))

    def join(self, entry: Mapping[str, Any]) -> bytearray:
        """An entry's bytes, every chunk verified; StoreDamaged if one is missing or damaged."""
        data = bytearray()
        for chunk in self._chunks(entry):
            data += chunk
        return data

    def _chunks(self, entry: Mapping[str, Any]) -> Iterator[bytes]:
        size = 0
        for chunk, pack in zip(entry["chunks"], entry["packs"], strict=True):
            opened = self._pack(pack)
            if chunk not in opened.index:
                raise StoreDamaged(f"pack {pack[:12]} lacks a chunk that the commit needs")
            data = opened.read(chunk)
            size += len(data)
            yield data
        if size != entry["size"]:
            raise StoreDamaged("an entry has another size than its record says")

    def _pack(self, name: str) -> Pack:
        if name not in self._packs:
            self._packs[name] = open_pack(self.path / "packs" / f"{name}.pack")
        return self._packs[name]


def _infos(entries: Mapping[str, Any]) -> dict[str, FileInfo]:
    return {name: FileInfo(entry["size"], entry["mode"]) for name, entry in entries.items()}


def whole_of_newest(records: Iterable[CommitRecord], keep: int) -> list[CommitRecord]:
    """Of `records`, newest first, those whose state is kept: the newest `keep`, the newest unit end and cell end."""
    whole: list[CommitRecord] = []
    wanted = {"unit", "cell"}
    for record in records:
        if len(whole) < keep or record.kind in wanted:
            whole.append(record)
        wanted.discard(record.kind)
        if not wanted and len(whole) >= keep:
            break
    return whole


def units_of(records: Iterable[CommitRecord]) -> list[CommitRecord]:
    """Of `records`, newest first, the unit ends, oldest first; of several for one unit, the newest."""
    newest: dict[tuple[str, str], CommitRecord] = {}
    for record in records:
        if record.unit is not None:
            newest.setdefault(unit_key(record), record)
    return list(reversed(newest.values()))


def unit_key(record: CommitRecord) -> tuple[str, str]:
    assert record.unit is not None
    return str(record.unit["group"]), str(record.unit["key"])


def unit_packs(record: CommitRecord) -> frozenset[str]:
    """Packs that what the unit saved needs; they are kept for as long as the store is."""
    return packs_of(record.raw["unit_files"].values())


def packs_needed(whole: Iterable[CommitRecord], units: Iterable[CommitRecord]) -> set[str]:
    """Packs that are needed by the state of `whole` and by what the unit ends `units` saved."""
    return set().union(*(state_packs(r) | unit_packs(r) for r in whole), *(unit_packs(r) for r in units))


def check_format(path: Path, shown: str | None = None) -> None:
    """Whether a store is there that this version reads; ForeignStore or StoreTooNew if not. `shown`: what people call it."""
    name = shown or str(path)
    try:
        content = read_plain(path / "FORMAT")
    except (OSError, StoreDamaged):
        raise ForeignStore(f"{name} holds no colab_guard store; check the name, or run the cell once to make it") from None
    check_line(content, name)
    if linked := check_no_links(path, FOLDERS):
        raise ForeignStore(f"{path / linked} is a link, and no folder of a store; put the store's own folder there")


def format_of(path: Path) -> int:
    """The version of the store at `path`, which was checked."""
    return int(read_plain(path / "FORMAT").split()[2])


def check_line(content: bytes, name: str) -> None:
    """As `check_format`, of what FORMAT holds."""
    line = content.decode(errors="replace")
    damage, words = _damage(line), line.split()
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
        line = read_plain(path / "FORMAT").decode(errors="replace")
    except FileNotFoundError:
        return ""
    except (OSError, StoreDamaged) as error:
        return f"its FORMAT cannot be read ({getattr(error, 'strerror', None) or error})"
    return _damage(line)


def _damage(line: str) -> str:
    known = FORMAT_LINE.fullmatch(line) and (int(line.split()[2]) in KNOWN_VERSIONS or int(line.split()[2]) > FORMAT_VERSION)
    return "" if known else f"its FORMAT says {line[:40].strip()!r}"
