"""Plans: the documented start on a T4, the same effective batch everywhere, a reason for each choice."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from colab_guard.errors import BadOption
from colab_guard.hosts import Device
from colab_guard.plan import Plan, autoconfig

GIB = 2**30
T4 = Device("cuda", "Tesla T4", 15 * GIB, 14 * GIB, (7, 5))
A100 = Device("cuda", "NVIDIA A100-SXM4-40GB", 40 * GIB, 39 * GIB, (8, 0), bf16=True)
CPU = Device("cpu", "CPU", 12 * GIB, 10 * GIB)


def test_a_t4_starts_at_batch_2_rank_4_fp16() -> None:
    plan = autoconfig("any model", device=T4)
    assert (plan.batch_size, plan.lora_rank, plan.dtype) == (2, 4, "fp16")


@pytest.mark.parametrize("device", [T4, A100, CPU])
def test_the_effective_batch_is_the_same_on_every_device(device: Device) -> None:
    plan = autoconfig(500_000_000, device=device, effective_batch=16)
    assert plan.batch_size * plan.gradient_accumulation == plan.effective_batch == 16


def test_a_gpu_with_bf16_uses_it_and_a_cpu_computes_in_fp32() -> None:
    assert autoconfig(1, device=A100).dtype == "bf16"
    assert autoconfig(1, device=CPU).dtype == "fp32"


def test_a_model_that_fills_memory_is_recomputed_and_its_rank_stays() -> None:
    plan = autoconfig(4_000_000_000, device=CPU)
    assert plan.gradient_checkpointing and plan.batch_size == 1 and plan.lora_rank == 4


def test_a_config_tells_its_size() -> None:
    plan = autoconfig(SimpleNamespace(hidden_size=64, num_hidden_layers=2, vocab_size=100), device=CPU)
    assert "104,704 parameters by its config" in plan.reasons["batch_size"]


def test_every_choice_has_its_reason_and_what_is_given_wins() -> None:
    plan = autoconfig(1000, device=CPU, lora_rank=16, batch_size=8)
    assert (plan.lora_rank, plan.batch_size, plan.reasons["lora_rank"]) == (16, 8, "given")
    assert all(reason for name, _, reason in plan.rows() if name != "device_name")


@pytest.mark.parametrize("words", [{"rank": 4}, {"batch_size": 5}, {"dtype": "int3"}, {"effective_batch": 0}])
def test_words_that_mean_nothing_are_one_clear_line(words: dict[str, object]) -> None:
    with pytest.raises(BadOption):
        autoconfig(1000, device=CPU, **words)  # type: ignore[arg-type]


def test_a_plan_goes_into_a_record_and_comes_back() -> None:
    plan = autoconfig(1000, device=T4)
    assert Plan.from_dict(plan.to_dict()) == plan


def test_a_plan_shows_as_a_table_with_everything_escaped() -> None:
    plan = autoconfig(1000, device=Device("cpu", "<b>", GIB, GIB))
    assert "&lt;b&gt;" in plan._repr_html_() and "batch_size" in str(plan)


def test_its_arguments_fit_transformers_and_peft() -> None:
    transformers, peft = pytest.importorskip("transformers"), pytest.importorskip("peft")
    plan = autoconfig(1000, device=CPU)
    arguments = transformers.TrainingArguments(**plan.training_arguments("out", report_to=[]))
    assert arguments.gradient_accumulation_steps == plan.gradient_accumulation
    assert peft.LoraConfig(**plan.lora()).r == 4
