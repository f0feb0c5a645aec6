"""Guarded cells whose snapshots are copied beside training: same bits, also after an error in the middle of a pass."""

from __future__ import annotations

import builtins
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from colab_guard.events import Event, EventBus, NotBitExact, NotKept, Resumed, SnapshotNotTaken, SnapshotSaved
from colab_guard.session import current
from colab_guard.state import Overlap
from colab_guard.store import Store

SETUP = """
import torch, builtins
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(192, 256), torch.nn.Dropout(0.1), torch.nn.ReLU(), torch.nn.Linear(256, 192))
optimizer = torch.optim.AdamW(model.parameters())
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, 7)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(torch.randn(256, 192)), batch_size=16, shuffle=True)
losses = []
"""
CELL = """for epoch in range(8):
    for (x,) in loader:
        if len(losses) == builtins.fails_at:
            raise ValueError("no more data")
        optimizer.zero_grad()
        loss = (model(x) - x).square().mean()
        loss.backward()
        optimizer.step()
        scheduler.step()
        losses.append(loss.item())
"""


def summed(data: Any) -> float:
    return torch.frombuffer(bytearray(data), dtype=torch.float32).double().sum().item()


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "fails_at", -1, raising=False)
    InteractiveShell.clear_instance()
    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "colab_guard")
    current(made).panel_factory = None
    yield made
    made.run_line_magic("unload_ext", "colab_guard")
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("way", ["params", "full"])
def test_a_cell_goes_on_from_its_last_snapshot_after_an_error_with_the_same_bits(
    way: str, shell: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[Event] = []
    bus: EventBus = current(shell).bus
    bus.subscribe(lambda event, at: events.append(event))
    monkeypatch.setattr("colab_guard.snapshots.schedule.COST_FACTOR", 0.0)
    shell.run_cell(SETUP)
    exec(CELL, shell.user_ns)
    losses, weights = list(shell.user_ns["losses"]), [p.detach().clone() for p in shell.user_ns["model"].parameters()]
    words = f"work --every 0.001s --budget 90% --overlap {way}"
    shell.run_cell(SETUP)
    monkeypatch.setattr(builtins, "fails_at", 100)
    with pytest.raises(ValueError, match="no more data"):
        shell.run_cell_magic("checkpointed", words, CELL)
    bus.flush()
    assert any(isinstance(event, SnapshotSaved) for event in events), "the last one is saved when the cell fails"
    shell.run_cell(SETUP)
    monkeypatch.setattr(builtins, "fails_at", -1)
    shell.run_cell_magic("checkpointed", f"{words} --resume", CELL)
    bus.flush()
    resumed = [event for event in events if isinstance(event, Resumed)]
    assert len(resumed) == 1 and resumed[0].depth > 0
    assert not [event for event in events if isinstance(event, (NotKept, NotBitExact, SnapshotNotTaken))]
    assert shell.user_ns["losses"] == losses
    assert all(map(torch.equal, weights, shell.user_ns["model"].parameters()))


@pytest.mark.parametrize("use", ["import helping", "from helping import damp", "import using"])
def test_what_a_module_beside_the_notebook_writes_unseen_tears_no_snapshot(
    use: str, shell: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    helping = "def damp(optimizer):\n    for each in optimizer.state.values():\n        each['exp_avg'].data.neg_()\n"
    (tmp_path / "helping.py").write_text(helping)
    (tmp_path / "using.py").write_text("from helping import damp\n\n\ndef prepare(optimizer):\n    damp(optimizer)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr("colab_guard.snapshots.schedule.COST_FACTOR", 0.0)
    monkeypatch.setattr(Overlap, "work_beside", lambda self: None)
    saved: list[tuple[str, float]] = []
    plain = Store.commit

    def commit(self: Store, draft: Any) -> Any:
        label = "optimizer.state[model.0.weight].exp_avg"
        saved.extend((str(draft.position["text"]), summed(b.data)) for b in draft.buffers if b.label == label)
        monkeypatch.setattr(builtins, "fails_at", len(saved))
        return plain(self, draft)

    monkeypatch.setattr(Store, "commit", commit)
    call = {"import helping": "helping.damp", "from helping import damp": "damp", "import using": "using.prepare"}[use]
    body = f"{use}\nmoments = {{}}\nfor step in range(100_000):\n    {call}(optimizer)\n    model(torch.randn(4, 192)).sum().backward()\n"
    body += "    optimizer.step()\n    moments[step + 2] = optimizer.state[model[0].weight]['exp_avg'].double().sum().item()\n"
    body += "    if builtins.fails_at > 3:\n        break\n"
    shell.run_cell(SETUP)
    shell.run_cell_magic("checkpointed", "work --every 0.001s --budget 90%", body)
    current(shell).bus.flush()
    found = [(int(match[1].replace(",", "")), data) for text, data in saved if (match := re.match(r"iteration ([\d,]+)", text))]
    assert found, [text for text, _ in saved]
    assert all(shell.user_ns["moments"][number] == data for number, data in found)
    for name in ("helping", "using"):
        sys.modules.pop(name, None)
