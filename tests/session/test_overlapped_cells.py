"""Guarded cells whose snapshots are copied beside training: same bits, also after an error in the middle of a pass."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from colab_guard.events import Event, EventBus, NotBitExact, NotKept, Resumed, SnapshotNotTaken, SnapshotSaved
from colab_guard.session import current

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


@pytest.fixture
def shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builtins, "fails_at", -1, raising=False)
    made = InteractiveShell.instance()
    made.run_line_magic("load_ext", "colab_guard")
    current(made).panel_factory = None
    yield made
    made.run_line_magic("unload_ext", "colab_guard")


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
