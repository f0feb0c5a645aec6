"""Bits that turn over, files that are cut, zeroed or swapped: each is noticed, and what opens is never something else.

    python -m tests.store.flips [--places 500] [--seed 1]

For every file of a store with several commits, two generations, a lease that was given back and one that was not, units
and files, unsigned and signed: that many random places (all of them in a shorter file), a bit turned over in each; cuts;
zeroed blocks; each file's content put in place of another's. Noticed means that opening raises, or tells what it passed
over, or `verify` tells it. What opens is compared with what was committed, byte for byte.
"""

from __future__ import annotations

import argparse
import os
import random
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from colab_guard.errors import GuardError
from colab_guard.store import BufferDraft, CommitDraft, Identity, Store, verify

ME = Identity("work", "/nb/work.ipynb", "c0ffee")
BLOCK = 512
Contents = dict[str, Any]


@dataclass(slots=True)
class Tally:
    """Of one kind of file and one kind of damage: how many, not noticed, and opened as something else."""

    tried: int = 0
    by_open: int = 0
    unnoticed: list[str] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


def fill(path: Path, seed: int) -> dict[str, Contents]:
    """Make the store; give every commit's contents by its id."""
    chance, files = random.Random(seed), path.parent / "file"
    files.write_bytes(chance.randbytes(3000))
    written: dict[str, Contents] = {}
    base = chance.randbytes(9000)
    for session in range(3):
        store = Store.open(path, ME)
        for number in range(2):
            data = base[:8000] + chance.randbytes(1000)
            unit = {"group": "sweep", "key": f"{session}{number}", "record": {"loss": 0.5}} if number == 0 else None
            draft = CommitDraft(
                "unit" if unit else "step",
                {"text": f"step {session}.{number}", "depth": 1},
                {"graph": chance.randbytes(700), "small": b""},
                [BufferDraft("b0", data, "uint8", (9000,), (1,), "weights")],
                {"notes.txt": files},
                unit,
                {"adapter/a.bin": files} if unit else {},
            )
            record = store.commit(draft)
            written[record.id] = {
                "parts": dict(draft.parts),
                "buffers": {"b0": data},
                "position": dict(draft.position),
                "unit": unit,
                "files": {"notes.txt": files.read_bytes()},
            }
        if session < 2:
            store.close()
        else:
            store._lease_path = None  # as after a loss of the machine: not given back
            store.close()
    files.unlink()
    return written


def opened(path: Path) -> tuple[Contents | None, str | None, bool]:
    """What opens, the id of its commit, and whether anything was said."""
    try:
        view = Store.view(path)
        loaded, passed = view.newest()
        if loaded is None:
            return None, None, bool(passed)
        contents = {
            "parts": dict(loaded.parts),
            "buffers": {key: bytes(data) for key, data in loaded.buffers.items()},
            "position": dict(loaded.record.position),
            "unit": loaded.record.unit,
            "files": {name: view.read_file(loaded.record, name) for name in view.files(loaded.record)},
        }
        return contents, loaded.record.id, bool(passed)
    except GuardError:
        return None, None, True


def damages(data: bytes, places: int, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    """Kinds of damage, and what they make of a file's bytes."""
    bits = range(8 * len(data)) if 8 * len(data) <= places else chance.sample(range(8 * len(data)), places)
    for bit in bits:
        turned = bytearray(data)
        turned[bit // 8] ^= 1 << bit % 8
        yield "bit", bytes(turned)
    for length in {0, len(data) // 2, len(data) - 1, *(chance.randrange(len(data)) for _ in range(5))}:
        yield "cut", data[:length]
    for start in range(0, len(data), max(BLOCK, len(data) // 8)):
        if any(data[start : start + BLOCK]):
            yield "zeroed", data[:start] + bytes(len(data[start : start + BLOCK])) + data[start + BLOCK :]
    yield "longer", data + b"\0"
    yield "longer", data + b"\n"


def kind_of(path: Path) -> str:
    if path.suffix == ".released":
        return "released mark"
    return {"packs": "pack", "commits": "commit record", "leases": "lease"}.get(path.parent.name, path.name)


def run(places: int, seed: int, say: Callable[[str], None] = lambda line: None) -> dict[tuple[str, str], Tally]:
    """Try all; tallies by (kind of file, kind of damage)."""
    chance = random.Random(seed)
    tallies: dict[tuple[str, str], Tally] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "work"
        written = fill(path, seed)
        first, _, said = opened(path)
        assert first is not None and not said and verify(path) == []
        files = sorted(file for file in path.rglob("*") if file.is_file())
        contents = {file: file.read_bytes() for file in files}
        for file in files:
            swaps = [("swapped", contents[other]) for other in files if contents[other] != contents[file]]
            for how, data in [*damages(contents[file], places, chance), *swaps]:
                file.write_bytes(data)
                _judge(path, written, tallies.setdefault((kind_of(file), how), Tally()), f"{file.name}: {how}")
            file.write_bytes(contents[file])
            say(f"{file.relative_to(path)} done")
    return tallies


def _judge(path: Path, written: dict[str, Contents], tally: Tally, what: str) -> None:
    tally.tried += 1
    found, commit, said = opened(path)
    if found is not None and (commit is None or found != written.get(commit)):
        tally.wrong.append(what)
    tally.by_open += said
    if said:
        return
    try:
        noticed = bool(verify(path))
    except GuardError:
        noticed = True
    if not noticed:
        tally.unnoticed.append(what)


def table(tallies: dict[tuple[str, str], Tally]) -> Iterator[str]:
    yield f"{'file':<16}{'damage':<10}{'tried':>8}{'on open':>9}{'by verify':>11}{'unnoticed':>11}{'wrong value':>13}"
    for (kind, how), tally in sorted(tallies.items()):
        later = tally.tried - tally.by_open - len(tally.unnoticed)
        yield f"{kind:<16}{how:<10}{tally.tried:>8}{tally.by_open:>9}{later:>11}{len(tally.unnoticed):>11}{len(tally.wrong):>13}"
    every = Counter({"tried": sum(t.tried for t in tallies.values())})
    bad = sum(len(t.unnoticed) + len(t.wrong) for t in tallies.values())
    yield f"{every['tried']:,} damages, {bad} of them unnoticed or a wrong value"


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--places", type=int, default=500)
    options.add_argument("--seed", type=int, default=1)
    chosen = options.parse_args()
    failed = 0
    for title, variables in (("unsigned", {}), ("signed", {"COLAB_GUARD_KEY": "a key of the user's"})):
        with patch.dict(os.environ, variables):
            tallies = run(chosen.places, chosen.seed)
        print(f"\n{title}")
        print("\n".join(table(tallies)))
        for tally in tallies.values():
            print("\n".join(f"  {line}" for line in [*tally.unnoticed[:3], *tally.wrong[:3]]) or "", end="\n" * bool(tally.unnoticed or tally.wrong))
            failed += len(tally.unnoticed) + len(tally.wrong)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
