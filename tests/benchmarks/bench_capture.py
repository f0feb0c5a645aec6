"""How fast Python objects are captured: megabytes of pickle per second, beside C's `pickle.dumps` of the same objects.

    python tests/benchmarks/bench_capture.py [NAME ...]

Targets: built-in containers at 50 MB/s or more, instances at half the speed of `pickle.dumps` or more. `peak` is the
most memory that Python allocated above the start, as a multiple of the captured bytes; `secrets` what looking for them adds.
"""

from __future__ import annotations

import collections
import pickle
import platform
import sys
import time
import tracemalloc
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from colab_guard import state
from colab_guard.state import Live

ROUNDS = 5
UNLOOKED = Live(vars(sys.modules["__main__"]), dict(vars(sys.modules["__main__"])))
LIVE = replace(UNLOOKED, secrets=state.Secrets(UNLOOKED.start))


class Plain:
    def __init__(self, n: int) -> None:
        self.n, self.name, self.weight = n, "node", n / 3


@dataclass
class Data:
    n: int
    name: str
    weight: float


class Slots:
    __slots__ = ("n", "name", "weight")

    def __init__(self, n: int) -> None:
        self.n, self.name, self.weight = n, "node", n / 3


@dataclass(frozen=True)
class Frozen:
    n: int
    name: str


class Tuple(NamedTuple):
    n: int
    name: str
    weight: float


def transitions() -> Any:
    import numpy

    random = numpy.random.default_rng(0)
    seen = [random.normal(size=4).astype("float32") for _ in range(50_001)]
    return collections.deque((seen[i], i % 2, 1.0, seen[i + 1], False) for i in range(50_000))


def small_arrays() -> Any:
    import numpy

    return [numpy.arange(8.0) + i for i in range(10_000)]


def tensors() -> Any:
    import torch

    return {f"layer{i}.weight": torch.randn(64, 64) for i in range(1000)}


def frame() -> Any:
    import numpy
    import pandas

    return pandas.DataFrame({f"c{i}": numpy.random.default_rng(i).normal(size=100_000) for i in range(8)} | {"text": ["word"] * 100_000})


CASES: dict[str, tuple[str, Callable[[], Any]]] = {
    "list of floats": ("containers", lambda: [i / 3 for i in range(2_000_000)]),
    "list of ints": ("containers", lambda: list(range(2_000_000))),
    "list of texts": ("containers", lambda: [f"word {i}" for i in range(500_000)]),
    "rows of floats": ("containers", lambda: [[float(i + j) for j in range(20)] for i in range(50_000)]),
    "list of dicts": ("containers", lambda: [{"n": i, "text": str(i), "pair": (i, i + 0.5)} for i in range(100_000)]),
    "dict of tuples": ("containers", lambda: {(i, i + 1): (i, float(i)) for i in range(300_000)}),
    "defaultdict of lists": ("containers", lambda: collections.defaultdict(list, {i: [i, i + 1.5] for i in range(200_000)})),
    "200,000 plain instances": ("instances", lambda: [Plain(i) for i in range(200_000)]),
    "200,000 of a dataclass": ("instances", lambda: [Data(i, "node", i / 3) for i in range(200_000)]),
    "200,000 with __slots__": ("instances", lambda: [Slots(i) for i in range(200_000)]),
    "200,000 of a frozen dataclass": ("instances", lambda: [Frozen(i, "node") for i in range(200_000)]),
    "200,000 named tuples": ("instances", lambda: [Tuple(i, "node", i / 3) for i in range(200_000)]),
    "10,000 arrays of 8": ("arrays", small_arrays),
    "replay buffer of 50,000": ("arrays", transitions),
    "1,000 tensors of 64 x 64": ("arrays", tensors),
    "a table of 100,000 rows": ("arrays", frame),
}


def best(work: Callable[[], Any]) -> float:
    times = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        work()
        times.append(time.thread_time() - began)
    return min(times)


def captured(value: Any, live: Live = LIVE) -> state.Captured:
    return state.capture({"names": {"value": value}}, {"names": {}}, live)


def peak(value: Any) -> float:
    tracemalloc.start()
    captured(value)
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return most


def main() -> None:
    print(f"Python {platform.python_version()}, best of {ROUNDS}")
    print(f"{'':32}{'pickle':>9}{'buffers':>9}{'capture':>10}{'MB/s':>7}{'speed / pickle.dumps':>22}{'peak':>7}{'secrets':>9}")
    for name, (_, make) in CASES.items():
        if sys.argv[1:] and not any(word in name for word in sys.argv[1:]):
            continue
        try:
            value = make()
        except ImportError as error:
            print(f"{name:32} n/a: {error}")
            continue
        plain = best(lambda: pickle.dumps(value, 5))
        ours = best(lambda: captured(value))
        unlooked = best(lambda: captured(value, UNLOOKED))
        got = captured(value)
        graph, buffers = (sum(map(len, parts)) / 1e6 for parts in (got.parts.values(), (b.data for b in got.buffers)))
        most = peak(value) / 1e6 / (graph + buffers) if "--peak" in sys.argv or len(sys.argv) == 1 else float("nan")
        print(
            f"{name:32}{graph:6.1f} MB{buffers:6.1f} MB{ours * 1e3:7.0f} ms{(graph + buffers) / ours:7.0f}{plain / ours:20.2f} x{most:7.1f}{ours / unlooked - 1:9.0%}",
            flush=True,
        )


if __name__ == "__main__":
    main()
