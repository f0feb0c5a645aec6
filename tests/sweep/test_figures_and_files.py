"""Sweeps: what runs save, tables whose names clash, figures with runs that diverged or failed, grids edited and edited back."""

from __future__ import annotations

import csv
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from colab_guard.errors import StoreDamaged
from colab_guard.hosts.fake_colab import FakeColab
from colab_guard.sweep import Sweep, grid


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))


def large(name: str = "large") -> Sweep:
    """39 runs: 36 done, one diverged, two failed."""
    sweep = Sweep(name, grid(model=[f"org/model-number-{n}" for n in range(13)], rank=[2, 4, 8]), metric="accuracy")
    for run in sweep:
        with run:
            for step in range(0, 50, 10):
                run.log(step=step, loss=2.0 / (1 + step / 10) + run.index / 100, accuracy=0.5 + run.index / 100)
            if run.index in (7, 20):
                raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
            if run.index == 30:
                run.log(accuracy=float("nan"))
    return sweep


def test_an_adapter_is_saved_as_peft_does_and_loads_again() -> None:
    from peft import LoraConfig, PeftModel, get_peft_model
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    config = GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=11, n_positions=8)
    base = GPT2LMHeadModel(config)
    weights = {name: value.clone() for name, value in base.state_dict().items()}
    model = get_peft_model(base, LoraConfig(r=2, target_modules=["c_attn"], fan_in_fan_out=True))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.fill_(0.5)
    run = Sweep("adapters", [{"a": 1}])[0]
    run.save(model)
    assert {"adapter/adapter_config.json", "adapter/adapter_model.safetensors"} <= set(run.saved())
    fresh = GPT2LMHeadModel(config)
    fresh.load_state_dict(weights)
    again = PeftModel.from_pretrained(fresh, str(run.path()))
    tokens = torch.arange(5)[None]
    assert torch.equal(model.eval()(tokens).logits, again.eval()(tokens).logits)


def test_tensors_modules_and_arrays_are_saved_and_saving_again_replaces() -> None:
    run = Sweep("things", [{"a": 1}])[0]
    run.save(torch.ones(3, requires_grad=True), "value")
    assert np.load(run.path("value")).tolist() == [1, 1, 1]
    run.save(np.arange(2), "value")
    assert np.load(run.path("value")).tolist() == [0, 1]
    run.save(torch.nn.Linear(2, 2), "value")
    assert run.saved() == ["value/model.safetensors"]
    run.save("text", "value")
    assert run.path("value").read_text() == "text"


def test_names_that_clash_in_a_table_keep_every_figure(tmp_path: Path) -> None:
    sweep = Sweep("clash", grid(loss=["l1", "l2"], status=[1]))
    for run in sweep:
        with run:
            run.log(loss=2.0 - run.index, error=0.25)
    row = sweep.records()[0]
    assert row["loss"] == "l1" and row["metric_loss"] == 2.0
    assert row["param_status"] == 1 and row["status"] == "done"
    assert row["metric_error"] == 0.25 and row["error"] == ""
    assert list(sweep.top(1, by="loss")["loss"]) == ["l2"], "ranked by the metric, not by the parameter"
    with sweep.to_csv(tmp_path / "t.csv").open(newline="") as file:
        assert [entry["metric_loss"] for entry in csv.DictReader(file)] == ["2.0", "1.0"]


def test_a_grid_edited_twice_brings_back_the_first_one_s_results() -> None:
    def finish(sweep: Sweep) -> list[int]:
        ran = []
        for run in sweep:
            with run:
                run.log(score=run.params["a"])
                ran.append(run.params["a"])
        return ran

    assert finish(Sweep("edited", grid(a=[1, 2]))) == [1, 2]
    without = Sweep("edited", grid(a=[2, 3]))
    assert finish(without) == [3] and len(without) == 2 and [run.params["a"] for run in without.hidden] == [1]
    last = Sweep("edited", grid(a=[1, 2, 3]))
    assert finish(last) == [] and [run.metrics["score"] for run in last.runs] == [1, 2, 3]


def test_on_error_stop_marks_the_run_and_raises() -> None:
    sweep = Sweep("strict", grid(a=[1, 2]), on_error="stop")
    with pytest.raises(ValueError, match="stop here"):
        for run in sweep:
            with run:
                raise ValueError("stop here")
    assert [run.status for run in sweep.runs] == ["failed", "waiting"]


def test_figures_rank_each_run_once_and_name_those_that_failed_or_diverged() -> None:
    ranked, *curves = large("drawn").plot()
    labels = [tick.get_text() for tick in ranked.axes[0].get_yticklabels()]
    assert len(labels) == len(set(labels)) == 39
    texts = [text.get_text() for text in ranked.axes[0].texts]
    assert sum("failed: RuntimeError" in text for text in texts) == 2 and sum("nan" in text for text in texts) == 1
    assert "36 of 39" in ranked.axes[0].get_title(loc="left")
    assert {figure.axes[0].get_ylabel() for figure in curves} == {"loss", "accuracy"}
    assert all(len(figure.axes[0].get_legend().get_texts()) == 10 for figure in curves)
    named = [text.get_text() for text in curves[0].axes[0].get_legend().get_texts()]
    assert named == labels[:10], "the best first"


def test_export_holds_tables_records_files_and_pictures_and_colab_downloads_them(tmp_path: Path) -> None:
    sweep = large("taken")
    sweep[0].save("kept", "notes.txt")
    with FakeColab() as colab:
        made = sweep.export(tmp_path / "out")
    assert [path.name for path in made] == ["results.zip", "plots.zip"] and colab.downloaded == made
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["plots.zip", "results.zip"], "nothing else is left"
    with zipfile.ZipFile(made[0]) as archive:
        assert set(archive.namelist()) == {"results.csv", "results.json", f"runs/000-{sweep[0].key}/notes.txt"}
        assert len(archive.read("results.csv").splitlines()) == 40
        assert [record["status"] for record in json.loads(archive.read("results.json"))].count("failed") == 2
    with zipfile.ZipFile(made[1]) as archive:
        assert archive.namelist() == ["01.png", "02.png", "03.png"]
        assert all(archive.read(name).startswith(b"\x89PNG") for name in archive.namelist())


def test_a_damaged_file_of_one_run_is_named_and_the_others_are_exported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = large("damaged")

    def broken() -> bytes:
        raise StoreDamaged("pack 3 fails its checksum")

    sweep[0]._readers = {"adapter/model.bin": broken}
    sweep[1]._readers = {"adapter/model.bin": lambda: b"whole"}
    made = sweep.export(tmp_path / "out")
    with zipfile.ZipFile(made[0]) as archive:
        assert archive.read(f"runs/001-{sweep[1].key}/adapter/model.bin") == b"whole"
        assert "pack 3 fails its checksum" in archive.read("MISSING.txt").decode()
        assert f"runs/000-{sweep[0].key}/adapter/model.bin" not in archive.namelist()
    assert "since they are damaged: 1 of the saved files" in capsys.readouterr().err
