"""A cell that ended well gives its value, whatever the disk under its store does at the end."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from colab_guard.events import ListenerFailed, SnapshotSaved
from colab_guard.store import writer
from tests.session.notebook import Kernel

CELL = """
total = 0
for step in range(3):
    open("log.txt", "a").write("x")
    here()
    total += step
total
"""


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_lease_that_cannot_be_given_back_is_said_and_the_cell_has_its_value(
    new_kernel: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def broken(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    kernel = new_kernel()
    with monkeypatch.context() as patch:
        patch.setattr(writer, "release", broken)
        assert kernel.guarded(CELL) == 3
    (said,) = [event for event in kernel.events if isinstance(event, ListenerFailed)]
    assert "lease" in said.who and os.strerror(number) in said.error
    assert kernel.guarded("sum(range(5))", name="work", fresh=True) == 10, "this kernel could not open it again"
    assert any(isinstance(event, SnapshotSaved) for event in kernel.events)


def test_the_cells_own_error_is_the_one_that_is_raised(new_kernel: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writer, "release", broken)
    with pytest.raises(ZeroDivisionError):
        new_kernel().guarded("for step in range(3):\n    here()\n1 / 0")


def test_copies_that_cannot_be_removed_cost_no_value(new_kernel: Callable[..., Kernel], monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.unlink

    def read_only(path: os.PathLike[str], **more: object) -> None:
        if "-file-" in Path(path).name:
            raise OSError(errno.EROFS, "Read-only file system")
        real(path, **more)

    monkeypatch.setattr(os, "unlink", read_only)
    assert new_kernel().guarded(CELL) == 3
