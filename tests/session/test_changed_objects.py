"""Arrays, models and other objects: the committed value wins and is said; an edit of the code that makes them is asked about."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial

import pytest

from colab_guard.errors import InputChanged
from colab_guard.session import inputs
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

TORCH = """
import torch
class Net(torch.nn.Module):
    def __init__(self, width=4):
        super().__init__()
        self.layer = torch.nn.Linear(3, width)
        self.device = "cpu"
    def forward(self, x):
        return self.layer(x).sum()
"""
MODEL = """
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
data = torch.randn(20, 3)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(data), batch_size=5)
"""
TRAIN = """
losses = []
for epoch in range(5):
    for (x,) in loader:
        optimizer.zero_grad()
        loss = model(x)
        loss.backward()
        optimizer.step()
    losses.append(loss.item())
    here()
losses
"""


def test_a_seeded_model_is_the_same_and_nothing_is_said(new_kernel: New) -> None:
    seeded = "torch.manual_seed(1)" + MODEL
    whole = new_kernel(TORCH, seeded).guarded(TRAIN, fresh=True)
    assert new_kernel(TORCH, seeded).guarded(TRAIN, fresh=True, lose_at=3) is None
    again = new_kernel(TORCH, seeded)
    assert again.guarded(TRAIN) == whole
    assert again.used == []


def test_an_unseeded_model_is_the_committed_one_and_that_is_said_once(new_kernel: New) -> None:
    first = new_kernel(TORCH, MODEL)
    assert first.guarded(TRAIN, lose_at=3) is None
    again = new_kernel("import torch\ntorch.manual_seed(123)", TORCH, MODEL)
    assert len(again.guarded(TRAIN)) == 5
    assert again.used == [
        "loader: DataLoader changed",
        "model: Net changed",
        "optimizer: Adam changed",
    ]


@pytest.mark.parametrize(
    ("before", "after", "named"),
    [
        ("lr=0.01", "lr=0.1", "optimizer: Adam changed"),
        ("Net()", "Net(width=8)", "model: Net changed"),
        ("randn(20", "randn(40", "loader: DataLoader changed"),
        ("return self.layer(x).sum()", "return self.layer(x).mean()", "Net: its code changed"),
    ],
)
def test_an_edit_of_the_code_that_makes_an_object_is_asked_about(new_kernel: New, before: str, after: str, named: str) -> None:
    assert new_kernel(TORCH, MODEL).guarded(TRAIN, lose_at=3) is None
    edited = new_kernel(TORCH.replace(before, after), MODEL.replace(before, after))
    with pytest.raises(InputChanged) as caught:
        edited.guarded(TRAIN)
    assert named in str(caught.value)


def test_equal_data_of_many_kinds_gives_no_false_alarm(new_kernel: New) -> None:
    setup = """
import collections, dataclasses, enum, functools, pathlib, types
import numpy as np, pandas as pd, torch
from sklearn.linear_model import LogisticRegression
from sklearn.datasets import load_digits
x, y = load_digits(return_X_y=True)
frame = pd.DataFrame({"a": range(30), "b": list("xyz" * 10), "c": pd.Categorical(list("uvw" * 10))})
indexed = frame.set_index("b")["a"]
estimator = LogisticRegression(max_iter=7)
words = {"one", "two", "three", "four"}
groups = {frozenset({"a", "b"}): 1}
generator = np.random.default_rng(3)
torch_generator = torch.Generator().manual_seed(4)
Point = collections.namedtuple("Point", "x y")
point = Point(1, 2)
class Colour(enum.Enum):
    RED = 1
colour = Colour.RED
@dataclasses.dataclass
class Options:
    rate: float = 0.1
    names: list = dataclasses.field(default_factory=lambda: ["a"])
options = Options()
space = types.SimpleNamespace(a=1, colour=colour)
partial = functools.partial(max, 3)
@functools.lru_cache
def cached(n):
    return n + 1
path = pathlib.Path("out")
big = list(range(200_000))
objects = [object() for _ in range(3)]
table = collections.defaultdict(list, {"a": [1]})
counter = collections.Counter("abracadabra")
queue = collections.deque([1, 2], maxlen=4)
activation = torch.relu
models = {"a": LogisticRegression, "b": lambda: 3, "c": cached}
large = torch.arange(80_000_000, dtype=torch.float32)
stream = open("log.txt", "a")
half = torch.zeros(3, dtype=torch.bfloat16)
strings = np.array(["a", "bc"], dtype=object)
class Node:
    pass
ring = Node()
ring.me = ring
"""
    names = (
        "x, y, frame, indexed, estimator, words, groups, generator, torch_generator, point, colour, options, space, partial, "
        "cached, path, big, objects, table, counter, queue, activation, models, large, stream, half, strings, ring"
    )
    cell = f"for i in range(4):\n    kept = len([{names}])\n    here()\nkept"
    first = new_kernel(setup)
    assert first.guarded(cell, lose_at=3, skip=("large", "stream", "objects")) is None
    again = new_kernel(setup)
    assert again.guarded(cell, skip=("large", "stream", "objects")) == 28
    assert again.used == []
    edited = setup.replace("rate: float = 0.1", "rate: float = 0.2").replace("max_iter=7", "max_iter=8").replace('"a": range(30)', '"a": range(1, 31)')
    with pytest.raises(InputChanged) as caught:
        new_kernel(edited).guarded(cell, skip=("large", "stream", "objects"))
    for name in ("frame: DataFrame 30 × 3 changed", "estimator: LogisticRegression changed", "options.rate: 0.1 → 0.2"):
        assert name in str(caught.value)


def test_a_lambda_in_a_table_is_compared_by_its_source(new_kernel: New) -> None:
    cell = "for i in range(4):\n    v = builders['b']()\n    here()\nv"
    setup = "builders = {'a': lambda: 1, 'b': lambda: (lambda x: x + 2)(3)}"
    assert new_kernel(setup).guarded(cell, lose_at=3) is None
    assert new_kernel(setup.replace("': ", "' :  ")).guarded(cell, lose_at=2) is None
    with pytest.raises(InputChanged, match=r"builders\['b'\]: lambda: \(lambda x: x \+ 2\)\(3\) → lambda"):
        new_kernel(setup.replace("x + 2", "x + 3")).guarded(cell)


def test_how_each_input_is_compared_can_be_told(new_kernel: New) -> None:
    kernel = new_kernel("import numpy as np\nrate, big, stream = 0.1, np.zeros(40_000_000), (i for i in range(3))")
    lines = inputs.explain(inputs.look("\nprint(rate, big, stream)", kernel.names, kernel.names["In"]))
    assert lines == [
        "big: array (40000000,) float64; too large to be compared whole: samples of it are",
        "rate: 0.1; compared whole",
        "stream: generator; cannot be compared (a running generator cannot be looked into); the committed value is used",
    ]


def test_code_without_a_source_has_the_same_hash_whatever_the_hash_seed() -> None:
    """A frozen dataclass of Python 3.13 looks its fields up in a set, in code that it makes itself."""
    code = (
        "from colab_guard.state.codes import code_hash\nnames = {}\n"
        "exec('def f(x):\\n    return x in {\"alpha\", \"beta\", \"gamma\", \"delta\"}', names)\nprint(code_hash(names['f']))"
    )
    run = partial(subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert len({run(env={**os.environ, "PYTHONHASHSEED": seed}).stdout for seed in "1234"}) == 1
