"""Memory is short while a guarded cell runs: what the session does about it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from colab_guard.events import MemoryPressure, MemoryReclaimed, SnapshotSaved
from colab_guard.hosts import FakeProbe
from colab_guard.session import work
from colab_guard.state.staging import Slot, Staging
from tests.session.notebook import Kernel

LOOP = """
import time
for step in range(12):
    time.sleep(0.1)
step
"""


@pytest.fixture
def kernel(new_kernel: Callable[..., Kernel]) -> Kernel:
    made = new_kernel("import numpy", "weights = numpy.ones(1_000_000)")
    made.session.memory.probe = FakeProbe(limit=10 * 2**30)
    made.session.memory.on(0.85)
    return made


def use(kernel: Kernel, gib: float) -> None:
    """So much of 10 GiB is in use from now on."""
    probe = kernel.session.memory.probe
    assert isinstance(probe, FakeProbe)
    probe.used = int(gib * 2**30)


def test_at_the_hard_threshold_it_is_saved_once_at_a_safe_point_and_then_copies_are_let_go(
    kernel: Kernel, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    kernel.session.bus.subscribe(lambda event, at: order.append(getattr(event, "kind", "")), SnapshotSaved)
    monkeypatch.setattr(Staging, "shed", lambda staging: order.append("shed"))
    use(kernel, 9.1)
    assert kernel.guarded(LOOP) == 11
    assert order == ["step", "shed", "cell", "shed"]
    assert [event.level for event in kernel.events if isinstance(event, MemoryPressure)] == ["hard"]


@pytest.mark.parametrize("ending", ["", "\nraise ValueError('over')"])
def test_a_cell_that_has_ended_holds_no_copy_of_its_state(kernel: Kernel, ending: str) -> None:
    import gc

    def copied() -> int:
        return sum(slot.nbytes for slot in gc.get_objects() if type(slot) is Slot)

    before = copied()
    cell = "weights = numpy.ones(4_000_000)\nfor step in range(3):\n    weights += 1\n    here()\n    seen.append(copied())"
    seen: list[int] = []
    kernel.names |= {"copied": copied, "seen": seen}
    try:
        kernel.guarded(cell + ending, skip=("copied", "seen"))
    except ValueError:
        pass
    assert max(seen) >= before + 32_000_000 and copied() <= before
    assert kernel.names["weights"][0] == 4


def test_at_the_soft_threshold_caches_are_cleared_and_that_is_said(kernel: Kernel) -> None:
    use(kernel, 8.6)
    assert kernel.guarded(LOOP) == 11
    assert [type(event) for event in kernel.events if isinstance(event, MemoryPressure | MemoryReclaimed)] == [MemoryPressure, MemoryReclaimed]
    assert not any(isinstance(event, SnapshotSaved) and event.kind == "step" for event in kernel.events)


def test_plain_work_has_nothing_to_save_and_goes_on(kernel: Kernel) -> None:
    import time

    use(kernel, 9.1)
    with work("plain", session=kernel.session):
        time.sleep(0.6)
    assert any(isinstance(event, MemoryPressure) for event in kernel.events)
    assert kernel.session.failures == []
