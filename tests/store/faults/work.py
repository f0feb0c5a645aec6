"""A store's work under faults, in a process that the library was loaded into; prints what was found, as JSON."""

from __future__ import annotations

import errno
import json
import random
import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from colab_guard.errors import GuardError
from colab_guard.store import Store, verify
from colab_guard.store.view import packs_needed
from tests.store.faults.preload import FAULTS, Control
from tests.store.kills.content import ME, draft, ends_unit, wrong, wrong_units

COMMITS = 6
SHARES = (0.02, 0.1, 0.5, 1.0)
REOPENED = 0.3


@dataclass
class Found:
    faults: int = 0
    saved: int = 0
    failed: int = 0
    after: int = 0
    wrong: list[str] = field(default_factory=list)


class Work:
    def __init__(self, root: Path, seed: int) -> None:
        self.path = root / "store"
        self.scratch = root.parent / "adapter.bin"
        self.random = random.Random(seed)
        self.control = Control.here()
        self.found = Found()
        self.number = self.saved = 0
        self.units: set[int] = set()
        self.store = self._opened()

    def _opened(self) -> Store:
        store = Store.open(self.path, ME)
        store.newest()
        return store

    def round(self) -> None:
        """Some commits with one fault, then some without."""
        call, error = self.random.choice(FAULTS)
        what = f"{call} {errno.errorcode.get(error, '')}".strip()
        # Python calls again after EINTR, for ever where every call is interrupted
        share = self.random.choice(SHARES[:-1] if error == errno.EINTR else SHARES)
        with self.control.failing(call, error, share):
            for _ in range(self.random.randint(1, COMMITS)):
                self._commit(what, may_fail=True)
        self._look(f"under {what}")
        if self.random.random() < REOPENED:
            self.store.close()
            self.store = self._opened()
        for _ in range(2):
            self._commit(f"after {what}", may_fail=False)
        self._look(f"after {what}")
        self._space(f"after {what}")

    def _commit(self, when: str, *, may_fail: bool) -> None:
        self.number += 1
        try:
            self.store.commit(draft(self.number, self.scratch))
        except (OSError, GuardError) as error:
            self.found.failed += 1
            if not may_fail:
                self.found.wrong.append(f"{when}, a commit failed: {type(error).__name__}: {error}")
            return
        self.saved = self.number
        self.found.saved += 1
        self.found.after += not may_fail
        if ends_unit(self.number):
            self.units.add(self.number)

    def _look(self, when: str) -> None:
        view = Store.view(self.path)
        loaded, passed = view.newest()
        number = 0 if loaded is None else int(loaded.parts["graph"])
        if number < self.saved or (loaded is None and self.saved):
            self.found.wrong.append(f"{when}, commit {self.saved} was reported saved, and {number} is the newest; {passed}")
        elif loaded is not None and (said := wrong(loaded) or wrong_units(view, self.units)):
            self.found.wrong.append(f"{when}: {said}")

    def _space(self, when: str) -> None:
        """Nothing stays that a store without faults would not have."""
        view = Store.view(self.path)
        whole, units = view.retained()
        records = {f"{record.id}.json" for record in [*whole, *units]}
        packs = {f"{name}.pack" for name in packs_needed(whole, units)}
        more = {path.name for part in ("packs", "commits") for path in (self.path / part).iterdir()} - records - packs
        if more:
            self.found.wrong.append(f"{when}: {len(more)} files stay that nothing needs: {sorted(more)[:2]}")
        self.found.wrong += [f"{when}: {line}" for line in verify(self.path)]


def main() -> None:
    root, rounds, seed = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    work = Work(root, seed)
    for _ in range(rounds):
        work.round()
    work.found.faults = work.control.done
    print(json.dumps(asdict(work.found)))


if __name__ == "__main__":
    main()
