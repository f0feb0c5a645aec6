"""Training plans: what is chosen for which device, and that the effective batch never moves."""

from __future__ import annotations

import json
import re
from types import SimpleNamespace

import pytest
import torch

from colab_guard import hosts
from colab_guard.errors import BadOption
from colab_guard.plan import Plan, autoconfig
from colab_guard.plan.fit import parameter_count

GIB = 2**30
T4 = hosts.Device("cuda", "Tesla T4", 15 * GIB, 14 * GIB, (7, 5))
P100 = hosts.Device("cuda", "Tesla P100-PCIE-16GB", 16 * GIB, 15 * GIB, (6, 0))
A100 = hosts.Device("cuda", "NVIDIA A100-SXM4-40GB", 40 * GIB, 39 * GIB, (8, 0), bf16=True)
CPU = hosts.Device("cpu", "CPU", 12 * GIB, 10 * GIB)
DEVICES = [T4, P100, A100, CPU]


def test_a_t4_gets_its_documented_start() -> None:
    plan = autoconfig(124_000_000, device=T4)
    assert (plan.batch_size, plan.lora_rank, plan.dtype, plan.gradient_accumulation) == (2, 4, "fp16", 8)


@pytest.mark.parametrize(("device", "dtype"), [(T4, "fp16"), (P100, "fp16"), (A100, "bf16"), (CPU, "fp32")])
def test_the_dtype_is_what_the_device_computes_without_emulation(device: hosts.Device, dtype: str) -> None:
    assert autoconfig(device=device).dtype == dtype


@pytest.mark.parametrize("effective", [1, 2, 3, 7, 12, 16, 32])
@pytest.mark.parametrize("device", DEVICES, ids=lambda d: d.name)
@pytest.mark.parametrize("count", [10_000, 124_000_000, 7_000_000_000, 70_000_000_000])
def test_the_effective_batch_is_the_same_on_every_device_and_rank_never_falls(
    effective: int, device: hosts.Device, count: int
) -> None:
    plan = autoconfig(count, device=device, effective_batch=effective)
    assert plan.batch_size * plan.gradient_accumulation == plan.effective_batch == effective
    assert plan.lora_rank == 4 and plan.lora_alpha == 8


def test_a_tiny_model_on_a_cpu_gets_the_whole_effective_batch() -> None:
    plan = autoconfig(torch.nn.Linear(8, 8), device=CPU)
    assert (plan.batch_size, plan.gradient_accumulation, plan.gradient_checkpointing) == (16, 1, False)


def test_a_model_that_nearly_fills_memory_gets_small_batches_and_checkpointing() -> None:
    plan = autoconfig(13_000_000_000, device=A100)
    assert plan.batch_size == 1 and plan.gradient_checkpointing


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"model": -5}, "-5 is no number of parameters"),
        ({"model": 0}, "0 is no number of parameters"),
        ({"model": True}, "True is no number of parameters"),
        ({"model": 1.5}, "1.5 is no number of parameters"),
        ({"model": SimpleNamespace}, "SimpleNamespace is a class; give one of it: SimpleNamespace()"),
        ({"sequence": "long"}, "sequence='long' is no whole number; leave it out, or give e.g. sequence=512"),
        ({"sequence": None}, "sequence=None is no whole number"),
        ({"sequence": float("inf")}, "sequence=inf is no whole number"),
        ({"batch_size": 2.5}, "batch_size=2.5 is no whole number"),
        ({"effective_batch": True}, "effective_batch=True is no whole number"),
        ({"lora_rank": "eight"}, "lora_rank='eight' is no whole number"),
        ({"fraction": "85%"}, "fraction='85%' is no share of memory"),
        ({"fraction": 85}, "fraction=85 is no share of memory"),
        ({"device": "cuda"}, "device='cuda' is none; leave it out"),
    ],
)
def test_what_means_nothing_is_one_line(given: dict[str, object], said: str) -> None:
    with pytest.raises(BadOption, match=re.escape(said)) as raised:
        autoconfig(**{"device": T4, **given})  # type: ignore[arg-type]
    assert "\n" not in str(raised.value)


def test_numbers_may_be_texts_and_have_an_exponent() -> None:
    plan = autoconfig(7e9, device=A100, effective_batch="32", lora_rank=8.0, allow=None)  # type: ignore[arg-type]
    assert (plan.effective_batch, plan.lora_rank) == (32, 8) and "7,000,000,000 parameters" in plan.reasons["batch_size"]


def test_more_memory_never_gives_smaller_micro_batches() -> None:
    sizes = [
        autoconfig(1_000_000_000, device=hosts.Device("cuda", "X", n * GIB, n * GIB, (8, 0), bf16=True)).batch_size
        for n in (4, 8, 16, 24, 40, 80)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]


def test_the_size_of_a_model_is_read_from_what_is_given() -> None:
    config = SimpleNamespace(hidden_size=768, num_hidden_layers=12, vocab_size=50257)
    assert parameter_count(5)[0] == 5
    assert parameter_count(torch.nn.Linear(3, 2))[0] == 8
    assert parameter_count(config)[0] == pytest.approx(124e6, rel=0.01), "GPT-2's size from its config"
    assert "unknown" in parameter_count("google/vit-base")[1] and "unknown" in parameter_count(None)[1]


def test_what_is_given_wins_and_the_reasons_say_so() -> None:
    plan = autoconfig(device=T4, batch_size=8, dtype="fp32", lora_rank=16)
    assert (plan.batch_size, plan.dtype, plan.lora_rank, plan.lora_alpha) == (8, "fp32", 16, 32)
    assert {plan.reasons[name] for name in ("batch_size", "dtype", "lora_rank")} == {"given"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"bach_size": 2},
        {"batch_size": 3},
        {"batch_size": 0},
        {"dtype": "int8"},
        {"effective_batch": 0},
        {"fraction": 85},
        {"fraction": 0},
        {"lora_rank": 0},
    ],
)
def test_what_means_nothing_is_refused_in_one_line(wrong: dict[str, object]) -> None:
    with pytest.raises(BadOption) as caught:
        autoconfig(device=T4, **wrong)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value) and next(iter(wrong)) in str(caught.value).replace("effective batch", "effective_batch")


def test_the_same_inputs_give_the_same_plan_and_every_choice_has_a_reason() -> None:
    plan = autoconfig(5_000_000, device=A100)
    assert plan == autoconfig(5_000_000, device=A100)
    assert all(reason for name, _, reason in plan.rows() if name != "device_name")


def test_a_plan_survives_json_unchanged() -> None:
    plan = autoconfig(device=T4)
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan


def test_a_plan_is_shown_as_an_aligned_and_an_escaped_table() -> None:
    plan = autoconfig(device=hosts.Device("cuda", "<b>X</b>", 8 * GIB, 8 * GIB, (8, 0)))
    lines = str(plan).splitlines()
    assert len(lines) == len(plan.rows()) == 14 and len({line.index(value) for line, (_, value, _) in zip(lines, plan.rows(), strict=True) if value}) <= 2
    assert "<b>" not in plan._repr_html_() and "&lt;b&gt;" in plan._repr_html_()


def test_transformers_and_peft_take_the_arguments(tmp_path: object) -> None:
    from peft import LoraConfig
    from transformers import TrainingArguments

    plan = autoconfig(1000, device=CPU, effective_batch=8)
    arguments = TrainingArguments(**plan.training_arguments(str(tmp_path), max_steps=3, report_to=[]))
    assert arguments.per_device_train_batch_size * arguments.gradient_accumulation_steps == 8
    assert not arguments.fp16 and not arguments.bf16 and arguments.max_steps == 3
    assert LoraConfig(**plan.lora(target_modules=["q"])).r == 4


def test_the_device_that_is_here_is_found_when_none_is_given() -> None:
    assert autoconfig(1000).device in ("cpu", "cuda")
