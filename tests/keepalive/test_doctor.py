"""`doctor`: rules, what is in force, what is left, the official way, with sources."""

from __future__ import annotations

from typing import get_args

import pytest

from colab_guard import hosts
from colab_guard.hosts.rules import RULES, HostKind, Limit
from colab_guard.keepalive import report
from colab_guard.keepalive.limits import LimitWatch, left, spoken

HOUR = 3600.0


def host(kind: str, monkeypatch: pytest.MonkeyPatch) -> hosts.Host:
    import sys

    monkeypatch.setattr(sys.modules["colab_guard.hosts.detect"], "_kind", lambda names: kind)
    return hosts.detect({})


@pytest.mark.parametrize("kind", get_args(HostKind))
def test_every_host_is_told_with_its_rule_its_official_way_and_sources(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told = report(host(kind, monkeypatch), ["keep-alive: off."], 0.0, HOUR)
    rules = RULES[kind]  # type: ignore[index]
    labels = [line[:12].strip() for line in told.splitlines()]
    for label in ("host", "idle", "heartbeat", "in force", "limit", "unattended", "mirror", "release", "sources"):
        assert label in labels, told
    assert rules.label in told and rules.idle.source in told and rules.unattended[0].words in told


def test_on_colab_the_hours_are_counted_down_and_the_official_commands_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    told = report(host("colab", monkeypatch), [], 0.0, 3 * HOUR + 12 * 60)
    assert "this runtime began 3 h 12 min ago" in told
    assert "8 h 48 min of 12 h" in told and "20 h 48 min of 24 h (Pro+" in told
    assert "a commit is asked for 10 min and 2 min before each end" in told
    assert "colab new -s train --gpu T4; colab exec -s train -f NOTEBOOK.ipynb; colab stop -s train" in told
    assert "Pro+: background execution" in told and "google.colab.runtime.unassign()" in told
    assert "Save & Run All (Commit)" in report(host("kaggle", monkeypatch), [], 0.0, HOUR)


def test_a_limit_that_has_passed_is_said_to_have_not_held() -> None:
    (found,) = left([Limit(12 * HOUR, "free", "x")], 0.0, 13 * HOUR)
    assert str(found) == "12 h (free) has passed and did not hold"


def test_an_end_is_near_once_for_each_lead_and_the_nearest_is_told() -> None:
    watch = LimitWatch([Limit(1000.0, "a", "x"), Limit(1050.0, "b", "x")], 0.0)
    assert watch.due(300.0) is None
    first = watch.due(460.0)
    assert first is not None and first.limit.whose == "a" and first.seconds == 540.0
    assert watch.due(461.0) is None
    second = watch.due(900.0)
    assert second is not None and second.limit.whose == "a"
    third = watch.due(940.0)
    assert third is not None and third.limit.whose == "b", "its second lead"
    assert watch.due(1100.0) is None


@pytest.mark.parametrize(
    ("seconds", "words"), [(-3, "0 s"), (40, "40 s"), (60, "1 min"), (599, "9 min"), (31_680, "8 h 48 min"), (3660, "1 h 01 min")]
)
def test_times_are_spoken(seconds: float, words: str) -> None:
    assert spoken(seconds) == words
