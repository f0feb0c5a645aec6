"""Plans by estimates: the largest micro-batch under the guard's line, what a run's parameters say, the same plan again."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, LlamaConfig

from colab_guard import Sweep, hosts
from colab_guard.plan import Plan, autoconfig, kept
from colab_guard.plan.choose import room_on
from colab_guard.plan.estimate import CONTEXT_T4, estimate

GIB, MIB = 1 << 30, 1 << 20


def gpu(total: float, name: str = "Tesla T4", capability: tuple[int, int] = (7, 5), bf16: bool = False) -> hosts.Device:
    size = int(total * GIB)
    return hosts.Device("cuda", name, size, size - 300 * MIB, capability, bf16)


def config(**more: int) -> LlamaConfig:
    shape = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 4, "num_attention_heads": 8, "num_key_value_heads": 8}
    return LlamaConfig(**{**shape, "vocab_size": 8000, **more})


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    kept.forget()


@pytest.mark.parametrize("total", [0.8, 1.2, 2.0])
def test_the_largest_micro_batch_that_fits_is_chosen(total: float) -> None:
    device = gpu(total)
    plan = autoconfig(config(), device=device, effective_batch=16)
    step = {"weights": "fp16", "autocast": "fp16", "accumulation": True, "checkpointing": plan.gradient_checkpointing}
    assert plan.batch_size * plan.gradient_accumulation == 16 and plan.expected_peak is not None
    assert plan.expected_peak == pytest.approx(estimate(config(), device, batch=plan.batch_size, **step).reserved, rel=0.02)
    assert plan.expected_peak + CONTEXT_T4 <= 0.85 * device.total
    if plan.batch_size < 16:
        assert estimate(config(), device, batch=2 * plan.batch_size, **step).reserved + CONTEXT_T4 > 0.85 * device.total
        assert f"{2 * plan.batch_size} would take" in plan.reasons["batch_size"]


def test_more_memory_never_gives_smaller_micro_batches_and_checkpointing_goes_first() -> None:
    plans = [autoconfig(config(), device=gpu(total)) for total in (0.5, 0.8, 2, 15)]
    without = [plan.batch_size for plan in plans if not plan.gradient_checkpointing]
    assert without == sorted(without) and without[-1] == 16 and not plans[-1].gradient_checkpointing
    assert plans[0].gradient_checkpointing, "where not even two samples fit without"
    assert {plan.lora_rank for plan in plans} == {4} and {plan.effective_batch for plan in plans} == {16}


def test_where_nothing_fits_that_is_said_and_the_rank_stays() -> None:
    plan = autoconfig(config(), device=gpu(0.4), lora_rank=64)
    assert (plan.batch_size, plan.gradient_checkpointing, plan.lora_rank) == (1, True, 64)
    assert plan.reasons["batch_size"].startswith("nothing fits: 1 would take 0.")


def test_what_is_given_is_kept_and_its_peak_is_told() -> None:
    plan = autoconfig(config(), device=gpu(15), batch_size=4, gradient_checkpointing=True, dtype="fp32", sequence=64)
    assert (plan.batch_size, plan.gradient_checkpointing, plan.dtype, plan.sequence) == (4, True, "fp32", 64)
    assert plan.expected_peak is not None and plan.reasons["batch_size"].startswith("given; fits")


def test_the_host_has_a_limit_too() -> None:
    full = {"method": "full", "sequence": 256}
    small = autoconfig(config(), device=hosts.Device("cpu", "CPU", GIB, 700 * MIB), **full)
    large = autoconfig(config(), device=hosts.Device("cpu", "CPU", 64 * GIB, 60 * GIB), **full)
    assert small.batch_size < large.batch_size == 16 and small.weights == large.weights == large.dtype == "fp32"
    assert "lora_rank" not in {name for name, _, _ in large.rows()}
    assert room_on(hosts.Device("cpu", "CPU", 10 * GIB, 4 * GIB), 0.85) == 2.5 * GIB


def test_what_this_process_holds_already_counts_as_its_own() -> None:
    busy = hosts.Device("cuda", "Tesla T4", 15 * GIB, 2 * GIB, (7, 5))
    mine = hosts.Device("cuda", "Tesla T4", 15 * GIB, 2 * GIB, (7, 5), held=12 * GIB)
    assert room_on(busy, 0.85) == 2 * GIB < room_on(mine, 0.85) == int(0.85 * 15 * GIB) - CONTEXT_T4


def test_a_live_models_adapter_says_its_rank() -> None:
    model = get_peft_model(AutoModelForCausalLM.from_config(config()), LoraConfig(r=16, task_type="CAUSAL_LM"))
    plan = autoconfig(model, device=gpu(4))
    assert plan.lora_rank == 16 and plan.reasons["lora_rank"] == "the model's adapter has it" and plan.expected_peak is not None


def test_a_name_is_looked_up_on_this_machine_only(tmp_path: Path) -> None:
    told = autoconfig("some/model", device=gpu(15)).reasons["batch_size"]
    assert "AutoConfig.from_pretrained('some/model')" in told and "documented start" in told
    config().save_pretrained(tmp_path / "here")
    assert autoconfig(str(tmp_path / "here"), device=gpu(15)).expected_peak is not None
    (tmp_path / "here" / "config.json").write_text("{")
    assert "cannot be read" in autoconfig(str(tmp_path / "here"), device=gpu(15)).reasons["batch_size"]


def test_a_plan_without_an_estimate_imports_no_torch() -> None:
    code = (
        "import sys; from colab_guard import autoconfig, hosts;"
        "autoconfig('some/model', device=hosts.Device('cuda', 'Tesla T4', 1 << 34, 1 << 34, (7, 5)));"
        "print([name for name in ('torch', 'transformers', 'numpy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


# in a run

SIZES = {"batch_size": 8, "rank": 32, "max_length": 64}


def test_what_a_runs_parameters_say_is_not_overridden() -> None:
    sweep = Sweep("said", [SIZES])
    with sweep[0]:
        plan = autoconfig(config(), device=gpu(15))
    assert (plan.effective_batch, plan.lora_rank, plan.lora_alpha, plan.sequence) == (8, 32, 64, 64)
    assert plan.reasons["lora_rank"] == "the run's parameters say rank=32"
    assert autoconfig(config(), device=gpu(15)).effective_batch == 16, "the run has ended"


def test_a_plan_is_committed_with_its_run_and_the_same_question_gets_it_again() -> None:
    sweep = Sweep("again", [{"rank": 4}])
    run = sweep[0]
    run.begin()
    plan = autoconfig(config(), device=gpu(2))
    assert [Plan.from_dict(json.loads(json.dumps(told))) for told in run.record().record["plans"].values()] == [plan]
    # less is free now, and the plan still fits; and more is there
    for device in (gpu(1.95), gpu(15, "A100", capability=(8, 0), bf16=True)):
        assert autoconfig(config(), device=device) == plan
    assert not run.changes
    changed = autoconfig(config(), device=gpu(0.7))
    assert changed.batch_size * changed.gradient_accumulation == 16 and changed != plan
    assert len(run.changes) == 1 and "do not fit" in run.changes[0] and "batch_size" in run.changes[0] + changed.reasons["batch_size"]
    run.end("done")
    assert "plan changed" in sweep.records()[0]["not bit-exact"]


def test_a_run_that_is_resumed_has_its_plan() -> None:
    run = Sweep("resumed", [{"rank": 4}])[0]
    run.begin()
    plan = autoconfig(config(), device=gpu(2))
    captured = pickle.dumps(run)
    run.end("failed")
    Sweep("resumed", [{"rank": 4}])[0].reset()
    back = pickle.loads(captured)
    assert back is not run and list(back.plans.values()) == [plan.to_dict()]
    assert autoconfig(config(), device=gpu(4)) == plan
    back.end("done")
