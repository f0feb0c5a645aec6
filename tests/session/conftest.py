from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colab_guard.cells import loops
from colab_guard.sweep.registry import LIVE
from tests.cells.harness import results
from tests.session.notebook import Kernel


@pytest.fixture
def new_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Kernel]]:
    """Makes kernels that share a disk; each is given the cells that it runs first."""
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setattr(loops, "MOST_BETWEEN_LOOKS", 1)
    made: list[Kernel] = []

    def make(*sources: str) -> Kernel:
        LIVE.clear()
        made.append(Kernel())
        return made[-1].run(*sources)

    yield make
    for kernel in made:
        kernel.session.close()
        for name in results(kernel.names):  # hundreds of MiB in one test, which the tests of memory would find
            del kernel.names[name]
