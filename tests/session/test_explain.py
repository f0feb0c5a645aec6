"""`--explain`: one short table, of which nothing runs; what is told before a first run; refusals in words."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colab_guard import cells
from colab_guard.events import LongUnsaved, NoSafePoint, NotBitExact
from colab_guard.hosts.blackbox import FOLDER
from colab_guard.session import CheckpointOptions, Guard
from colab_guard.session.explain import MOST_LINES, WIDTH
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

SETUP = """
import numpy as np
rate = 0.5
data = np.zeros((100, 1000))
def step(x):
    for part in range(2):
        x += part * rate
    return x
"""
CELL = """
out = []
for epoch in range(4):
    out.append(step(epoch) + data[0, 0])
    here()
len(out)
"""


def explained(kernel: Kernel, cell: str = CELL, **options: Any) -> str:
    """The table; nothing that it must not touch may differ afterwards."""
    kernel.names["In"].append("%%checkpointed --explain")
    names = {name: id(value) for name, value in kernel.names.items()}
    files, drawn = _files(), random.getstate()
    text = kernel.session.explain("work", cell, CheckpointOptions(**options))
    assert names == {name: id(value) for name, value in kernel.names.items()}
    assert files == _files() and drawn == random.getstate()
    lines = text.splitlines()
    assert len(lines) <= MOST_LINES and max(map(len, lines)) <= WIDTH
    return text


def row(text: str, label: str) -> str:
    """A row of the table in one line."""
    found: list[str] = []
    for line in text.splitlines()[1:]:
        if line[2:12].strip() == label or (found and not line[:12].strip()):
            found.append(line[12:])
        elif found:
            break
    return " ".join(part.strip() for part in found)


def _files() -> dict[str, tuple[int, int]]:
    """But black boxes: the sentinel of another kernel of the test's writes its own when it likes."""
    paths = [path for path in Path.cwd().parent.rglob("*") if FOLDER not in path.parts and path.is_file()]
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in paths}


def test_the_table_says_what_would_happen_and_nothing_runs(new_kernel: New) -> None:
    text = explained(new_kernel(SETUP))
    assert text.splitlines()[0] == "work: explained; nothing was run, and nothing was written"
    assert row(text, "now") == "runs from its start: nothing is saved as 'work' on this machine"
    assert row(text, "unit") == "one iteration of `for epoch in range(4)` (line 3)"
    assert "line 3: `for epoch in range(4)`: a safe point at each iteration" in row(text, "loops")
    assert "line 5 in step(): `for part in range(2)`: a safe point at each iteration" in row(text, "loops")
    assert row(text, "functions") == "entered again on a resume: step()"
    assert "data 781 KiB" in row(text, "snapshot") and "and what the cell makes: epoch, out" in row(text, "snapshot")
    assert "rate = 0.5" in row(text, "inputs") and "compared when it goes on" in row(text, "inputs")
    assert "not kept" not in text and "libraries" not in text


def test_after_a_loss_it_says_where_the_cell_would_go_on(new_kernel: New) -> None:
    assert new_kernel(SETUP).guarded(CELL, lose_at=3) is None
    text = explained(new_kernel(SETUP))
    assert row(text, "now").startswith("goes on at iteration 3 of 'for epoch' (line 3), inside 1 loop or function (2 commits saved")
    assert "--fresh forgets 2 commits" in row(explained(new_kernel(SETUP), fresh=True), "now")
    kernel = new_kernel(SETUP)
    assert kernel.guarded(CELL) == 4, "what was explained is still there to be taken up"
    assert row(explained(new_kernel(SETUP)), "now").startswith("gives its results at once: it had ended")


def test_what_it_would_ask_is_told_in_the_words_of_the_question(new_kernel: New) -> None:
    assert new_kernel(SETUP).guarded(CELL, lose_at=3) is None
    edited = new_kernel(SETUP.replace("0.5", "0.25"))
    now = row(explained(edited), "now")
    assert now.startswith("asks first (") and "rate: 0.5 → 0.25" in now and "--resume" in now and "--fresh" in now
    taken = row(explained(edited, resume=True), "now")
    assert taken.startswith("goes on at iteration 3") and "with the saved value, not this kernel's: rate: 0.5 → 0.25" in taken
    assert "`here()` became `pass`" in row(explained(new_kernel(SETUP), CELL.replace("here()", "pass")), "now")


def test_what_cannot_be_kept_is_named_with_what_that_means(new_kernel: New) -> None:
    setup = SETUP + "import threading, socket\nworker = threading.Thread(target=print)\nwire = socket.socket()\nwire.close()\n"
    cell = "wire\nfor epoch in range(3):\n    worker.name\n"
    text = explained(new_kernel(setup), cell)
    assert "worker (Thread): a thread in flight cannot be kept; no snapshot while it is there: code to come reads it" in row(text, "not kept")
    assert "wire (socket): a connection cannot be kept; left out; nothing to come reads it" in row(text, "not kept")


def test_a_file_open_for_writing_is_not_flushed(new_kernel: New) -> None:
    kernel = new_kernel("file = open('log.txt', 'w')\nsize = file.write('words')\n")
    explained(kernel, "for i in range(3):\n    size += file.write('x')\n")
    assert Path("log.txt").read_text() == ""
    kernel.run("file.close()")


def test_what_is_too_much_to_try_is_said(new_kernel: New) -> None:
    text = explained(new_kernel("many = [[n] for n in range(250_000)]"), "for i in range(3):\n    many.append(i)\n")
    assert "many at least" in row(text, "snapshot") and "too many objects to try here" in row(text, "snapshot")


def test_a_long_cell_stays_a_short_table(new_kernel: New) -> None:
    loops = "".join(f"for a{n} in range({n}):\n    x{n} = [a{n}]\n" for n in range(40))
    text = explained(new_kernel(), loops + "\n".join(f"learner{n}.fit(1)" for n in range(20)))
    assert "more loops, with safe points" in text and "more calls like these" in text


def test_a_cell_without_any_inner_point_says_so(new_kernel: New) -> None:
    whole = explained(new_kernel("import scipy.optimize"), "scipy.optimize.minimize(lambda x: (x - 1) ** 2, [0.0]).x.round(3)")
    assert row(whole, "unit") == "the whole cell: no safe point inside; after a loss it restarts from its start"
    assert "line 2: scipy.optimize.minimize() loops inside SciPy: no safe point until it returns" in row(whole, "libraries")


def test_the_twin_has_the_same_words(new_kernel: New) -> None:
    kernel = new_kernel(SETUP)
    twin = Guard(lambda: kernel.session)
    assert str(twin.checkpointed("work", CELL, explain=True)) == explained(kernel)
    assert not kernel.session.bus.failures


# before the first run


def told(kernel: Kernel) -> tuple[str, ...]:
    return next((event.places for event in kernel.events if isinstance(event, NoSafePoint)), ())


def test_the_good_case_is_silent_and_a_long_library_loop_is_told_before_it_runs(new_kernel: New) -> None:
    kernel = new_kernel(SETUP)
    assert kernel.guarded(CELL) == 4 and told(kernel) == ()
    kernel = new_kernel("from sklearn.dummy import DummyClassifier as D\nfrom sklearn.model_selection import GridSearchCV")
    cell = "for i in range(2):\n    pass\nsearch = GridSearchCV(D(), {'random_state': [1]}, cv=2)\nsearch.fit([[1]] * 8, [0, 1] * 4).best_score_"
    assert kernel.guarded(cell, fresh=True) == 0.5
    assert told(kernel) == (
        "line 5: GridSearchCV.fit() loops inside scikit-learn: no safe point until it returns; after a loss it restarts from line 5",
    )
    events = [type(event).__name__ for event in kernel.events]
    assert events.index("NoSafePoint") < events.index("SnapshotSaved")
    assert kernel.guarded(cell) == 0.5 and told(kernel) == (), "told once, before the first run"


def test_code_under_another_cell_magic_is_told_before_it_runs(new_kernel: New) -> None:
    kernel = new_kernel()
    kernel.guarded("%%capture said\nfor i in range(3):\n    print(i)")
    assert told(kernel) == (
        "line 2: `%%capture` loops inside a cell magic: no safe point until it returns (code in a cell without it has safe points); "
        "after a loss this cell restarts from its start",
    )


def test_a_cell_that_cannot_be_resumed_inside_is_exact_by_starting_again(new_kernel: New) -> None:
    setup = "import random, asyncio\nrandom.seed(3)\nout = []\nasync def draw(n):\n    for i in range(n):\n        await asyncio.sleep(0)\n        out.append(random.random())\n        here()\n"
    cell = "await asyncio.gather(draw(3), draw(3))\nlist(out)"
    whole = new_kernel(setup).guarded(cell, fresh=True)
    lost = new_kernel(setup)
    assert lost.guarded(cell, lose_at=4, fresh=True) is None
    assert told(lost) == (
        "line 5 in draw(): `for i in range(n)`: no safe points (in a coroutine that does not run alone (gathered, or a task)); "
        "after a loss this cell restarts from its start",
    )
    again = new_kernel(setup)
    assert again.guarded(cell) == whole and again.depths == []


def test_a_run_that_begins_on_what_the_run_before_has_changed_says_so(new_kernel: New) -> None:
    kernel = new_kernel("history = []\nother = [1]\ndef fail():\n    raise ValueError\n")
    cell = "for i in range(3):\n    history.append(i)\n    len(other)\n    fail()\n"
    with pytest.raises(ValueError):
        kernel.guarded(cell)
    with pytest.raises(ValueError):
        kernel.guarded(cell)
    (said,) = [event for event in kernel.events if isinstance(event, NotBitExact)]
    assert said.since == "begun" and "history" in said.reasons[0] and "other" not in said.reasons[0]
    kernel.run("history = []")
    with pytest.raises(ValueError):
        kernel.guarded(cell)
    assert not kernel.inexact, "made again, it is as new"


def test_refused_snapshots_are_counted_by_reason_and_told_at_the_end(new_kernel: New) -> None:
    kernel = new_kernel("import time, threading\nheld = threading.Thread(target=print)")
    cell = "for i in range(30):\n    time.sleep(0.01)\n    held.name\nheld = None\n"
    kernel.guarded(cell, every_s=0.05)
    (late,) = [event for event in kernel.events if isinstance(event, LongUnsaved)]
    assert late.seconds > 0.2 and late.refused >= 3
    assert "held (Thread): a thread in flight cannot be kept" in late.reasons[0] and "of 'for i' (line 2)" in late.reasons[0]
    status = str(Guard(lambda: kernel.session).status())
    assert "the last: work (done)" in status and "times: held (Thread)" in status


def test_a_short_delay_by_refusals_is_not_told(new_kernel: New) -> None:
    kernel = new_kernel(SETUP)
    assert kernel.guarded(CELL) == 4
    assert not [event for event in kernel.events if isinstance(event, LongUnsaved)]


def test_functions_of_a_cell_that_also_imports_are_entered_again(new_kernel: New) -> None:
    # the shell compiles statement by statement, and how a method of a module is called depends on what is compiled with it
    setup = "import random\nrandom.seed(1)\ndef draw(n, out):\n    for i in range(n):\n        out.append(random.random())\n        here()\n    return len(out)\n"
    cell = "out = []\ndraw(4, out)"
    assert new_kernel(setup).guarded(cell, lose_at=3) is None
    kernel = new_kernel(setup)
    assert kernel.guarded(cell) == 4 and kernel.depths == [2]
    assert kernel.names["draw"].__code__.co_names == ("range", "append", "random", "here", "len")


def test_a_name_of_another_notebook_is_told(new_kernel: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_NOTEBOOK", "/first.ipynb")
    assert new_kernel(SETUP).guarded(CELL, lose_at=3) is None
    monkeypatch.setenv("COLAB_GUARD_NOTEBOOK", "/second.ipynb")
    now = row(explained(new_kernel(SETUP)), "now")
    assert now == "refused: 'work' belongs to the notebook /first.ipynb; use another NAME, or --take-over"


def test_what_a_mirror_holds_is_told(new_kernel: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mirror = str(tmp_path / "mirror")
    assert "cannot be read: Could not determine home" in row(explained(new_kernel(SETUP), to="~nobody-of-that-name"), "now")
    assert "holds 0 commits" in row(explained(new_kernel(SETUP), to=mirror), "now")
    assert new_kernel(SETUP).guarded(CELL, to=mirror) == 4
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "new"))
    now = row(explained(new_kernel(SETUP), to=mirror), "now")
    assert "nothing is saved as 'work' on this machine; the mirror" in now and "commits, from which it would go on" in now
    assert "what drive holds is looked at when the cell runs" in row(explained(new_kernel(SETUP), to="drive"), "now")


def test_a_store_that_cannot_be_read_is_told(new_kernel: New, tmp_path: Path) -> None:
    assert new_kernel(SETUP).guarded(CELL, lose_at=3) is None
    (tmp_path / "home" / "work" / "FORMAT").write_text("colab_guard store 99\n")
    assert row(explained(new_kernel(SETUP)), "now").startswith("cannot run: ")


def test_a_look_that_fails_never_keeps_the_work_from_running(new_kernel: New, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*given: object) -> None:
        raise ValueError("odd")

    monkeypatch.setattr(cells, "survey", fail)
    kernel = new_kernel(SETUP)
    assert kernel.guarded(CELL) == 4
    assert kernel.session.failures == ["the look for places without safe points: ValueError: odd"]
