"""What the store itself is to keep to: bytes per commit, opening with ten thousand commits, restoring."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from unittest import mock

from colab_guard.store import BufferDraft, CommitDraft, Identity, Store

ME = Identity("bench", "/bench.ipynb")
COMMITS = 10_000
RESTORED_BYTES = 726 * 10**6
RESTORE = """
import sys, time, pathlib
from colab_guard.store import Store
began = time.perf_counter()
loaded, _ = Store.view(pathlib.Path(sys.argv[1])).newest()
print(time.perf_counter() - began)
"""
RAW = """
import sys, time, pathlib
began = time.perf_counter()
for path in pathlib.Path(sys.argv[1]).glob("packs/*.pack"):
    data = bytearray(path.stat().st_size)
    with path.open("rb", buffering=0) as file:
        view, at = memoryview(data), 0
        while n := file.readinto(view[at:]):
            at += n
    copy = bytearray(data)
print(time.perf_counter() - began)
"""


def show(folder: Path) -> None:
    print("\nthe store")
    _bytes(folder / "bytes")
    _opening(folder / "many")
    _restoring(folder / "large")


def _bytes(path: Path) -> None:
    store = Store.open(path, ME)
    data = bytearray(os.urandom(96 * 10**6))
    store.commit(_draft("a", data))
    data[50_000_000] ^= 1
    for what in ("one element of 96 MB changed", "nothing changed"):
        before = _size(path)
        record = store.commit(_draft("b", data))
        # the older of the two kept commits goes meanwhile: what is new is told by the record
        size = record.bytes_new + (path / "commits" / f"{record.id}.json").stat().st_size
        print(f"{what:44}{size:12,} bytes with the record (folder: {_size(path) - before:+,})")
    store.close()


def _opening(path: Path) -> None:
    """Unit ends are what a store keeps so many of; fsync is left out while they are made."""
    path.mkdir()
    saved = path / "adapter.bin"
    with mock.patch.object(os, "fsync", return_value=None):
        store = Store.open(path / "store", ME)
        for number in range(COMMITS):
            saved.write_bytes(os.urandom(2_000))
            unit = {"group": "sweep", "key": f"{number:032x}", "record": {"params": {"lr": 0.1, "r": number}, "results": {"loss": 0.5}}}
            store.commit(_draft(f"model {number}", bytearray(os.urandom(2_000)), unit=unit, unit_files={"adapter.bin": saved}))
        store.close()
    times = [_timed(lambda: _opened(path / "store")) for _ in range(3)]
    print(f"{f'opening a store with {COMMITS:,} commits':44}{min(times) * 1e3:9.0f} / {median(times) * 1e3:.0f} ms, min / median")
    print(f"{'  and its unit ends, for a sweep':44}{_timed(lambda: Store.view(path / 'store').units()) * 1e3:9.0f} ms")
    store = Store.open(path / "store", ME)
    times = [_timed(lambda: store.commit(_draft("more", bytearray(os.urandom(2_000))))) for _ in range(20)]
    store.close()
    fresh = Store.open(path / "fresh", ME)
    few = [_timed(lambda: fresh.commit(_draft("more", bytearray(os.urandom(2_000))))) for _ in range(20)]
    fresh.close()
    print(f"{'  a small commit there, the first':44}{times[0] * 1e3:9.0f} ms")
    print(f"{'  and the later ones':44}{median(times[1:]) * 1e3:9.1f} ms; {median(few[1:]) * 1e3:.1f} ms in a new store")


def _opened(path: Path) -> None:
    store = Store.open(path, ME)
    store.newest()
    store.close()


def _restoring(path: Path) -> None:
    store = Store.open(path, ME)
    part = RESTORED_BYTES // 20
    buffers = [BufferDraft(f"b{n}", os.urandom(part)) for n in range(20)]
    store.commit(CommitDraft("step", {"text": "large", "depth": 1}, {"graph": b"graph"}, buffers))
    store.close()
    raw, ours = [], []
    for _ in range(4):
        raw.append(_child(RAW, path))
        ours.append(_child(RESTORE, path))
    print(
        f"{'restoring 726 MB in a fresh process':44}{min(ours) * 1e3:9.0f} / {median(ours) * 1e3:.0f} ms; raw read and copy "
        f"{min(raw) * 1e3:.0f} / {median(raw) * 1e3:.0f} ms; {min(ours) / min(raw):.2f} ×"
    )


def _child(code: str, path: Path) -> float:
    return float(subprocess.run([sys.executable, "-c", code, str(path)], check=True, capture_output=True, text=True).stdout)


def _draft(text: str, data: bytearray, **more: object) -> CommitDraft:
    kind = "unit" if "unit" in more else "step"
    buffers = [BufferDraft("weights", bytes(data), "float32", (len(data) // 4,), (1,), "model.weight")]
    return CommitDraft(kind, {"text": text, "depth": 1}, {"graph": text.encode()}, buffers, **more)  # type: ignore[arg-type]


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def _timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
