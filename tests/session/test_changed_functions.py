"""Functions that were running at the commit, and generators that were waiting: edited, gone, or the same but for words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from colab_guard.errors import FunctionChanged, NeedsDecision
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

TRAIN = '''
def train(n, out):
    """Words."""
    scale = 2
    for i in range(n):
        out.append(i * scale)  # a comment
        here()
    return len(out)
'''
CELL = "out = []\nready = True\ntotal = train(6, out)\ntotal"
NUMBERS = '''
def numbers(n):
    """Words."""
    for i in range(n):
        yield i * 2
'''
OVER = "got = []\nsource = numbers(6)\nfor x in source:\n    got.append(x)\n    here()\ngot"
COUNTER = '''
def make_counter():
    count = 0
    def step():
        nonlocal count
        count += 1
        return count
    return step
'''


def unharmed(kernel: Kernel, cell: str, **options: Any) -> str:
    """The one line of the refusal, after which the kernel's names are as they were and nothing ran."""
    before = {name: value for name, value in kernel.names.items() if name != "In"}
    with pytest.raises(NeedsDecision) as caught:
        kernel.guarded(cell, **options)
    after = {name: value for name, value in kernel.names.items() if name != "In"}
    assert before.keys() == after.keys() and all(before[name] is after[name] for name in before)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_running_function_that_was_edited_is_named_before_anything_runs(new_kernel: New) -> None:
    assert new_kernel(TRAIN).guarded(CELL, lose_at=4) is None
    edited = new_kernel(TRAIN.replace("scale = 2", "scale = 3"))
    said = unharmed(edited, CELL)
    assert "while train() was running" in said and "--resume goes on in the changed code" in said and "--fresh" in said
    assert "iteration 4 of 'for i' in train()" in said
    # the store is whole: the unedited notebook goes on from it
    whole = new_kernel(TRAIN)
    assert whole.guarded(CELL) == 6
    assert whole.depths == [2] and whole.names["out"] == [0, 2, 4, 6, 8, 10]


def test_resume_goes_on_in_an_edited_function_that_has_the_same_loops(new_kernel: New) -> None:
    assert new_kernel(TRAIN).guarded(CELL, lose_at=4) is None
    kernel = new_kernel(TRAIN.replace("i * scale", "i * scale + 100"))
    assert kernel.guarded(CELL, resume=True) == 6
    assert kernel.names["out"] == [0, 2, 4, 106, 108, 110]
    assert kernel.depths == [2]


def test_what_goes_on_in_an_edited_function_goes_on_in_it_after_the_next_loss_too(new_kernel: New) -> None:
    assert new_kernel(TRAIN).guarded(CELL, lose_at=3) is None
    edited = TRAIN.replace("i * scale", "i * scale + 100")
    assert new_kernel(edited).guarded(CELL, lose_at=2, resume=True) is None
    kernel = new_kernel(edited)
    assert kernel.guarded(CELL) == 6
    assert kernel.names["out"] == [0, 2, 104, 106, 108, 110]


@pytest.mark.parametrize(
    "edited",
    [
        TRAIN.replace("    for i", "    for k in range(2):\n        scale += k\n    for i"),
        TRAIN.replace("    for i in range(n):", "    if True:\n      for i in range(n):"),
        TRAIN.replace("        here()", "        if i:\n            for j in range(1):\n                pass\n        here()"),
    ],
    ids=["another loop before", "a block around", "another loop inside"],
)
def test_resume_refuses_an_edited_function_with_other_loops(new_kernel: New, edited: str) -> None:
    assert new_kernel(TRAIN).guarded(CELL, lose_at=4) is None
    for options in ({}, {"resume": True}):
        said = unharmed(new_kernel(edited), CELL, **options)
        assert "other loops, calls or blocks" in said and "--fresh" in said and "--resume" not in said
    assert new_kernel(edited).guarded(CELL, fresh=True) == 6


def test_comments_and_docstrings_of_a_running_function_do_not_count(new_kernel: New) -> None:
    assert new_kernel(TRAIN).guarded(CELL, lose_at=4) is None
    worded = TRAIN.replace('"""Words."""', '"""Other words."""').replace("# a comment", "# another")
    kernel = new_kernel(worded)
    assert kernel.guarded(CELL) == 6
    assert kernel.depths == [2]
    bare = new_kernel(TRAIN.replace('    """Words."""\n', ""))
    assert bare.guarded(CELL) == 6


def test_a_running_function_that_is_not_here_is_asked_for(new_kernel: New) -> None:
    assert new_kernel(TRAIN).guarded(CELL, lose_at=4) is None
    for options in ({}, {"resume": True}):
        said = unharmed(new_kernel(), CELL, **options)
        assert "train()" in said and "run the cell that defines it" in said


def test_a_running_function_of_the_cell_itself_is_compared_by_its_own_loops(new_kernel: New) -> None:
    cell = TRAIN + CELL
    assert new_kernel().guarded(cell, lose_at=4) is None
    looped = cell.replace("    for i", "    for k in range(2):\n        scale += k\n    for i")
    said = unharmed(new_kernel(), looped, resume=True)
    assert "train()" in said and "other loops" in said
    kernel = new_kernel()
    assert kernel.guarded(cell.replace("i * scale", "i * scale + 100"), resume=True) == 6
    assert kernel.names["out"] == [0, 2, 4, 106, 108, 110]


def test_a_method_on_the_way_counts_as_well(new_kernel: New) -> None:
    setup = "class Model:\n    def fit(self, n, out):\n" + "".join(f"    {line}\n" for line in TRAIN.splitlines()[3:])
    cell = CELL.replace("train(6, out)", "Model().fit(6, out)")
    assert new_kernel(setup).guarded(cell, lose_at=4) is None
    said = unharmed(new_kernel(setup.replace("scale = 2", "scale = 3")), cell)
    assert "Model.fit()" in said
    assert new_kernel(setup).guarded(cell) == 6


def test_a_waiting_generator_whose_function_was_edited_is_named_before_anything_runs(new_kernel: New) -> None:
    assert new_kernel(NUMBERS).guarded(OVER, lose_at=3) is None
    edited = NUMBERS.replace("yield i * 2", "yield i * 3")
    said = unharmed(new_kernel(edited), OVER)
    assert "waiting generator of numbers()" in said and "--resume" in said
    unfit = NUMBERS.replace("        yield", "        if i >= 0:\n            yield")
    assert "other loops, calls or blocks" in unharmed(new_kernel(unfit), OVER, resume=True)
    assert "run the cell that defines it" in unharmed(new_kernel(), OVER)
    worded = NUMBERS.replace('"""Words."""', '"""Other."""')
    assert new_kernel(worded).guarded(OVER, lose_at=2) is None
    kernel = new_kernel(edited)
    assert kernel.guarded(OVER, resume=True)[-1] == 15
    assert kernel.names["got"][:3] == [0, 2, 4]


def test_an_edited_function_behind_a_closure_is_named_and_resume_uses_the_new_code(new_kernel: New) -> None:
    cell = "out = []\nstep = make_counter()\nfor i in range(6):\n    out.append(step())\n    here()\nout"
    assert new_kernel(COUNTER).guarded(cell, lose_at=4) is None
    edited = COUNTER.replace("count += 1", "count += 10")
    assert "make_counter.<locals>.step()" in unharmed(new_kernel(edited), cell)
    kernel = new_kernel(edited)
    assert kernel.guarded(cell, resume=True) == [1, 2, 3, 13, 23, 33]
    assert new_kernel(COUNTER).guarded(cell, fresh=True) == [1, 2, 3, 4, 5, 6]


def test_an_edited_statement_that_waits_for_its_call_is_refused(new_kernel: New) -> None:
    cell = "out = []\ntotal = len([1, 2]) + train(6, out)\ntotal"
    assert new_kernel(TRAIN).guarded(cell, lose_at=4) is None
    edited = cell.replace("len([1, 2]) + train(6, out)", "train(6, out)")
    for options in ({}, {"resume": True}):
        unharmed(new_kernel(TRAIN), edited, **options)
    with pytest.raises(FunctionChanged, match="line 3"):
        new_kernel(TRAIN).guarded(edited, resume=True)


def test_finished_work_gives_its_results_though_a_function_was_only_worded_anew(new_kernel: New) -> None:
    cell = "step = make_counter()\nfor i in range(3):\n    last = step()\nlast"
    assert new_kernel(COUNTER).guarded(cell) == 3
    worded = COUNTER.replace("    count = 0\n    def", "    '''Words.'''\n    count = 0\n    # more\n    def")
    kernel = new_kernel(worded)
    assert kernel.guarded(cell) == 3
    assert kernel.names["step"]() == 4


def test_a_running_function_whose_calls_lead_elsewhere_now_is_named_though_its_own_code_is_the_same(new_kernel: New) -> None:
    tools = "class Tools:\n    def help(self, x):\n        return x\n"
    train = "def train(n):\n    total = 0\n    for i in range(n):\n        total += Tools().help(i)\n        here()\n    return total\n"
    looping = tools.replace("        return x\n", "        for i in range(2):\n            x += 0\n        return x\n")
    assert new_kernel(tools + train).guarded("total = train(6)\ntotal", lose_at=4) is None
    said = unharmed(new_kernel(looping + train), "total = train(6)\ntotal", resume=True)
    assert "while train() was running, and what it calls has other loops now" in said
