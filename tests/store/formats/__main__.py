"""Make `formats/<version>/store`: a small guarded cell that was lost at its fourth safe point, two units, a file."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from unittest.mock import patch

from colab_guard.clock import FakeClock
from colab_guard.store import BufferDraft, CommitDraft, Identity, Loaded, Store
from colab_guard.store.leases import Owner
from colab_guard.store.view import FORMAT_VERSION

HERE = Path(__file__).parent
CELL = """total = 0
seen = []
for i in range(6):
    total += i * 3
    seen.append(total)
    here()
total, seen"""
NOBODY = Owner(1, 0.0, "", "a machine")


def state() -> Loaded:
    """A real snapshot of CELL, taken in a folder that is gone."""
    from tests.session.notebook import Kernel

    with tempfile.TemporaryDirectory() as folder:
        before = Path.cwd()
        os.chdir(folder)
        try:
            with patch.dict(os.environ, {"COLAB_GUARD_HOME": f"{folder}/home"}):
                kernel = Kernel()
                kernel.guarded(CELL, lose_at=4)
                kernel.session.close()
                view = Store.view(Path(folder, "home", "work"))
                loaded, _ = view.newest()
                assert loaded is not None
                return loaded
        finally:
            os.chdir(before)


def make(target: Path) -> None:
    taken = state()
    # without what tells of the machine, and without the inputs' code, which may change here
    meta = {name: taken.record.meta[name] for name in ("cell", "source", "inexact", "not_kept")}
    target.parent.mkdir(exist_ok=True)
    (target.parent / "file.txt").write_text("a file that the cell wrote\n")
    with patch.object(Owner, "me", classmethod(lambda cls: NOBODY)):
        store = Store.open(target, Identity("work", "", meta["cell"]), clock=FakeClock(1_700_000_000.0))
        for number in range(2):
            unit = {"group": "sweep", "key": f"run{number}", "record": {"loss": number / 4}}
            files = {"adapter/weights.bin": target.parent / "file.txt"}
            store.commit(CommitDraft("unit", {"text": f"unit {number}", "depth": 0}, {"graph": b""}, unit=unit, unit_files=files))
        big = [BufferDraft("extra", bytes(range(256)) * 8, "float32", (16, 32), (1, 16), "turned")]
        files = {"notes/file.txt": target.parent / "file.txt"}
        store.commit(CommitDraft("step", taken.record.position, taken.parts, big, files=files, meta=meta))
        store.close()
    (target.parent / "file.txt").unlink()


if __name__ == "__main__":
    made = HERE / str(FORMAT_VERSION) / "store"
    if made.exists():
        shutil.rmtree(made)
    make(made)
    print(f"{sum(path.stat().st_size for path in made.rglob('*') if path.is_file())} bytes in {made}")
