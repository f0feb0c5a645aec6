"""What a plan may choose where nothing fits, once the user permits it: weights in 4 bits, shorter sequences."""

from __future__ import annotations

import json
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoModelForCausalLM, LlamaConfig

from colab_guard import Sweep, hosts
from colab_guard.errors import BadOption
from colab_guard.plan import CannotEstimate, Plan, Step, autoconfig, fit, kept

GIB, MIB = 1 << 30, 1 << 20


def gpu(mib: int, kind: str = "cuda") -> hosts.Device:
    return hosts.Device(kind, "Tesla T4", mib * MIB, mib * MIB - 10 * MIB, (7, 5))


def config(**more: int) -> LlamaConfig:
    shape = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 2, "num_attention_heads": 8, "num_key_value_heads": 8}
    return LlamaConfig(**{**shape, "vocab_size": 1000, "max_position_embeddings": 4096, **more})


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    kept.forget()


@pytest.fixture
def bitsandbytes(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Whether it is installed, as far as plans look."""
    there = {"installed": True}

    def find(name: str) -> Any:
        return ModuleSpec(name, None) if there["installed"] else None

    monkeypatch.setattr("colab_guard.plan.fit.find_spec", find)
    monkeypatch.setattr("colab_guard.plan.choose.find_spec", find)
    return there


def planned(model: Any, **more: Any) -> Plan:
    """One size and one way to trace: these plans are about other choices."""
    return autoconfig(model, effective_batch=2, batch_size=1, gradient_checkpointing=True, **more)


SMALL = 250
"""MiB: too few for 2,048 tokens."""


@pytest.mark.parametrize("allow", [(), "4bit", ("4bit",)])
def test_without_permission_no_sequence_is_cut(allow: Any, bitsandbytes: dict[str, bool]) -> None:
    bitsandbytes["installed"] = False
    plan = planned(config(), device=gpu(SMALL), sequence=2048, allow=allow)
    assert (plan.sequence, plan.four_bit, plan.cut_from) == (2048, False, None)
    assert plan.reasons["batch_size"].startswith("given; nothing fits") and "allow=('shorter', '4bit')" in plan.reasons["batch_size"]


def test_shorter_sequences_are_chosen_where_nothing_else_fits_and_only_as_short_as_they_have_to_be() -> None:
    plan = planned(config(), device=gpu(SMALL), sequence=2048, allow="shorter")
    assert plan.sequence in (1024, 512) and plan.cut_from == 2048 and plan.effective_batch == 2 and plan.lora_rank == 4
    assert plan.reasons["sequence"] == "2048 would not fit; shorter is allowed"
    assert plan.expected_peak is not None and plan.expected_peak <= plan.memory_budget
    assert plan.changes == [f"plan: sequences of {plan.sequence} tokens, not 2048"]
    longer = planned(config(), device=gpu(SMALL), sequence=2 * plan.sequence)
    assert longer.reasons["batch_size"].startswith("given; nothing fits")


def test_what_fits_is_not_cut_and_the_shortest_is_a_bound() -> None:
    plan = planned(config(), device=gpu(4000), sequence=2048, allow=("shorter", "4bit"))
    assert (plan.sequence, plan.four_bit, plan.changes) == (2048, False, [])
    tiny = planned(config(), device=gpu(160), sequence=200, allow="shorter")
    assert tiny.reasons["batch_size"].startswith("given; nothing fits") and tiny.sequence == 200


def test_a_length_that_the_runs_parameters_say_is_what_the_run_is_about() -> None:
    sweep = Sweep("lengths", [{"max_length": 2048}])
    with sweep[0] as run:
        plan = planned(config(), device=gpu(SMALL), allow="shorter")
        assert plan.sequence == 2048 and plan.reasons["sequence"] == "the run's parameters say max_length=2048, so it stays"
        assert not run.changes


def test_a_run_whose_plan_was_cut_is_marked_and_gets_it_again() -> None:
    sweep = Sweep("cut", [{"rank": 4}])
    run = sweep[0]
    run.begin()
    plan = planned(config(), device=gpu(SMALL), sequence=2048, allow="shorter")
    assert Plan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    run.changes.clear()
    assert planned(config(), device=gpu(4000), sequence=2048, allow="shorter") == plan
    assert planned(config(), device=gpu(4000), sequence=2048).sequence == 2048, "without the permission it is another question"
    run.end("done")
    assert f"sequences of {plan.sequence} tokens, not 2048" in sweep.records()[0]["not bit-exact"]


BIG = {"hidden_size": 2048, "intermediate_size": 8192}
"""310 MiB at 64 tokens; 174 in 4 bits."""


def test_weights_in_4_bits_are_chosen_where_they_are_allowed_and_nothing_else_fits(bitsandbytes: dict[str, bool]) -> None:
    device = gpu(450)
    plan = planned(config(**BIG), device=device, sequence=64, allow="4bit")
    assert plan.four_bit and plan.sequence == 64 and plan.reasons["four_bit"] == "it would not fit otherwise; allowed"
    assert plan.changes == ["plan: the base's weights in 4 bits"]
    assert plan.quantization(llm_int8_skip_modules=["lm_head"]) == {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
        "bnb_4bit_compute_dtype": "float16",
        "llm_int8_skip_modules": ["lm_head"],
    }
    assert ("four_bit", "True", "it would not fit otherwise; allowed") in plan.rows()
    assert planned(config(**BIG), device=device, sequence=64).four_bit is False, "not without the permission"


def test_a_permitted_choice_that_cannot_be_estimated_costs_nothing_of_what_could(
    bitsandbytes: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, asked = gpu(450), {"sequence": 64}
    without = planned(config(**BIG), device=device, **asked)
    assert without.expected_peak is not None and without.expected_peak > without.memory_budget
    real = fit.estimates

    def estimates(model: Any, device: hosts.Device, step: Step, sizes: list[int]) -> Any:
        if step.four_bit:
            raise CannotEstimate("4 bits are broken here")
        return real(model, device, step, sizes)

    monkeypatch.setattr(fit, "estimates", estimates)
    plan = planned(config(**BIG), device=device, allow="4bit", **asked)
    assert plan.reasons["four_bit"] == "allowed, and nothing says that it would fit so"
    assert (plan.expected_peak, plan.four_bit, plan.batch_size) == (without.expected_peak, False, without.batch_size)
    why = plan.reasons["batch_size"]
    assert why == without.reasons["batch_size"] + "; sequences of 64, 4 bits: not estimated (4 bits are broken here)"


@pytest.mark.parametrize(
    ("installed", "device", "more", "why"),
    [
        (False, gpu(450), {}, "allowed, but bitsandbytes is not installed"),
        (True, hosts.Device("cpu", "CPU", 400 * MIB, 390 * MIB), {}, "allowed, but it needs a CUDA GPU"),
        (True, gpu(450), {"method": "full"}, "allowed, but weights in 4 bits cannot be trained themselves"),
        (True, gpu(8000), {}, "allowed, not needed"),
    ],
)
def test_why_weights_are_not_in_4_bits_is_one_line(
    installed: bool, device: hosts.Device, more: dict[str, Any], why: str, bitsandbytes: dict[str, bool]
) -> None:
    bitsandbytes["installed"] = installed
    plan = planned(config(**BIG), device=device, sequence=64, allow="4bit", **more)
    assert not plan.four_bit and plan.reasons["four_bit"] == why and not plan.quantization()
    assert ("four_bit", "False", why) in plan.rows()


def test_a_model_that_is_loaded_already_is_not_to_be_in_4_bits(bitsandbytes: dict[str, bool]) -> None:
    plan = planned(AutoModelForCausalLM.from_config(config()), device=gpu(160), sequence=64, allow="4bit")
    assert plan.reasons["four_bit"] == "allowed, but the model is loaded already: give its config"


def test_4_bits_that_were_chosen_elsewhere_are_chosen_anew_where_they_cannot_be(bitsandbytes: dict[str, bool]) -> None:
    run = Sweep("bits", [{"rank": 4}])[0]
    run.begin()
    assert planned(config(**BIG), device=gpu(450), sequence=64, allow="4bit").four_bit
    bitsandbytes["installed"] = False
    assert not planned(config(**BIG), device=gpu(8000), sequence=64, allow="4bit").four_bit
    assert run.changes[-1].startswith("plan changed (bitsandbytes is not installed here)") and "four_bit True → False" in run.changes[-1]
    run.end("done")


def test_other_permissions_mean_nothing() -> None:
    with pytest.raises(BadOption, match="allow='longer' means nothing; use 'shorter' or '4bit'"):
        planned(config(), device=gpu(4000), allow="longer")
