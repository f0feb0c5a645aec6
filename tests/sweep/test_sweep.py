"""Sweeps: runs known by their parameters, results derived from them, an edited grid adopted."""

from __future__ import annotations

import gc
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest

from colab_guard import state
from colab_guard.cells import Decision
from colab_guard.errors import BadOption, CannotResume
from colab_guard.events import Event, EventBus, SweepStarted, UnitFinished, UnitSkipped, UnitStarted
from colab_guard.state import Live
from colab_guard.sweep import Run, Sweep, grid, key_of, policy_factory
from colab_guard.sweep.registry import LIVE, live_run


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def finished(sweep: Sweep) -> None:
    for run in sweep:
        run.begin()
        for step in range(3):
            run.log(step=step, loss=1 / (run.index + step + 1))
        run.log(accuracy=run.index / 10)
        run.end("done")


def test_a_grid_is_all_combinations_in_order() -> None:
    assert grid(model=["a", "b"], rank=[2, 4], lr=0.1) == [
        {"model": m, "rank": r, "lr": 0.1} for m in ("a", "b") for r in (2, 4)
    ]


def test_keys_are_the_same_in_every_process_and_tell_types_apart() -> None:
    code = "from colab_guard.sweep import key_of; print(key_of({'b': [1, 2.0], 'a': 'x'}))"
    there = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": "9"}, capture_output=True, text=True, check=True)
    assert there.stdout.strip() == key_of({"a": "x", "b": [1, 2.0]})
    assert len({key_of({"v": value}) for value in (1, 1.0, True, "1", None, [1])}) == 6


@pytest.mark.parametrize(
    ("params", "words"),
    [([], "at least one"), ([{"a": 1}, {"a": 1}], "twice"), ([{"a": object()}], "not plain"), ([3], "a dict")],
)
def test_wrong_parameters_are_one_clear_line(params: Any, words: str) -> None:
    with pytest.raises(BadOption, match=words):
        Sweep("s", params)


@pytest.mark.parametrize("words", [{"on_error": "ignore"}, {"mode": "best"}])
def test_wrong_words_are_refused(words: Any) -> None:
    with pytest.raises(BadOption, match="means nothing"):
        Sweep("s", [{"a": 1}], **words)


def test_only_unfinished_runs_are_given() -> None:
    sweep = Sweep("s", grid(a=[1, 2, 3]))
    sweep[1].status = "failed"
    assert [run.params["a"] for run in sweep] == [1, 3]
    assert sweep.retry_failed() == 1


def test_an_error_in_with_run_marks_it_and_the_next_one_goes_on() -> None:
    sweep = Sweep("s", grid(a=[1, 2]))
    for run in sweep:
        with run:
            if run.params["a"] == 1:
                raise ValueError("does not fit")
    assert [run.status for run in sweep.runs] == ["failed", "done"]
    assert sweep[0].error == "ValueError: does not fit"
    assert "test_sweep.py" in sweep[0].traceback


def test_logged_values_are_plain_numbers() -> None:
    numpy = pytest.importorskip("numpy")
    run = Sweep("s", [{"a": 1}])[0]
    run.log(loss=numpy.float32(0.5), count=numpy.int64(3))
    assert run.metrics == {"loss": 0.5, "count": 3}
    with pytest.raises(BadOption, match="takes a number"):
        run.log(loss=numpy.ones(3))


def test_saved_things_stay_inside_the_run(home: Path) -> None:
    run = Sweep("s", [{"a": 1}])[0]
    run.save({"x": 1}, "notes.json")
    run.save("text", "deep/words.txt")
    assert run.saved() == ["deep/words.txt", "notes.json"]
    with pytest.raises(BadOption, match="no name"):
        run.save("x", "../../outside")
    assert not (home.parent / "outside").exists()


def test_a_captured_run_and_its_iterator_come_back_as_the_live_ones() -> None:
    sweep = Sweep("live", grid(a=[1, 2, 3]))
    iterator = iter(sweep)
    run = next(iterator)
    run.begin()
    run.log(step=1, loss=0.5)
    run.save("half done", "notes.txt")
    live = Live({}, {})
    captured = state.capture({"names": {"sweep": sweep, "run": run, "iterator": iterator}}, {"names": {}}, live)
    again = Sweep("live", grid(a=[0, 1, 2, 3, 4]))
    back = state.restore(captured.parts, {b.key: bytearray(b.data) for b in captured.buffers}, live)[0]["names"]
    assert back["sweep"] is again
    assert back["run"] is again[1] and back["run"].history == [{"step": 1, "loss": 0.5}]
    assert back["run"].path("notes.txt").read_text() == "half done"
    assert [run.params["a"] for run in back["iterator"]] == [0, 2, 3, 4]


def test_without_the_live_sweep_a_resume_makes_it_as_it_was() -> None:
    sweep = Sweep("gone", [{"a": 1}], metric="loss", on_error="stop")
    live = Live({}, {})
    captured = state.capture({"names": {"sweep": sweep, "run": sweep[0]}}, {"names": {}}, live)
    del sweep
    captured.forget()
    gc.collect()  # a sweep and its runs hold each other
    assert "gone" not in LIVE
    needed, _ = state.restore(captured.parts, {b.key: bytearray(b.data) for b in captured.buffers}, live)
    again = needed["names"]["sweep"]
    assert again is LIVE["gone"] and needed["names"]["run"] is again[0]
    assert ([run.params for run in again.runs], again.metric, again.on_error) == ([{"a": 1}], "loss", "stop")


def test_a_snapshot_that_holds_only_the_sweeps_name_says_which_cell_to_run() -> None:
    with pytest.raises(CannotResume, match=r"Sweep\('never'"):
        live_run("never", "key", {"a": 1})


def test_the_policy_skips_marks_and_adopts_an_edited_grid() -> None:
    events: list[Event] = []
    bus = EventBus(synchronous=True)
    bus.subscribe(lambda event, at: events.append(event))
    freed: list[int] = []
    first = Sweep("p", grid(a=[1, 2]))
    policy = policy_factory(bus, lambda: freed.append(1))(first)
    assert policy is not None
    units = []
    policy.begin([])
    for run in first:
        policy.item_started(run)
        if run.params["a"] == 2:
            assert policy.on_error(run, ValueError("too large")) is Decision.NEXT_ITEM
        run.log(accuracy=0.5)
        units.append(policy.item_ended(run))
    assert [unit.record["status"] for unit in units if unit] == ["done", "failed"]
    assert len(freed) == 2
    edited = Sweep("p2", grid(a=[2, 3]))
    edited.name = "p"
    edited.adopt([unit for unit in units if unit])
    assert [(run.params["a"], run.status) for run in edited.runs] == [(2, "failed"), (3, "waiting")]
    assert [run.params["a"] for run in edited.hidden] == [1]
    kinds = [type(event) for event in events]
    assert kinds == [SweepStarted, UnitStarted, UnitFinished, UnitStarted, UnitFinished]
    policy.begin([])
    assert [type(event) for event in events[5:]] == [SweepStarted, UnitSkipped, UnitSkipped]


def test_a_policy_is_made_for_sweeps_only() -> None:
    make = policy_factory(EventBus(synchronous=True))
    assert make([1, 2]) is None
    assert make(iter(Sweep("q", [{"a": 1}]))) is not None


def test_results_top_csv_and_export_tell_the_same(tmp_path: Path) -> None:
    pytest.importorskip("pandas")
    sweep = Sweep("r", grid(model=["a", "b"], rank=[2, 4]))
    finished(sweep)
    sweep[0].save("x", "notes.txt")
    assert list(sweep.results["accuracy"]) == [0.0, 0.1, 0.2, 0.3]
    assert list(sweep.top(2, by="accuracy")["accuracy"]) == [0.3, 0.2]
    assert list(sweep.top(1, by="loss")["loss"]) == [min(run.metrics["loss"] for run in sweep.runs)]
    assert sweep.to_csv(tmp_path / "r.csv").read_text().splitlines()[0] == "model,rank,status,loss,accuracy,seconds,error"
    made = sweep.export(tmp_path / "out")
    assert [path.name for path in made] == ["results.zip", "plots.zip"]
    with zipfile.ZipFile(made[0]) as archive:
        names = archive.namelist()
    assert "results.csv" in names and any(name.endswith("notes.txt") for name in names)
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["plots.zip", "results.zip"]


def test_an_unknown_metric_is_said_with_the_known_ones() -> None:
    sweep = Sweep("m", [{"a": 1}])
    finished(sweep)
    with pytest.raises(BadOption, match="logged: loss, accuracy"):
        sweep.ranking_metric("f1")


def test_a_run_says_how_it_stands() -> None:
    sweep = Sweep("repr", grid(model=["vit"], rank=[4]))
    assert repr(sweep[0]) == "<Run vit · rank 4: waiting>"
    assert isinstance(sweep[0], Run) and repr(sweep) == "<Sweep repr: 1 runs, 1 waiting>"
