"""Estimates against real training, and what they depend on. The larger comparison is `python -m tests.benchmarks.bench_estimate`."""

from __future__ import annotations

import random
import stat
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, BertConfig, GPT2Config, LlamaConfig

from colab_guard import hosts
from colab_guard.errors import BadOption
from colab_guard.plan import CannotEstimate, Step, estimate, kept
from colab_guard.plan.dry import kernels, twins
from colab_guard.plan.estimate import estimates
from tests.benchmarks.estimates import measuring, training
from tests.benchmarks.estimates.cases import Case

GIB = 1 << 30
T4 = hosts.Device("cuda", "Tesla T4", 15 * GIB, 14 * GIB, (7, 5))
A100 = hosts.Device("cuda", "A100", 40 * GIB, 39 * GIB, (8, 0), bf16=True)
BERT = {"vocab_size": 500, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
CPU = hosts.Device("cpu", "CPU", 12 * GIB, 10 * GIB)


def llama(**more: Any) -> LlamaConfig:
    shape = {"hidden_size": 64, "intermediate_size": 160, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    return LlamaConfig(**{**shape, "vocab_size": 1000, **more})


def full(**more: Any) -> dict[str, Any]:
    return {"method": "full", "weights": "fp32", "sequence": 128, **more}


@pytest.fixture(autouse=True)
def _home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path))
    kept.forget()


@pytest.mark.parametrize(
    ("config", "step"),
    [
        (llama, full(autocast="bf16", checkpointing=True, loop="plain")),
        (llama, full(method="lora", padded=True, loop="plain")),
        (lambda: GPT2Config(n_embd=64, n_layer=2, n_head=4, vocab_size=1000, n_positions=128), full(attention="eager", loop="plain")),
        (
            lambda: BertConfig(**BERT, architectures=["BertForSequenceClassification"]),
            full(method="lora", autocast="bf16", padded=True, batch=4),
        ),
    ],
    ids=["llama, autocast, checkpointing", "llama, LoRA, padded", "gpt2, eager, dropout", "bert, LoRA, by Trainer"],
)
def test_the_peak_that_is_told_is_that_of_real_training(config: Any, step: dict[str, Any]) -> None:
    told = estimate(config(), CPU, **step).reserved
    real = measuring.on_cpu(lambda: training.train(Case("", config, Step(**step)), "cpu"))
    assert told == pytest.approx(real, rel=0.02)


def test_a_live_model_that_recomputes_is_told_without_too() -> None:
    model = AutoModelForCausalLM.from_config(llama())
    plain = estimate(model, A100, **full(batch=4))
    model.gradient_checkpointing_enable()
    assert estimate(model, A100, **full(batch=4)).reserved == plain.reserved and model.is_gradient_checkpointing


@pytest.mark.parametrize("step", [full(checkpointing=True), {"weights": "fp16", "autocast": "fp16", "accumulation": True}])
def test_batches_that_were_not_run_are_told_as_if_they_had_been(step: dict[str, Any]) -> None:
    drawn = estimates(llama(), T4, Step(**step), [1, 4, 8])
    for batch in (4, 8):
        kept.forget()
        assert drawn[batch].reserved == estimate(llama(), T4, batch=batch, **{**step, "sequence": drawn[batch].step.sequence}).reserved
    assert drawn[1].reserved < drawn[4].reserved < drawn[8].reserved


def test_what_costs_memory_costs_memory_here() -> None:
    def peak(device: hosts.Device = A100, **step: Any) -> int:
        return estimate(llama(num_hidden_layers=4), device, **{"batch": 8, "sequence": 256, "weights": "bf16", **step}).allocated

    base = peak()
    assert peak(checkpointing=True) < base < peak(attention="eager")
    assert peak(method="full", weights="fp32") > peak(method="full")
    assert peak(sequence=128) < base and peak(padded=True) > base
    assert peak(optimizer="sgd", method="full") < peak(optimizer="adamw_8bit", method="full") < peak(optimizer="adamw_fused", method="full")
    assert peak(optimizer="adamw_fused", method="full") <= peak(method="full")
    # grouped queries without a mask: before PyTorch 2.14 a GPU without flash attention computes all scores
    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 14):
        assert peak(T4, weights="fp16") > 1.05 * peak(weights="fp16")


def test_parts_are_told_and_reserved_is_never_less_than_allocated() -> None:
    told = estimate(llama(), T4, **full(batch=2))
    model = AutoModelForCausalLM.from_config(llama())
    count = sum(p.numel() for p in model.parameters())
    assert told.parameters == told.trained == count
    assert told.gradients == 4 * count and told.optimizer == 8 * count and 4 * count <= told.weights < 4 * count + 4096
    assert told.allocated <= told.reserved <= told.total == told.reserved + told.context
    assert "GiB at batch 2 on Tesla T4" in str(told)


def test_weights_in_4_bits_take_half_a_byte_each_and_their_scales() -> None:
    whole = estimate(llama(hidden_size=256), T4, weights="fp16").weights
    packed = estimate(llama(hidden_size=256), T4, weights="fp16", autocast="fp16", four_bit=True)
    # the output layer and the embeddings are not packed, but raised to float32
    linear = 2 * (2 * 256 * 256 + 2 * 256 * 128 + 3 * 256 * 160)
    assert packed.weights == pytest.approx(whole - 2 * linear + linear * (1 / 2 + 1 / 64) + 2 * 2 * 1000 * 256, rel=0.02)
    assert any("bitsandbytes" in note for note in packed.notes)


def test_random_state_default_dtype_and_the_live_model_stay_as_they_were() -> None:
    model = get_peft_model(AutoModelForCausalLM.from_config(llama()), LoraConfig(r=2, task_type="CAUSAL_LM"))
    before = [p.detach().clone() for p in model.parameters()]
    torch.manual_seed(5)
    random.seed(5)
    states = torch.get_rng_state(), random.getstate()
    told = estimate(model, CPU, weights="fp32", checkpointing=True, batch=1, sequence=32)
    assert torch.equal(torch.get_rng_state(), states[0]) and random.getstate() == states[1]
    assert torch.get_default_dtype() is torch.float32
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), before, strict=True))
    assert all(p.device.type == "cpu" for p in model.parameters()) and not model.base_model.model.model.gradient_checkpointing
    assert told.trained == sum(p.numel() for p in model.parameters() if p.requires_grad)


def test_an_estimate_is_kept_in_a_private_file_and_not_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = estimate(llama(), T4, batch=2)
    (file,) = (tmp_path / ".estimates").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600 and stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    monkeypatch.setattr(twins, "twin", lambda *_: pytest.fail("made again"))
    assert estimate(llama(), T4, batch=2) == first
    kept.forget()
    assert estimate(llama(), T4, batch=2) == first, "by the file"
    for other in ({"batch": 2, "lora_rank": 8}, {"batch": 2, "sequence": 64}):
        with pytest.raises(BaseException, match="made again"):
            estimate(llama(), T4, **other)
    with pytest.raises(BaseException, match="made again"):
        estimate(llama(vocab_size=999), T4, batch=2)


def test_a_damaged_file_is_written_anew(tmp_path: Path) -> None:
    first = estimate(llama(), T4, batch=2)
    (file,) = (tmp_path / ".estimates").iterdir()
    file.write_text("{")
    kept.forget()
    again = estimate(llama(), T4, batch=2)
    assert again.reserved == first.reserved and file.read_text() != "{"


@pytest.mark.parametrize("model", [torch.nn.Linear(2, 2), object(), {"hidden_size": 5}])
def test_what_cannot_be_run_without_data_is_said(model: Any) -> None:
    with pytest.raises(CannotEstimate):
        estimate(model, T4, method="full")


@pytest.mark.parametrize(
    "words", [{"bach": 2}, {"batch": 0}, {"attention": "flash"}, {"optimizer": "lion"}, {"weights": "int8"}, {"four_bit": True, "method": "full"}]
)
def test_words_that_mean_nothing_are_one_clear_line(words: dict[str, Any]) -> None:
    with pytest.raises(BadOption) as caught:
        estimate(llama(), T4, **words)
    assert "\n" not in str(caught.value) and next(iter(words)) in str(caught.value)


def test_what_autocast_changes_is_what_torch_registers() -> None:
    """Each operation of the lists has a kernel for autocast in this PyTorch (operators are their functions)."""
    has = torch._C._dispatch_has_kernel_for_dispatch_key
    names = [name for name in torch._C._dispatch_get_all_op_names() if name.startswith("aten::")]
    operators = {"__matmul__": "matmul", "__rmatmul__": "matmul", "__pow__": "pow", "cross_entropy": "nll_loss", "interpolate": "upsample_nearest2d"}
    for key, ours in (
        ("AutocastCUDA", kernels.LOWER_ON_CUDA | kernels.FP32_ON_CUDA),
        ("AutocastCPU", kernels.LOWER | kernels.FP32),
    ):
        registered = {name.removeprefix("aten::").split(".")[0] for name in names if has(name, key)}
        assert {operators.get(name, name) for name in ours} - registered <= {"rms_norm", "einsum"}, key
    cuda = {name.removeprefix("aten::").split(".")[0] for name in names if has(name, "AutocastCUDA")}
    assert {"linear", "matmul", "bmm", "baddbmm", "conv2d", "layer_norm", "pow", "rsqrt", "softmax", "sum"} <= cuda


def test_a_model_without_attention_is_estimated_too() -> None:
    from transformers import MambaConfig

    config = MambaConfig(hidden_size=32, num_hidden_layers=1, vocab_size=100)
    found = estimate(config, T4, method="full", weights="fp32", sequence=64)
    assert found.reserved > 0


def test_a_length_that_a_model_does_not_take_is_said() -> None:
    from colab_guard.plan import autoconfig

    plan = autoconfig(llama(max_position_embeddings=128), device=T4, sequence=4096, batch_size=1, effective_batch=1)
    assert plan.reasons["sequence"] == "given; the model takes 128"
