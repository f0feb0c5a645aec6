"""What the panel weighs: bundles and updates in bytes, and what an event and a drawing cost the kernel.

    python -m tests.benchmarks.bench_panel

An update is what the kernel sends a page: the view and at most one piece of the table of ended runs. Times are of the kernel's
thread that draws, beside training; sizes do not depend on the machine.
"""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Iterator
from importlib.resources import files

from colab_guard.events import StepDone
from colab_guard.panel.surfaces import bundle_bytes, live_bundle, static_bundle
from colab_guard.panel.view import LIMIT_BYTES, weight
from tests.panel.scenes import MODELS, SCENES, Sweep

LABEL = '長い "名前"' * 40


def bundles() -> Iterator[tuple[str, int, int]]:
    for name in ("panel.js", "connection.js", "panel.css"):
        data = (files("colab_guard") / "static" / name).read_bytes()
        yield name, len(data), len(gzip.compress(data))


class Heaviest:
    """The most bytes of an update: of the view and the largest piece beside it, and of the HTML where there is no anywidget."""

    def __init__(self) -> None:
        self.widget = self.html = 0

    def look(self, sweep: Sweep) -> None:
        view = sweep.panel.view()
        pieces = (len(json.dumps(piece, ensure_ascii=False).encode()) for piece in view.pieces())
        self.widget = max(self.widget, weight(view) + max(pieces, default=0))
        self.html = max(self.html, bundle_bytes(live_bundle(view)))

    def __str__(self) -> str:
        return f"{self.widget:7,} {self.html:7,}"


def of_39() -> Heaviest:
    sweep, most = Sweep(), Heaviest()
    for index in range(39):
        sweep.whole(index)
        most.look(sweep)
    return most


def of_10_000() -> Heaviest:
    """The newest of 10,000 runs, with labels, parameters and errors as long as they come."""
    from colab_guard.events import UnitFinished, UnitStarted

    sweep, most = Sweep(), Heaviest()
    for index in range(9_850, 10_000):
        params: dict[str, object] = {f"{LABEL}{number}": LABEL for number in range(6)}
        sweep.post(UnitStarted(sweep="lora-39", index=index, total=10_000, label=LABEL, params=params))
        for step in range(60):
            sweep.post(StepDone(step=step, total=60, loss=1 / (step + 1)))
        sweep.post(UnitFinished(sweep="lora-39", index=index, label=LABEL, status="failed", reason=LABEL, did=LABEL, seconds=1))
        sweep.sample(index / 10_000)
        sweep.commit("unit", LABEL)
        most.look(sweep)
    return most


def microseconds(times: int, call: object) -> float:
    assert callable(call)
    began = time.perf_counter()
    for _ in range(times):
        call()
    return (time.perf_counter() - began) / times * 1e6


def main() -> None:
    print("bundles (bytes; gzipped)")
    for name, size, packed in bundles():
        print(f"  {name:14} {size:7,} {packed:7,}")
    print(f"updates (bytes, of at most {LIMIT_BYTES:,}; HTML without anywidget)")
    print(f"  39 runs        {of_39()}")
    print(f"  10,000 runs    {of_10_000()}   long labels, each run failed")
    sweep = SCENES["39-runs"]()
    view = sweep.panel.view()
    print(f"static, in the notebook: {len(json.dumps(static_bundle(view))):,} bytes ({len(MODELS)} models, 39 runs)")
    steps = iter(range(1, 10**9))
    print("times (µs)")
    print(f"  a step's event {microseconds(20_000, lambda: sweep.post(StepDone(step=next(steps), total=10**9, loss=0.5))):7.1f}")
    print(f"  a view         {microseconds(200, sweep.panel.view):7.0f}")
    print(f"  the live HTML  {microseconds(50, lambda: live_bundle(view)):7.0f}")


if __name__ == "__main__":
    main()
