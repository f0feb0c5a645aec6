"""An edited cell: comments and longer ranges go on by themselves, everything else says what changed and asks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from colab_guard.errors import CellChanged
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

CELL = """
out = []
for epoch in range(6):
    out.append(epoch * 2)
    here()
tail = [i for i in out]
for k in range(3):
    tail.append(k)
    here()
len(tail)
"""


def test_comments_blank_lines_and_docstrings_do_not_count(new_kernel: New) -> None:
    cell = "def f(x):\n    '''Old.'''\n    return x\n" + CELL
    assert new_kernel().guarded(cell, lose_at=4) is None
    again = new_kernel()
    assert again.guarded("# words\n\n" + cell.replace("here()", "here()  # a mark", 1).replace("    '''Old.'''\n", "").replace("epoch * 2", "epoch*2")) == 9
    assert again.depths == [1]


def test_a_change_is_shown_and_asked_about_and_resume_goes_on_in_it(new_kernel: New) -> None:
    assert new_kernel().guarded(CELL, lose_at=4) is None
    changed = CELL.replace("epoch * 2", "epoch * 3")
    with pytest.raises(CellChanged) as caught:
        new_kernel().guarded(changed)
    assert "line 4: `out.append(epoch * 2)` became `out.append(epoch * 3)`" in str(caught.value).replace("line 5", "line 4")
    assert "--resume" in str(caught.value) and "--fresh" in str(caught.value) and "\n" not in str(caught.value)
    kernel = new_kernel()
    assert kernel.guarded(changed, resume=True) == 9
    assert kernel.names["out"] == [0, 2, 4, 9, 12, 15]


def test_other_loops_cannot_be_resumed_in(new_kernel: New) -> None:
    assert new_kernel().guarded(CELL, lose_at=4) is None
    with pytest.raises(CellChanged, match="other loops or blocks"):
        new_kernel().guarded("while False:\n    pass\n" + CELL, resume=True)


@pytest.mark.parametrize("lose_at", [3, 8])
def test_a_longer_range_goes_on_by_itself(new_kernel: New, lose_at: int) -> None:
    assert new_kernel().guarded(CELL, lose_at=lose_at) is None
    kernel = new_kernel()
    # the loop that is under way grows; so does one that is still to come
    longer = CELL.replace("range(6)", "range(9)") if lose_at == 3 else CELL.replace("range(3)", "range(5)")
    assert kernel.guarded(longer) == (12 if lose_at == 3 else 11)
    assert kernel.depths == [1]
    assert kernel.names["out"] == [2 * n for n in range(9 if lose_at == 3 else 6)]


def test_a_loop_that_is_still_to_come_may_grow(new_kernel: New) -> None:
    assert new_kernel().guarded(CELL, lose_at=3) is None
    assert new_kernel().guarded(CELL.replace("range(3)", "range(7)")) == 13


def test_a_loop_that_is_over_cannot_grow_by_itself(new_kernel: New) -> None:
    assert new_kernel().guarded(CELL, lose_at=8) is None
    with pytest.raises(CellChanged, match=r"range\(6\).* became .*range\(9\)"):
        new_kernel().guarded(CELL.replace("range(6)", "range(9)"))


def test_a_range_that_grew_stays_grown_through_more_losses(new_kernel: New) -> None:
    cell = CELL.replace("range(6)", "range(9)")
    assert new_kernel().guarded(CELL, lose_at=3) is None
    assert new_kernel().guarded(cell, lose_at=3) is None
    assert new_kernel().guarded(cell.replace("range(9)", "range(12)"), lose_at=4) is None
    kernel = new_kernel()
    assert kernel.guarded(cell.replace("range(9)", "range(12)")) == 15
    assert kernel.names["out"] == [2 * n for n in range(12)]


def test_a_finished_cell_whose_range_grew_goes_on_inside_its_loop(new_kernel: New) -> None:
    cell = "out = []\nfor epoch in range(4):\n    out.append(epoch)\n    here()\nsum(out)"
    assert new_kernel().guarded(cell) == 6
    kernel = new_kernel()
    assert kernel.guarded(cell.replace("range(4)", "range(6)")) == 15
    assert kernel.depths == [1]
    assert new_kernel().guarded(cell.replace("range(4)", "range(6)")) == 15


def test_a_finished_cell_that_was_edited_is_not_shown_with_its_old_results(new_kernel: New) -> None:
    cell = "for i in range(3):\n    total = i\ntotal"
    assert new_kernel().guarded(cell) == 2
    with pytest.raises(CellChanged, match=r"total = i` became `total = i \+ 1`\. It had ended; --fresh"):
        new_kernel().guarded(cell.replace("total = i", "total = i + 1"))


def test_a_progress_bar_over_a_longer_range_goes_on(new_kernel: New) -> None:
    cell = "out = []\nfor epoch in tqdm(range(5)):\n    out.append(epoch)\n    here()\nsum(out)"
    assert new_kernel("from tqdm import tqdm").guarded(cell, lose_at=3) is None
    kernel = new_kernel("from tqdm import tqdm")
    assert kernel.guarded(cell.replace("range(5)", "range(8)")) == 28
    assert kernel.depths == [1]


def test_a_cell_that_is_not_like_the_committed_one_is_said_to_be_maybe_another_notebooks(new_kernel: New) -> None:
    new_kernel().guarded(CELL)
    with pytest.raises(CellChanged, match=r"another cell, maybe another notebook's, has used this NAME.*another NAME keeps both"):
        new_kernel().guarded("import math\nsquares = {n: math.sqrt(n) for n in range(100)}\nprint(sum(squares.values()))")
