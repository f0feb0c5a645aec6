"""What the retention of a store lets go when a commit is added, without a look at all that is kept.

A store may keep ten thousand unit ends; what a new commit lets go are only a step before it, and the packs that nothing
else needs. The first look of a writer is at everything (`StoreView.retained`); from there on this follows.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence, Set

from colab_guard.store.index import state_packs
from colab_guard.store.types import CommitRecord
from colab_guard.store.view import packs_needed, unit_key, unit_packs, whole_of_newest


class Retention:
    """The commits `whole` and unit ends `units` are kept; what goes is told by `let_go`."""

    def __init__(self, whole: Sequence[CommitRecord], units: Iterable[CommitRecord]) -> None:
        self._whole = list(whole)
        self._units = {unit_key(record): record for record in units}
        self._uses = Counter(pack for record in self._units.values() for pack in unit_packs(record))
        self._records: set[str] = set()
        self._packs: set[str] = set()

    def add(self, record: CommitRecord, keep: int) -> None:
        """`record` is the newest now."""
        found = [record, *self._whole]
        if record.unit is not None:
            before = self._units.get(unit_key(record))
            found += [before] if before is not None and before not in found else []
            self._units[unit_key(record)] = record
            self._uses.update(unit_packs(record))
            self._uses.subtract(unit_packs(before) if before is not None else ())
        self._whole = whole_of_newest([record, *self._whole], keep)
        for left in found:
            if not self._keeps(left):
                self._records.add(left.id)
            self._packs |= state_packs(left) | unit_packs(left)
        needed = packs_needed(self._whole, [])
        self._packs = {pack for pack in self._packs if pack not in needed and self._uses[pack] <= 0}

    def let_go(self, pinned: Set[str]) -> tuple[set[str], set[str]]:
        """Records and packs to be removed now, records first; those that are `pinned` stay until a later time."""
        going = self._records - pinned, self._packs - pinned
        self._records &= pinned
        self._packs &= pinned
        return going

    def _keeps(self, record: CommitRecord) -> bool:
        if any(kept.id == record.id for kept in self._whole):
            return True
        return record.unit is not None and self._units[unit_key(record)].id == record.id
