"""What instrumentation costs: nanoseconds per iteration and per call, and shares of whole training cells.

    python tests/benchmarks/bench_overhead.py [micro|cells|long] [NAME ...]

Every case runs plain and under `%%checkpointed` (default schedule) in one process, in turn. `micro` takes the processor
time of the training thread around the loop alone, and the best of its pairs. `cells` takes that time around whole
training loops, and prints the ratio of each pair beside the share that the runtime itself measured inside. `long` takes
the processor time of the whole process (the writer's and the guard's own are in it) around a minute of LoRA, and two of a
full fine-tune, in which several snapshots are taken.
"""

from __future__ import annotations

import os
import platform
import statistics
import sys
import tempfile
import time
from typing import Any

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ["COLAB_GUARD_HOME"] = tempfile.mkdtemp()

from IPython.core.interactiveshell import InteractiveShell

from colab_guard.events import Event, SnapshotSaved, WorkEnded
from colab_guard.session import current

PAIRS = 10
Case = tuple[str, str, int]
"""Setup, the loop, and how many iterations (or calls) it has."""

MICRO: dict[str, Case] = {
    "empty for over a range": ("", "for i in range(2_000_000):\n    pass", 2_000_000),
    "empty for over a list": ("items = list(range(1_000_000))", "for x in items:\n    pass", 1_000_000),
    "empty for over dict.items()": ("items = dict.fromkeys(range(500_000))", "for k, v in items.items():\n    pass", 500_000),
    "for over zip(generator, list)": (
        "items = list(range(500_000))",
        "for a, b in zip((x for x in items), items):\n    pass",
        500_000,
    ),
    "for over the rows of an array": ("import numpy\nrows = numpy.zeros((300_000, 2))", "for row in rows:\n    pass", 300_000),
    "while with a counter": ("", "n = 0\nwhile n < 1_000_000:\n    n += 1", 1_000_000),
    "call of a function without a loop": (
        "def twice(x):\n    return 2 * x",
        "for i in range(500_000):\n    y = twice(i)",
        500_000,
    ),
    "call of a function with a loop of 3": (
        "def total(x):\n    n = 0\n    for k in range(3):\n        n += k\n    return n",
        "for i in range(100_000):\n    y = total(i)",
        100_000,
    ),
    "call in an expression, with a loop of 3": (
        "def total(x):\n    n = 0\n    for k in range(3):\n        n += k\n    return n",
        "y = 0\nfor i in range(100_000):\n    y = y + 2 * total(i)",
        100_000,
    ),
    "method call with a loop of 3": (
        "class Sum:\n    def total(self, x):\n        n = 0\n        for k in range(3):\n            n += k\n        return n\ns = Sum()",
        "for i in range(100_000):\n    y = s.total(i)",
        100_000,
    ),
    "recursion (fib, no loop)": (
        "def fib(n):\n    return n if n < 2 else fib(n - 1) + fib(n - 2)",
        "for i in range(3):\n    y = fib(18)",
        3 * 8361,
    ),
    "recursion with a loop of 2": (
        "def tree(n):\n    if n == 0:\n        return 1\n    s = 0\n    for k in range(2):\n        s += tree(n - 1)\n    return s",
        "for i in range(3):\n    y = tree(13)",
        3 * 16383,
    ),
    "inner for of 3": ("", "for i in range(100_000):\n    for j in range(3):\n        pass", 100_000),
    "inner for of 3 over a tuple": ("t = (1, 2, 3)", "for i in range(100_000):\n    for j in t:\n        pass", 100_000),
    "inner while of 3": ("", "for i in range(100_000):\n    j = 0\n    while j < 3:\n        j += 1", 100_000),
    "inner for over a generator": (
        "def gen():\n    yield 1\n    yield 2",
        "for i in range(50_000):\n    for j in gen():\n        pass",
        50_000,
    ),
    "inner for over a small array": (
        "import numpy\nsmall = numpy.arange(3)",
        "for i in range(50_000):\n    for j in small:\n        pass",
        50_000,
    ),
    "inner for over an object with __iter__": (
        "class Bag:\n    def __iter__(self):\n        return iter((1, 2, 3))\nbag = Bag()",
        "for i in range(50_000):\n    for j in bag:\n        pass",
        50_000,
    ),
    "generator loop of the notebook": (
        "def gen(n):\n    for i in range(n):\n        yield i",
        "for x in gen(500_000):\n    pass",
        500_000,
    ),
    "while with a call in its test": (
        "def more(n):\n    for k in range(1):\n        pass\n    return n < 200_000",
        "n = 0\nwhile more(n):\n    n += 1",
        200_000,
    ),
    "if with a call in its test": (
        "def odd(n):\n    for k in range(1):\n        pass\n    return n & 1",
        "for n in range(200_000):\n    if odd(n):\n        y = n",
        200_000,
    ),
}

TORCH = "import torch\ntorch.manual_seed(0)\ntorch.set_num_threads(1)\n"
CELLS: dict[str, Case] = {
    "numpy SGD": (
        "import numpy as np\nr = np.random.default_rng(0)\nX, w = r.normal(size=(4096, 32)), np.zeros(32)\ny = X @ r.normal(size=32)",
        "for epoch in range(400):\n    for b in range(0, 4096, 16):\n        x = X[b:b + 16]\n"
        "        w -= 0.01 * (x.T @ (x @ w - y[b:b + 16])) / 16",
        400 * 256,
    ),
    "torch MLP": (
        TORCH + "net = torch.nn.Sequential(torch.nn.Linear(20, 64), torch.nn.ReLU(), torch.nn.Linear(64, 2))\n"
        "optimizer = torch.optim.Adam(net.parameters())\nx, y = torch.randn(1024, 20), torch.randint(0, 2, (1024,))\n"
        "loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(x, y), batch_size=32, shuffle=True)",
        "for epoch in range(40):\n    for xb, yb in loader:\n        loss = torch.nn.functional.cross_entropy(net(xb), yb)\n"
        "        optimizer.zero_grad()\n        loss.backward()\n        optimizer.step()",
        40 * 32,
    ),
    "LoRA": (
        TORCH + "import peft, transformers\n"
        "config = transformers.BertConfig(vocab_size=2000, hidden_size=128, num_hidden_layers=4, num_attention_heads=4, intermediate_size=256)\n"
        "model = peft.get_peft_model(transformers.BertForMaskedLM(config), peft.LoraConfig(r=4, target_modules=['query', 'value']))\n"
        "optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad])\nids = torch.randint(0, 2000, (2, 32))",
        "for step in range(60):\n    loss = model(input_ids=ids, labels=ids).loss\n    loss.backward()\n    optimizer.step()\n    optimizer.zero_grad()",
        60,
    ),
    "Q-learning": (
        "import random\n",
        "Q = {(s, a): 0.0 for s in range(25) for a in range(4)}\nrandom.seed(0)\n"
        "def move(s, a):\n    x, y = s % 5, s // 5\n    if a == 0: x = min(4, x + 1)\n    elif a == 1: x = max(0, x - 1)\n"
        "    elif a == 2: y = min(4, y + 1)\n    else: y = max(0, y - 1)\n    return x + 5 * y\n"
        "steps = 0\nfor episode in range(5000):\n    s = 0\n    for t in range(40):\n"
        "        a = random.randrange(4) if random.random() < 0.1 else max(range(4), key=lambda b: Q[s, b])\n"
        "        n = move(s, a)\n        r = 1.0 if n == 24 else -0.01\n"
        "        Q[s, a] += 0.1 * (r + 0.9 * max(Q[n, b] for b in range(4)) - Q[s, a])\n        s = n\n        steps += 1\n"
        "        if n == 24:\n            break",
        100_000,
    ),
    "cellular automaton": (
        "rule = {(a, b, c): (110 >> (4 * a + 2 * b + c)) & 1 for a in (0, 1) for b in (0, 1) for c in (0, 1)}\n",
        "row = [0] * 400\nrow[-1] = 1\nhistory = []\nfor generation in range(2000):\n"
        "    new = []\n    for i in range(len(row)):\n        new.append(rule[row[i - 1], row[i], row[(i + 1) % len(row)]])\n"
        "    row = new\n    history.append(sum(row))",
        2000 * 400,
    ),
}

FULL = (
    TORCH + "layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, batch_first=True, dropout=0.0)\n"
    "model = torch.nn.Sequential(torch.nn.Embedding(8000, 768), torch.nn.TransformerEncoder(layer, 7, enable_nested_tensor=False), torch.nn.Linear(768, 8000))\n"
    "optimizer = torch.optim.AdamW(model.parameters())\nids = torch.randint(0, 8000, (8, 64))",
    "for step in range(STEPS):\n    loss = torch.nn.functional.cross_entropy(model(ids).flatten(0, 1), ids.flatten())\n"
    "    loss.backward()\n    optimizer.step()\n    optimizer.zero_grad()",
)
LONG = {"LoRA": (CELLS["LoRA"][0], CELLS["LoRA"][1].replace("range(60)", "range(STEPS)"), 60.0), "full": (*FULL, 120.0)}
"""Setup, the loop, and how many seconds it is to last."""


class Bench:
    """A shell with the extension, and the two ways to run a case."""

    def __init__(self) -> None:
        self.shell = InteractiveShell.instance()
        self.shell.run_line_magic("load_ext", "colab_guard")
        self.session = current(self.shell)
        self.session.panel_factory = None
        self.saved: list[SnapshotSaved] = []
        self.shares: list[float] = []
        self.session.bus.subscribe(self._hear)
        self._number = 0

    def _hear(self, event: Event, at: float) -> None:
        if isinstance(event, SnapshotSaved):
            self.saved.append(event)
        if isinstance(event, WorkEnded):
            self.shares.append(getattr(event, "guard_share", float("nan")))

    def plain(self, source: str) -> float:
        exec(compile(source, self.shell.compile.cache(source, 0), "exec"), self.shell.user_ns)
        return float(self.shell.user_ns["took"])

    def guarded(self, source: str) -> float:
        self._number += 1
        self.shell.run_cell_magic("checkpointed", f"bench{self._number}", source)
        return float(self.shell.user_ns["took"])

    def setup(self, source: str) -> None:
        self.shell.run_cell(source + "\nimport time")


def timed(loop: str, clock: str) -> str:
    return f"began = time.{clock}()\n{loop}\ntook = time.{clock}() - began"


def chosen(cases: dict[str, Case], words: list[str]) -> dict[str, Case]:
    return {name: case for name, case in cases.items() if not words or any(word in name for word in words)}


def micro(bench: Bench, words: list[str]) -> None:
    print(f"{'nanoseconds per iteration (or call)':42}{'plain':>9}{'guarded':>9}{'more':>9}")
    for name, (setup, loop, count) in chosen(MICRO, words).items():
        bench.setup(setup)
        source = timed(loop, "thread_time")
        pairs = [(bench.plain(source), bench.guarded(source)) for _ in range(PAIRS)]
        plain, guarded = (min(side) / count * 1e9 for side in zip(*pairs, strict=True))
        print(f"{name:42}{plain:9.1f}{guarded:9.1f}{guarded - plain:9.1f}", flush=True)


def cells(bench: Bench, words: list[str]) -> None:
    print(f"{'training cell':20}{'iteration':>11}{'inside':>9}{'pairs: median':>15}{'  each':6}")
    for name, (setup, loop, count) in chosen(CELLS, words).items():
        bench.setup(setup)
        source = timed(loop, "thread_time")
        bench.plain(source)
        bench.shares.clear()
        pairs = [(bench.plain(source), bench.guarded(source)) for _ in range(PAIRS)]
        bench.session.bus.flush()
        ratios = [guarded / plain for plain, guarded in pairs]
        iteration = statistics.median(plain for plain, _ in pairs) / count * 1e6
        inside = statistics.median(bench.shares)
        each = " ".join(f"{ratio:.3f}" for ratio in sorted(ratios))
        print(f"{name:20}{iteration:8.1f} µs{inside:9.2%}{statistics.median(ratios):15.3f}  {each}", flush=True)


def long(bench: Bench, words: list[str]) -> None:
    for name, (setup, loop, seconds) in LONG.items():
        if words and name not in words:
            continue
        bench.setup(setup)
        bench.plain(timed(loop.replace("STEPS", "2"), "perf_counter"))
        steps = max(2, round(10 * seconds / bench.plain(timed(loop.replace("STEPS", "10"), "perf_counter"))))
        source = timed(loop.replace("STEPS", str(steps)), "process_time")
        bench.shares.clear()
        bench.saved.clear()
        print(f"{name}: {steps} steps; processor seconds plain, guarded, ratio, snapshots, share measured inside", flush=True)
        ratios = []
        for _ in range(PAIRS):
            before = len(bench.saved)
            plain, guarded = bench.plain(source), bench.guarded(source)
            bench.session.bus.flush()
            ratios.append(guarded / plain)
            print(f"  {plain:8.2f} {guarded:8.2f} {ratios[-1]:7.4f} {len(bench.saved) - before:3} {bench.shares[-1]:8.2%}", flush=True)
        spread = statistics.stdev(ratios) / len(ratios) ** 0.5
        print(f"  mean {statistics.mean(ratios):.4f} ± {spread:.4f}, median {statistics.median(ratios):.4f}")


def main() -> None:
    words: list[str] = sys.argv[1:]
    which: Any = words.pop(0) if words and words[0] in ("micro", "cells", "long") else None
    print(f"Python {platform.python_version()}, {PAIRS} interleaved pairs")
    began = time.perf_counter()
    bench = Bench()
    if which in (None, "micro"):
        micro(bench, words)
    if which in (None, "cells"):
        cells(bench, words)
    if which == "long":
        long(bench, words)
    print(f"{time.perf_counter() - began:.0f} s")


if __name__ == "__main__":
    main()
