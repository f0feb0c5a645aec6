"""Clearing between models, in a real shell."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from IPython.core.interactiveshell import InteractiveShell

from colab_guard.hosts import FakeProbe, GpuMemory
from colab_guard.memory import reclaim

FAILS = """
import torch, weakref
seen = []
def train(depth):
    big = torch.zeros(4_000_000)
    seen.append(weakref.ref(big))
    if depth:
        try:
            train(depth - 1)
        except ValueError as error:
            raise RuntimeError("outer") from error
    raise ValueError("inner")
"""


@pytest.fixture
def shell() -> Iterator[Any]:
    InteractiveShell.clear_instance()
    found = InteractiveShell.instance()
    yield found
    found.reset(new_session=False)
    InteractiveShell.clear_instance()


def run(shell: Any, source: str) -> Any:
    return shell.run_cell(source, store_history=True)


def test_a_tensor_kept_by_a_failed_cell_is_freed_and_the_traceback_can_still_be_shown(shell: Any, capsys: Any) -> None:
    run(shell, FAILS)
    run(shell, "kept = torch.ones(3)")
    run(shell, "train(2)")
    gc.collect()
    alive = [ref for ref in shell.user_ns["seen"] if ref() is not None]
    assert alive, "the traceback keeps what the frames hold: that is what is cleared here"
    del alive[:]
    reclaim(shell)
    assert [ref() for ref in shell.user_ns["seen"]] == [None, None, None]
    assert float(shell.user_ns["kept"].sum()) == 3.0
    capsys.readouterr()
    shell.run_line_magic("tb", "")
    told = capsys.readouterr()
    assert "outer" in told.out + told.err and "train" in told.out + told.err


def test_outputs_with_tensors_are_freed_and_other_outputs_stay(shell: Any) -> None:
    run(shell, "import torch")
    run(shell, "21 * 2")
    run(shell, "torch.ones(5)")
    tensor = weakref.ref(shell.user_ns["_"])
    run(shell, "[torch.nn.Linear(2, 2), 1]")
    model = weakref.ref(shell.user_ns["_"][0])
    assert tensor() is not None and model() is not None
    reclaim(shell)
    assert tensor() is None and model() is None
    outputs = shell.user_ns["Out"]
    assert list(outputs.values()) == [42] and 42 in [shell.user_ns[f"_{n}"] for n in outputs]
    run(shell, "'next'")
    assert shell.user_ns["_"] == "next", "the display hook goes on"


def test_a_user_s_own_names_stay_and_large_ones_are_told(shell: Any) -> None:
    run(shell, "import torch\nbig = torch.zeros(20 * 2**20)\nsmall = torch.zeros(2)")
    found = reclaim(shell)
    assert found.holders == ("big (80 MiB)",) and "small" in shell.user_ns


def test_a_frame_that_still_runs_keeps_what_it_needs() -> None:
    def outer() -> int:
        mine = torch.ones(3)
        try:
            raise ValueError("here")
        except ValueError as error:
            import sys

            sys.last_value = error
            reclaim(None)
        return int(mine.sum())

    assert outer() == 3


def test_the_report_says_what_was_used_before_and_after() -> None:
    probe = FakeProbe(used=7, gpu_memory=GpuMemory(3, 4, 0, 16))
    found = reclaim(None, probe)
    assert (found.host_before, found.host_after, found.gpu_before, found.gpu_after) == (7, 7, 3, 3)
    assert reclaim(None, FakeProbe()).gpu_after is None
