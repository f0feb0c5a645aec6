"""Choosing a plan: from the device found, its free memory, and how many parameters the model has.

The formula is meant to be safe rather than tight: bytes for the weights, plus, for each sample, a share of the weights
that stands for activations. A device whose behaviour is known gets its known start (a T4: batch 2, rank 4, fp16).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from colab_guard import hosts
from colab_guard.errors import BadOption
from colab_guard.plan.plan import Plan

LORA_RANK = 4
DEFAULT_PARAMETERS = 1_000_000_000
KNOWN_STARTS = {"T4": 2}
BYTES_PER_WEIGHT = {"fp32": 4, "fp16": 2, "bf16": 2}
ACTIVATIONS_PER_WEIGHT = 1.0
"""Bytes of activations of one sample for each byte of weights: an upper guess for short sequences."""
CHECKPOINTING_FROM = 0.5
"""Weights that fill this share of the budget leave too little for activations: recompute them."""
CHOICES = ("batch_size", "dtype", "lora_rank", "lora_alpha", "gradient_checkpointing")


def autoconfig(
    model: Any = None,
    *,
    device: hosts.Device | None = None,
    effective_batch: int = 16,
    fraction: float = 0.85,
    **overrides: Any,
) -> Plan:
    """A plan for `model` (its parameter count, a module, a config, or only a name) on `device` (default: the one found).

    The effective batch is the same on every device; only how it is cut into micro-batches depends on memory. Rank is
    never lowered for memory: it costs almost none. What is given as an override (batch_size, dtype, lora_rank,
    lora_alpha, gradient_checkpointing) wins. Raises BadOption for other words and impossible numbers.
    """
    unknown = sorted(set(overrides) - set(CHOICES))
    if unknown:
        raise BadOption(f"autoconfig does not know {', '.join(unknown)}; it takes {', '.join(CHOICES)}")
    if effective_batch < 1:
        raise BadOption(f"effective_batch={effective_batch} means nothing; give 1 or more")
    if not 0 < fraction <= 1:
        raise BadOption(f"fraction={fraction} is no share of memory; give one above 0 and up to 1, e.g. 0.85")
    device = device or hosts.devices(import_torch=True)[0]
    budget = int(device.free * fraction)
    reasons = {"memory_budget": f"{fraction:.0%} of the {device.free / 2**30:.1f} GiB that are free"}
    dtype = _dtype(device, overrides, reasons)
    count, told = parameter_count(model)
    weights = count * BYTES_PER_WEIGHT[dtype]
    batch = _batch(device, weights, budget, effective_batch, told, overrides, reasons)
    rank = int(_given("lora_rank", overrides, reasons, LORA_RANK, "the documented default; rank costs almost no memory"))
    checkpointing = weights > CHECKPOINTING_FROM * budget
    why = "weights leave too little room for activations" if checkpointing else "activations fit; it would cost a third of the speed"
    if rank < 1:
        raise BadOption(f"lora_rank={rank} means nothing; give 1 or more")
    reasons["device"] = "the first device that works" if device.kind != "cpu" else "no GPU that works was found"
    reasons["effective_batch"] = "fixed by configuration, the same on every device"
    reasons["gradient_accumulation"] = f"{effective_batch} in steps of {batch}"
    return Plan(
        device=device.kind,
        device_name=device.name,
        dtype=dtype,
        batch_size=batch,
        gradient_accumulation=effective_batch // batch,
        effective_batch=effective_batch,
        lora_rank=rank,
        lora_alpha=int(_given("lora_alpha", overrides, reasons, 2 * rank, "twice the rank")),
        gradient_checkpointing=bool(_given("gradient_checkpointing", overrides, reasons, checkpointing, why)),
        memory_budget=budget,
        reasons=reasons,
    )


def parameter_count(model: Any) -> tuple[int, str]:
    """How many parameters `model` has, and how that is known."""
    if isinstance(model, int) and not isinstance(model, bool):
        return model, f"{model:,} parameters"
    if callable(getattr(model, "parameters", None)):
        count = sum(int(p.numel()) for p in model.parameters())
        return count, f"{count:,} parameters"
    width, depth = _first(model, "hidden_size", "d_model", "n_embd"), _first(model, "num_hidden_layers", "n_layer")
    if width and depth:
        count = 12 * depth * width * width + (_first(model, "vocab_size") or 0) * width
        return count, f"about {count:,} parameters by its config"
    return DEFAULT_PARAMETERS, f"size unknown, taken as {DEFAULT_PARAMETERS:,} parameters"


def _first(model: Any, *names: str) -> int | None:
    found = (getattr(model, name, None) for name in names)
    return next((value for value in found if isinstance(value, int)), None)


def _dtype(device: hosts.Device, overrides: Mapping[str, Any], reasons: dict[str, str]) -> str:
    if device.kind == "cpu":
        value, why = "fp32", "CPUs compute it natively"
    elif device.bf16:
        value, why = "bf16", "this GPU has it without emulation"
    else:
        value, why = "fp16", "this GPU has no bf16 of its own"
    chosen = str(_given("dtype", overrides, reasons, value, why))
    if chosen not in BYTES_PER_WEIGHT:
        raise BadOption(f"dtype={chosen!r} means nothing; use fp32, fp16 or bf16")
    return chosen


def _batch(
    device: hosts.Device,
    weights: int,
    budget: int,
    effective_batch: int,
    told: str,
    overrides: Mapping[str, Any],
    reasons: dict[str, str],
) -> int:
    """The largest micro-batch that divides the effective batch and fits by the formula."""
    known = next((batch for name, batch in KNOWN_STARTS.items() if name in device.name.split()), None)
    if known is not None:
        most, why = known, f"the documented start on a {device.name}"
    else:
        sample = max(int(weights * ACTIVATIONS_PER_WEIGHT), 1)
        most, why = max((budget - weights) // sample, 1), f"{told}: fits the budget by the formula"
    fitting = max(size for size in range(1, effective_batch + 1) if effective_batch % size == 0 and size <= most)
    batch = int(_given("batch_size", overrides, reasons, fitting, why))
    if batch < 1 or effective_batch % batch:
        raise BadOption(f"batch_size={batch} does not divide the effective batch {effective_batch}; change one of them")
    return batch


def _given(name: str, overrides: Mapping[str, Any], reasons: dict[str, str], default: Any, why: str) -> Any:
    reasons[name] = "given" if name in overrides else why
    return overrides.get(name, default)
