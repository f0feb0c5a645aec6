from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import psutil
import pytest

HEAVY = ("torch", "transformers", "matplotlib", "anywidget", "ipywidgets", "pandas", "numpy")


def fittings(shell: Any) -> dict[str, object]:
    """Everything in a shell that an extension could leave something in."""
    strings = shell.strdispatchers["complete_command"].strs
    return {
        "threads": sorted(t.name for t in threading.enumerate() if t.name.startswith("colab_guard")),
        # names: IPython replaces its own lazily loaded ones when they are first used
        "magics": {kind: sorted(table) for kind, table in shell.magics_manager.magics.items()},
        "completers": {key: len(chain.chain) for key, chain in strings.items()},
        "transformers": (
            list(shell.input_transformer_manager.cleanup_transforms),
            list(shell.input_transformer_manager.line_transforms),
            list(shell.ast_transformers),
        ),
        "events": {name: list(callbacks) for name, callbacks in shell.events.callbacks.items()},
        "custom exceptions": shell.custom_exceptions,
        "excepthook": sys.excepthook,
        "run_cell": shell.run_cell.__func__,
        "names": sorted(name for name in shell.user_ns if not name.startswith("_")),
    }


def test_loading_prints_one_line(bare_shell: Any, capsys: Any, home: Path) -> None:
    bare_shell.run_cell("%load_ext colab_guard")
    out, err = capsys.readouterr()
    assert err == ""
    assert len(out.strip().splitlines()) == 1
    assert out.startswith("colab_guard on ")
    assert "Nothing to resume" in out
    assert not home.exists(), "loading writes nothing"


def test_unloading_leaves_nothing_behind(bare_shell: Any, capsys: Any) -> None:
    before = fittings(bare_shell)
    children = psutil.Process().children()
    for cell in (
        "%load_ext colab_guard",
        "%keepalive",
        "%memguard 0.85",
        "import colab_guard",
        "w = colab_guard.work()",
    ):
        assert bare_shell.run_cell(cell).success
    assert bare_shell.run_cell("with w: pass").success, "events were posted, so threads have run"
    assert fittings(bare_shell) != before
    assert bare_shell.run_cell("%unload_ext colab_guard").success
    assert bare_shell.run_cell("del colab_guard, w").success
    assert fittings(bare_shell) == before
    assert psutil.Process().children() == children, "a sentinel is left"
    assert not bare_shell.run_cell("%keepalive").success


def test_reloading_leaves_one_of_everything(bare_shell: Any, capsys: Any) -> None:
    bare_shell.run_cell("%load_ext colab_guard")
    once = fittings(bare_shell)
    for _ in range(3):
        assert bare_shell.run_cell("%reload_ext colab_guard").success
    again = fittings(bare_shell)
    assert again["completers"] == once["completers"]
    assert again["threads"] == once["threads"]
    assert bare_shell.run_cell("%keepalive").success
    bare_shell.run_cell("%unload_ext colab_guard")
    assert not bare_shell.run_cell("%keepalive").success


def test_a_magic_of_the_same_name_comes_back_after_unloading(bare_shell: Any, capsys: Any) -> None:
    bare_shell.register_magic_function(lambda line: print("theirs"), "line", "guard")
    bare_shell.run_cell("%load_ext colab_guard")
    bare_shell.run_cell("%unload_ext colab_guard")
    capsys.readouterr()
    bare_shell.run_cell("%guard")
    assert capsys.readouterr().out == "theirs\n"


@pytest.mark.parametrize(
    "code", ["import colab_guard", "import colab_guard; colab_guard.load_ipython_extension(shell)"]
)
def test_importing_and_loading_bring_in_nothing_heavy(code: str, home: Path) -> None:
    script = (
        "import json, sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "shell = InteractiveShell.instance()\n"
        "before = set(sys.modules)\n"
        f"{code}\n"
        "print(json.dumps(sorted({name.split('.')[0] for name in set(sys.modules) - before})))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert not set(json.loads(done.stdout.splitlines()[-1])) & set(HEAVY)


def test_loading_leaves_state_and_store_to_the_first_guarded_work(home: Path) -> None:
    script = (
        "import sys\n"
        "from IPython.core.interactiveshell import InteractiveShell\n"
        "import colab_guard\n"
        "colab_guard.load_ipython_extension(InteractiveShell.instance())\n"
        "print(sorted({'colab_guard.state', 'colab_guard.store'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
