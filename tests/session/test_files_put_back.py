"""Files in the working folder after a loss: what the user edited meanwhile stays, what is replaced is kept and named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from colab_guard.events import FilesPutBack
from colab_guard.panel.reducer import reduce
from colab_guard.panel.state import PanelState
from tests.session.notebook import Kernel

CELL = """
from pathlib import Path
Path("helper.py").write_text("def f(): return 1")
for step in range(4):
    with open("log.csv", "a") as file:
        print(step, file=file)
    here()
"""


def test_an_edit_made_after_the_loss_stays_and_is_said(new_kernel: Callable[..., Kernel]) -> None:
    new_kernel().guarded(CELL, lose_at=3)
    Path("helper.py").write_text("def f(): return 'edited'")
    second = new_kernel()
    second.guarded(CELL)
    assert second.depths == [1], "it was not resumed inside the cell"
    assert Path("helper.py").read_text() == "def f(): return 'edited'"
    assert Path("log.csv").read_text() == "0\n1\n2\n3\n"
    (said,) = [event for event in second.events if isinstance(event, FilesPutBack)]
    assert (said.replaced, said.left) == (("log.csv",), ("helper.py",))
    assert (Path(said.where) / "log.csv").read_text() == "0\n1\n2\n"
    assert (Path(said.where) / "committed" / "helper.py").read_text() == "def f(): return 1"


def test_the_panel_names_each_file_and_where_the_other_version_lies() -> None:
    names = tuple(f"runs/model-{number}/weights.safetensors" for number in range(8))
    state = reduce(PanelState(), FilesPutBack(replaced=names, left=("helper.py",), where="/home/u/.colab_guard/a/replaced/t"), 0.0)
    replaced, left = (line.text for line in state.events)
    assert all(name in replaced for name in names) and replaced.endswith("/replaced/t")
    assert "helper.py" in left and left.endswith("/replaced/t/committed")
