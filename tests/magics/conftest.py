from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config

from colab_guard import extension


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home folder for stores."""
    folder = tmp_path / "home"
    monkeypatch.setenv("COLAB_GUARD_HOME", str(folder))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    return folder


@pytest.fixture
def bare_shell(home: Path) -> Iterator[InteractiveShell]:
    """A real shell of a terminal, without the extension."""
    InteractiveShell.clear_instance()
    config = Config()
    config.HistoryManager.enabled = False
    shell = InteractiveShell.instance(config=config)
    yield shell
    extension.unload(shell)
    InteractiveShell.clear_instance()


@pytest.fixture
def shell(bare_shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> InteractiveShell:
    """A real shell with the extension loaded."""
    assert bare_shell.run_cell("%load_ext colab_guard").success
    capsys.readouterr()
    return bare_shell
