"""Output of guarded cells in one process: lost, resumed, shown once."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.session.notebook import Kernel

CELL = """
import sys
for i in range(4):
    print("line", i)
    print("part", end=" ")
    here()
    print("after", i, file=sys.stderr)
i
"""


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    found = capsys.readouterr()
    return found.out, found.err


def test_a_resumed_cell_reads_as_if_nothing_had_happened(new_kernel: Callable[..., Kernel], capsys: pytest.CaptureFixture[str]) -> None:
    capsys.readouterr()
    assert new_kernel().guarded(CELL, fresh=True) == 3
    whole = said(capsys)
    assert new_kernel().guarded(CELL, lose_at=2, fresh=True) is None
    capsys.readouterr()
    assert new_kernel().guarded(CELL, lose_at=2) is None
    capsys.readouterr()
    assert new_kernel().guarded(CELL) == 3
    assert said(capsys) == whole
    assert new_kernel().guarded(CELL) == 3
    assert said(capsys) == whole
