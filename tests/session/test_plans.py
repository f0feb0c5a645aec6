"""A plan made in a run of a sweep: after a loss it is the same on a larger GPU, and on one where it cannot be, that is marked."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from colab_guard import Sweep, autoconfig, hosts
from colab_guard.sweep.registry import LIVE
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

GIB = 2**30
T4 = hosts.Device("cuda", "Tesla T4", 15 * GIB, 14 * GIB, (7, 5))
A100 = hosts.Device("cuda", "A100", 40 * GIB, 39 * GIB, (8, 0), bf16=True)
CPU = hosts.Device("cpu", "CPU", 12 * GIB, 10 * GIB)
SETUP = """
from colab_guard import Sweep, autoconfig
sweep = Sweep('plans', [{'rank': 2}, {'rank': 16}])
"""
CELL = """
trained = []
for run in sweep:
    for step in range(2):
        here()
        plan = autoconfig(900_000_000, effective_batch=8)
        trained.append((run.params['rank'], plan.lora_rank, plan.dtype, plan.batch_size))
(trained, sweep.records())
"""


@pytest.mark.parametrize(
    ("then", "first_run", "marked"),
    [(T4, ("fp16", 2), False), (A100, ("fp16", 2), False), (CPU, ("fp32", 1), True)],
    ids=["the same", "larger", "none"],
)
def test_a_run_goes_on_with_the_plan_that_it_began_with(
    new_kernel: New, monkeypatch: pytest.MonkeyPatch, then: hosts.Device, first_run: tuple[str, int], marked: bool
) -> None:
    def here_is(device: hosts.Device) -> None:
        monkeypatch.setattr(hosts, "devices", lambda import_torch: [device])

    here_is(T4)
    new_kernel(SETUP).guarded(CELL, lose_at=2)
    LIVE.clear()
    here_is(then)
    second = new_kernel(SETUP)
    trained, records = second.guarded(CELL)
    assert second.depths == [2] and trained[0] == (2, 2, "fp16", 2)
    assert trained[1] == (2, 2, *first_run), "the same question in the same run"
    plans = second.shell.user_ns["sweep"].runs[1].record().record["plans"]
    (plan,) = plans.values()
    assert (plan["device_name"], plan["lora_rank"]) == (then.name, 16), "the next run has a plan of its own"
    changes = [record.get("not bit-exact", "") for record in records]
    assert changes[0].startswith("plan changed (made for Tesla T4, this is CPU): ") == marked and changes[1] == ""


def test_a_run_that_was_left_in_the_middle_says_nothing_about_later_plans(new_kernel: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts, "devices", lambda import_torch: [T4])
    new_kernel(SETUP).guarded(CELL, lose_at=4)
    assert autoconfig(900_000_000).lora_rank == 4, "not the run's 16"
    with pytest.raises(KeyboardInterrupt), Sweep("left", [{"rank": 32}])[0]:
        assert autoconfig(900_000_000).lora_rank == 32
        raise KeyboardInterrupt
    assert autoconfig(900_000_000).lora_rank == 4
