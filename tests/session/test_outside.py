"""State outside the names, in guarded cells that are lost and taken up in another kernel."""

from __future__ import annotations

import decimal
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from colab_guard import state
from colab_guard.cli.seeds import hash_seed
from colab_guard.errors import StateNotRegistered
from colab_guard.events import NotKept, SnapshotNotTaken
from tests.session.notebook import Kernel

New = Callable[..., Kernel]


def named(kernel: Kernel) -> dict[str, str]:
    return {event.what: event.why for event in kernel.events if isinstance(event, NotKept)}


@pytest.fixture(autouse=True)
def clean() -> Iterator[None]:
    pytest.importorskip("torch")  # what is imported before is put back as it was
    outside = state.Outside()
    outside.take()
    environment = dict(os.environ)
    yield
    outside.set_things({}, {})
    outside.set_things({}, {})
    os.environ.clear()
    os.environ.update(environment)
    for name in state.registered_names():
        state.unregister_state(name)


SETTINGS = """
import os, numpy as np, torch, warnings
np.seterr(divide="raise")
torch.set_default_dtype(torch.float64)
os.environ["MODE"] = "fast"
warnings.filterwarnings("ignore", message="from the cell")
out = []
for i in range(6):
    try:
        np.array([1.0]) / 0
        out.append("silent")
    except FloatingPointError:
        out.append("raised")
    out.append((torch.zeros(1).dtype, os.environ.get("MODE"), warnings.filters[0][0]))
    here()
out
"""


def test_settings_of_the_cell_hold_after_a_resume(new_kernel: New) -> None:
    import torch

    whole = new_kernel().guarded(SETTINGS, fresh=True)
    undo_settings()
    assert new_kernel().guarded(SETTINGS, lose_at=4, fresh=True) is None
    undo_settings()
    second = new_kernel()
    assert second.guarded(SETTINGS) == whole
    assert second.depths == [1] and second.inexact == [] and named(second) == {}
    assert torch.get_default_dtype() is torch.float64


def undo_settings() -> None:

    import torch

    np.seterr(all="warn")
    torch.set_default_dtype(torch.float32)
    os.environ.pop("MODE", None)
    warnings.filters.pop(0)


def test_setup_cells_that_were_not_run_again_are_made_up_for(new_kernel: New) -> None:
    cell = "import numpy as np\nout = []\nfor i in range(5):\n    out.append(np.geterr()['over'])\n    here()\nout"
    assert new_kernel("import numpy as np; np.seterr(over='raise')").guarded(cell, lose_at=3) is None
    np.seterr(over="warn")
    assert new_kernel().guarded(cell) == ["raise"] * 5


def test_with_blocks_put_back_what_was_in_force_before_them(new_kernel: New) -> None:
    cell = """
import torch
torch.set_grad_enabled(False)
for j in range(2):
    here()
out = []
with torch.enable_grad():
    for i in range(4):
        out.append(torch.is_grad_enabled())
        here()
out.append(torch.is_grad_enabled())
torch.set_grad_enabled(True)
out
"""
    import torch

    whole = new_kernel().guarded(cell, fresh=True)
    assert whole == [True] * 4 + [False]
    assert new_kernel().guarded(cell, lose_at=5, fresh=True) is None
    torch.set_grad_enabled(True)
    second = new_kernel()
    assert second.guarded(cell) == whole
    assert second.depths == [1]


FIGURES = """
import matplotlib.pyplot as plt
fig = plt.figure(4)
for i in range(6):
    plt.plot([i, i + 1])
    here()
found = (plt.get_fignums(), len(plt.gca().lines), plt.gcf() is fig, fig.number)
plt.close("all")
found
"""


def test_a_figure_drawn_on_before_the_loss_is_drawn_on_after_it(new_kernel: New) -> None:
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt

    assert new_kernel().guarded(FIGURES, lose_at=4) is None
    plt.close("all")
    assert new_kernel().guarded(FIGURES) == ([4], 6, True, 4)


def test_a_replaced_method_of_a_library_is_named_and_named_again_on_the_resume(new_kernel: New) -> None:
    import json

    cell = "import json\njson.JSONEncoder.default = lambda self, o: 'x'\nfor i in range(6):\n    text = json.dumps([object()])\n    here()\ntext"
    kept = json.JSONEncoder.default
    try:
        first = new_kernel()
        assert first.guarded(cell, lose_at=4) is None
        assert "register_state" in named(first)["json.encoder.JSONEncoder.default"]
        json.JSONEncoder.default = kept  # type: ignore[method-assign]
        second = new_kernel()
        with pytest.raises(TypeError):
            second.guarded(cell)
        assert second.inexact == ["json.encoder.JSONEncoder.default had changed while the cell ran, and is in no snapshot"]
    finally:
        json.JSONEncoder.default = kept  # type: ignore[method-assign]


def test_secrets_that_the_cell_sets_are_named_and_in_no_file(new_kernel: New, tmp_path: Path) -> None:
    kernel = new_kernel()
    cell = "import os\nos.environ['WANDB_API_KEY'] = 'x' + 'yz' * 9\nfor i in range(4):\n    here()"
    assert kernel.guarded(cell, lose_at=3) is None
    assert "set it again" in named(kernel)["os.environ['WANDB_API_KEY']"]
    secret = b"x" + b"yz" * 9
    assert not [file for file in (tmp_path / "home").rglob("*") if file.is_file() and secret in file.read_bytes()]


def test_registered_state_of_a_module_is_kept(new_kernel: New) -> None:
    setup = "from tests.session import test_outside as module"
    cell = "for i in range(6):\n    module.CLOCK.time += 1\n    here()\nmodule.CLOCK.time"
    path = f"{__name__}.CLOCK"
    first = new_kernel(setup)
    assert first.guarded(cell, lose_at=4, fresh=True) is None
    assert path in named(first)[path], "it is told what to type"
    state.register_state(path, lambda: CLOCK.time, CLOCK.set)
    CLOCK.time = 0
    assert new_kernel(setup).guarded(cell, lose_at=4, fresh=True) is None
    CLOCK.time = 0
    second = new_kernel(setup)
    assert second.guarded(cell) == 6
    assert named(second) == {}, "what is registered by its name is named no longer"


class Clock:
    def __init__(self) -> None:
        self.time = 0

    def set(self, value: int) -> None:
        self.time = value


CLOCK = Clock()


def test_registered_state_that_nobody_takes_is_asked_for_by_name(new_kernel: New) -> None:
    cell = "out = []\nfor i in range(5):\n    out.append(i)\n    here()\nout"
    state.register_state("clock", lambda: 3, print)
    assert new_kernel().guarded(cell, lose_at=3) is None
    state.unregister_state("clock")
    with pytest.raises(StateNotRegistered, match=r"registered state 'clock'.* run the cell that calls register_state\('clock', \.\.\.\).*--fresh"):
        new_kernel().guarded(cell)
    second = new_kernel()
    assert second.guarded(cell, resume=True) == [0, 1, 2, 3, 4]
    assert second.inexact == ["the registered state 'clock' was not put back"]


def test_a_registered_function_that_fails_refuses_snapshots_and_the_cell_goes_on(new_kernel: New) -> None:
    state.register_state("broken", lambda: {}["key"], print)
    kernel = new_kernel()
    assert kernel.guarded("for i in range(3):\n    here()\ni") == 2
    refused = [event.reason for event in kernel.events if isinstance(event, SnapshotNotTaken)]
    assert refused and all("'broken'" in reason and "KeyError" in reason for reason in refused)


def test_threads_that_the_cell_chose_are_chosen_again_and_not_called_a_difference(new_kernel: New) -> None:
    import torch

    cell = "import torch\ntorch.set_num_threads(3)\nout = []\nfor i in range(5):\n    out.append(torch.get_num_threads())\n    here()\nout"
    before = torch.get_num_threads()
    try:
        assert new_kernel("import torch").guarded(cell, lose_at=3) is None
        torch.set_num_threads(before)
        second = new_kernel("import torch")
        assert second.guarded(cell) == [3] * 5
        assert second.inexact == []
    finally:
        torch.set_num_threads(before)


def test_unattended_kernels_take_the_seed_of_the_commit(new_kernel: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONHASHSEED", "77")
    assert new_kernel().guarded("for i in range(4):\n    here()", lose_at=3) is None
    sources = ["x = 1", "%%checkpointed --every 5s nothing\n1", "%%checkpointed work --every 5s\nfor i in range(4): pass"]
    assert hash_seed(sources, {"PYTHONHASHSEED": "5"}) == "5"
    assert hash_seed(sources, {}) == "77"
    assert hash_seed(sources[:2], {}) == "0"


def test_local_modules_of_the_user_go_on_with_their_data(new_kernel: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work" / "my_helpers.py").write_text("count = 0\ndef tick():\n    global count\n    count += 1\n    return count\n")
    monkeypatch.syspath_prepend(tmp_path / "work")
    cell = "out = []\nfor i in range(6):\n    out.append(my_helpers.tick())\n    here()\nout"
    try:
        assert new_kernel("import my_helpers").guarded(cell, lose_at=4) is None
        del sys.modules["my_helpers"]
        assert new_kernel("import my_helpers").guarded(cell) == [1, 2, 3, 4, 5, 6]
    finally:
        sys.modules.pop("my_helpers", None)


BLOCKS = {
    "np.errstate(over='raise')": "np.geterr()['over']",
    "warnings.catch_warnings()": "len(warnings.filters)",
    "decimal.localcontext()": "decimal.getcontext().prec",
}


@pytest.mark.parametrize("block", BLOCKS)
def test_blocks_of_switches_are_entered_again_and_end_as_they_would_have(new_kernel: New, block: str) -> None:
    look = BLOCKS[block]
    cell = (
        f"out = []\nwith {block}:\n    decimal.getcontext().prec += 3\n    warnings.simplefilter('ignore')\n    for i in range(6):\n"
        f"        out.append({look})\n        here()\nout.append({look})\nout"
    )
    setup = "import decimal, warnings, numpy as np"
    contexts, filters = decimal.getcontext().copy(), list(warnings.filters)

    def undo() -> None:
        decimal.setcontext(contexts.copy())
        warnings.filters[:] = filters  # type: ignore[index]

    try:
        whole = new_kernel(setup).guarded(cell, fresh=True)
        undo()
        assert new_kernel(setup).guarded(cell, lose_at=4, fresh=True) is None
        undo()
        second = new_kernel(setup)
        assert second.guarded(cell) == whole
        assert second.depths == [1]
    finally:
        undo()


def test_a_standard_stream_that_the_cell_replaced_goes_on_in_the_next_kernel(new_kernel: New) -> None:
    setup = "import sys\nclass Log:\n    def __init__(self):\n        self.lines = []\n    def write(self, text):\n        self.lines.append(text)\n    def flush(self):\n        pass\n"
    cell = "sys.stdout = log = Log()\nfor i in range(6):\n    print(i)\n    here()\nsys.stdout = sys.__stdout__\n''.join(log.lines).split()"
    before = sys.stdout
    try:
        assert new_kernel(setup).guarded(cell, lose_at=4) is None
        sys.stdout = before
        assert new_kernel(setup).guarded(cell) == ["0", "1", "2", "3", "4", "5"]
    finally:
        sys.stdout = before
