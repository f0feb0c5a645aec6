"""Functions under a library's decorator that switches a mode are entered again: by their own call, as methods, in stacks."""

from __future__ import annotations

import textwrap

import pytest

from tests.cells.harness import FakeEngine, results, run
from tests.cells.test_functions import check, deepest, look_at_every_iteration  # noqa: F401  (a fixture)

torch = pytest.importorskip("torch")
SETUP = """
import torch
torch.manual_seed(3)
net = torch.nn.Linear(3, 1)
data = torch.randn(4, 2, 3)

@torch.no_grad()
def estimate(repeats, seen=[]):
    total = 0.0
    for _ in range(repeats):
        for batch in data:
            total += net(batch).mean().item() + torch.randn(1).item()
            seen.append(torch.is_grad_enabled())
    return total

class Judge:
    def __init__(self):
        self.modes = []
    @torch.no_grad()
    @torch.autocast("cpu", dtype=torch.bfloat16)
    def judge(self):
        for batch in data:
            self.modes.append((torch.is_grad_enabled(), torch.is_autocast_enabled("cpu"), str(net(batch).dtype)))
        return len(self.modes)
    @torch.inference_mode()
    def twice(self):
        for _ in range(2):
            self.judge()
"""
CELLS = {
    "a function": """
        optimizer = torch.optim.SGD(net.parameters(), 0.1)
        losses = []
        for step in range(3):
            loss = net(data[step]).pow(2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append((estimate(2), loss.item(), torch.is_grad_enabled()))
        seen = estimate.__wrapped__.__defaults__[0]
        del loss, optimizer
    """,
    "a method, two decorators": """
        judge = Judge()
        found = []
        for _ in range(2):
            found.append(judge.judge())
            found.append((torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
        modes = judge.modes
        del judge
    """,
    "one inside another": """
        judge = Judge()
        for _ in range(2):
            judge.twice()
        modes = [*judge.modes, torch.is_grad_enabled(), torch.is_inference_mode_enabled()]
        del judge
    """,
    "defined in the cell": """
        @torch.enable_grad()
        def train(n):
            weight = torch.zeros(2, requires_grad=True)
            made = []
            for i in range(n):
                (weight * torch.randn(2)).sum().backward()
                made.append(weight.grad.tolist())
            return made
        made = []
        with torch.no_grad():
            for _ in range(2):
                made.append((train(3), torch.is_grad_enabled()))
    """,
}


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_killed_inside_a_decorated_function_ends_as_if_nothing_had_happened(name: str) -> None:
    check(SETUP, textwrap.dedent(CELLS[name]))


def test_what_a_library_does_more_around_the_call_is_not_done_twice() -> None:
    setup = "import contextlib\ntimes = []\n@contextlib.contextmanager\ndef timed():\n    times.append(1)\n    yield\n"
    setup += "@timed()\ndef work():\n    for i in range(3):\n        times.append(i)\n"
    engine = FakeEngine()
    assert results(run(setup, "for _ in range(2):\n    work()\n", engine)[0])["times"] == [1, 0, 1, 2] * 2
    assert engine.refused and deepest(engine) == 1
