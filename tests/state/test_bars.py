"""Progress bars of tqdm come back where they were, with where they write, and closed ones with all that they know."""

from __future__ import annotations

import io

import pytest
from tqdm import tqdm, trange

from tests.state.snapshot import there_and_back


def test_one_that_runs_goes_on_where_it_wrote_before() -> None:
    screen = io.StringIO()
    bar = tqdm(total=10, desc="steps", file=screen, ncols=50, ascii=" #", colour=None, unit="img", mininterval=0)
    bar.update(4)
    back = there_and_back(bar=bar, screen=screen)
    again, written = back["bar"], back["screen"]
    assert again.fp._wrapped is written
    again.update(1)
    line = written.getvalue().split("\r")[-1].removesuffix("\x1b[A")  # it stands below the other, which still runs
    assert line.startswith("steps:  50%") and "#" in line and "5/10" in line and "img" in line and len(line) <= 50
    bar.close()
    again.close()


def test_a_closed_one_has_all_that_it_had() -> None:
    bar = trange(3, desc="inner", file=io.StringIO(), leave=False)
    for _ in bar:
        bar.set_postfix(loss=1)
    back = there_and_back(bar=bar, twice=there_and_back(bar=bar)["bar"])
    for again in back.values():
        assert (again.desc, again.n, again.total, again.postfix, again.disable) == ("inner", 3, 3, "loss=1", True)
        assert str(again).split("[")[0] == str(bar).split("[")[0] and again.pos == bar.pos
        assert again.format_dict["elapsed"] == pytest.approx(bar.format_dict["elapsed"], abs=1.0)
        again.close()
        assert list(again) == [0, 1, 2]


def test_a_disabled_one_has_as_little_as_it_had() -> None:
    bar = tqdm(range(3), disable=True, desc="quiet")
    again = there_and_back(bar=bar)["bar"]
    assert set(vars(again)) == set(vars(bar)) and list(again) == [0, 1, 2]
