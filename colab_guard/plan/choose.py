"""Choosing a plan: each choice for the device found, with its reason; what fits is found out in `fit`."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

from colab_guard import hosts
from colab_guard.errors import BadOption
from colab_guard.plan import asked, planned
from colab_guard.plan.estimate import context_of
from colab_guard.plan.fit import BYTES_PER_WEIGHT, GIB, may_shorten, weights_of, what_fits, why_not_four_bit
from colab_guard.plan.plan import Plan
from colab_guard.plan.step import Step

LORA_RANK = 4
EFFECTIVE_BATCH = 16


def autoconfig(
    model: Any = None,
    *,
    device: hosts.Device | None = None,
    effective_batch: int | None = None,
    fraction: float = 0.85,
    allow: str | Iterable[str] | None = (),
    **options: Any,
) -> Plan:
    """A plan for `model` (a config, a live model, a parameter count, or only a name) on `device` (default: the one found).

    The effective batch (default 16) is the same on every device; only how it is cut into micro-batches depends on memory: the
    largest whose reserved peak plus context stays under `fraction` of the device. Rank is never lowered for memory: it costs
    almost none. What is given wins (batch_size, dtype, lora_rank, lora_alpha, gradient_checkpointing; method, sequence, task,
    attention, optimizer, four_bit, lora_targets, lora_dropout, padded and loop as in `Step`), then what the parameters of the
    run under way say. `allow` permits what else may be chosen where nothing fits: "4bit" (the base's weights, on CUDA, where
    bitsandbytes is installed) and "shorter" sequences. In a run, the plan is committed with it, and the same question gets the
    same plan again; one that had to change is noted in the run's results. Raises BadOption for other words and impossible numbers.
    """
    fraction = asked.share(fraction)
    if device is not None and not isinstance(device, hosts.Device):
        raise BadOption(f"device={device!r} is none; leave it out for the one that is found, or give a colab_guard.hosts.Device")
    run = planned.under_way()
    if effective_batch is not None:
        options = {**options, "effective_batch": effective_batch}
    given = asked.checked(options, planned.said(run.params) if run is not None else {})
    device = device or hosts.devices(import_torch=True)[0]
    model, told = asked.known(model)
    permitted = asked.allowed(allow)
    name = asked.name_of(model, {**given.values, **({"allow": sorted(permitted)} if permitted else {})})
    room = room_on(device, fraction)
    earlier = run.plans.get(name) if run is not None else None
    if run is not None and earlier is not None:
        again = Plan.from_dict(earlier)
        trouble = _does_not_fit(again, device, room)
        if trouble is None:
            for change in again.changes:
                run.note_change(change)
            return again
    plan = _chosen(model, told, device, fraction, room, given, permitted)
    if run is not None:
        for change in plan.changes:
            run.note_change(change)
        if earlier is not None:
            changed = f"plan changed ({trouble}): {_differences(again, plan)}"
            run.note_change(changed)
        run.plans[name] = plan.to_dict()
    return plan


def room_on(device: hosts.Device, fraction: float) -> int:
    """Bytes that training may reserve on `device`: under the guard's line, and of what is free or held by this process."""
    if device.kind == "cpu":
        return max(int(device.total * fraction) - (device.total - device.free), 0)
    return max(min(int(device.total * fraction) - context_of(device), device.free + device.held), 0)


def _chosen(
    model: Any, told: str, device: hosts.Device, fraction: float, room: int, given: asked.Given, permitted: frozenset[str]
) -> Plan:
    reasons: dict[str, str] = {}
    dtype = _dtype(device, given, reasons)
    method = str(given.take("method", reasons, *_method_of(model)))
    rank = int(given.take("lora_rank", reasons, *_rank_of(model)))
    if rank < 1:
        raise BadOption(f"lora_rank={rank} means nothing; give 1 or more")
    effective = int(given.take("effective_batch", reasons, EFFECTIVE_BATCH, "fixed by configuration, the same on every device"))
    if effective < 1:
        raise BadOption(f"effective_batch={effective} means nothing; give 1 or more")
    weights = weights_of(model) or (dtype if method == "lora" else "fp32")
    step = Step(
        **{name: value for name, value in given.values.items() if name in asked.ASSUMED and name != "method"},
        method=method,
        weights=weights,
        autocast=None if dtype == "fp32" else dtype,
        lora_rank=rank,
        accumulation=effective > 1,
    )
    wanted = step
    found, step = what_fits(model, told, device, step, effective, room, given, permitted)
    reasons["device"] = "the first device that works" if device.kind != "cpu" else "no GPU that works was found"
    if weights_of(model) is not None:
        reasons["weights"] = "the model has them so"
    else:
        reasons["weights"] = "of the base; adapters stay in fp32" if method == "lora" else "trained weights stay in fp32"
    batch = int(given.take("batch_size", reasons, found.batch, found.why_batch))
    if "batch_size" in given.values and found.peak is not None:
        reasons["batch_size"] += f"; {found.why_batch}"
    reasons["gradient_accumulation"] = f"{effective} in steps of {batch}"
    reasons["sequence"] = given.why("sequence") or "taken as that: give sequence=... if yours differ"
    takes = getattr(getattr(model, "config", model), "max_position_embeddings", None)
    if isinstance(takes, int) and takes < wanted.sequence and "sequence" in given.values:
        reasons["sequence"] += f"; the model takes {takes}"
    if step.sequence != wanted.sequence:
        reasons["sequence"] = f"{wanted.sequence} would not fit; shorter is allowed"
    elif "shorter" in permitted and not found.fits and not may_shorten(given):
        reasons["sequence"] += ", so it stays"
    if wanted.four_bit:
        reasons["four_bit"] = str(given.why("four_bit"))
    elif step.four_bit:
        reasons["four_bit"] = "it would not fit otherwise; allowed"
    elif "4bit" in permitted:
        unneeded = "not estimated" if found.peak is None else "not needed" if found.fits else "and nothing says that it would fit so"
        reasons["four_bit"] = f"allowed, {why_not_four_bit(model, device, step) or unneeded}"
    under = f"{fraction:.0%} of {device.total / GIB:.1f} GiB"
    less = "what is in use" if device.kind == "cpu" else f"{context_of(device) / GIB:.2f} GiB of context"
    reasons["memory_budget"] = f"{under} less {less}; {device.free / GIB:.1f} GiB are free now"
    reasons["expected_peak"] = "of a step run without data" if found.peak is not None else "not estimated"
    return Plan(
        device=device.kind,
        device_name=device.name,
        dtype=dtype,
        batch_size=batch,
        gradient_accumulation=effective // batch,
        effective_batch=effective,
        lora_rank=rank,
        lora_alpha=int(given.take("lora_alpha", reasons, 2 * rank, "twice the rank")),
        gradient_checkpointing=bool(given.take("gradient_checkpointing", reasons, found.checkpointing, found.why_checkpointing)),
        memory_budget=room,
        reasons=reasons,
        method=method,
        weights=weights,
        sequence=step.sequence,
        expected_peak=found.peak,
        four_bit=step.four_bit,
        cut_from=wanted.sequence if step.sequence != wanted.sequence else None,
    )


def _dtype(device: hosts.Device, given: asked.Given, reasons: dict[str, str]) -> str:
    if device.kind == "cpu":
        value, why = "fp32", "CPUs compute it natively"
    elif device.bf16:
        value, why = "bf16", "this GPU has it without emulation"
    else:
        value, why = "fp16", "this GPU has no bf16 of its own"
    chosen = str(given.take("dtype", reasons, value, why))
    if chosen not in BYTES_PER_WEIGHT:
        raise BadOption(f"dtype={chosen!r} means nothing; use fp32, fp16 or bf16")
    return chosen


def _adapter(model: Any) -> Any:
    configs = getattr(model, "peft_config", None)
    return next(iter(configs.values()), None) if isinstance(configs, dict) else None


def _method_of(model: Any) -> tuple[str, str]:
    if _adapter(model) is not None:
        return "lora", "the model has its adapter"
    return "lora", "the default; method='full' trains all weights"


def _rank_of(model: Any) -> tuple[int, str]:
    rank = getattr(_adapter(model), "r", None)
    if isinstance(rank, int):
        return rank, "the model's adapter has it"
    return LORA_RANK, "the documented default; rank costs almost no memory"


def _does_not_fit(plan: Plan, device: hosts.Device, room: int) -> str | None:
    """Why a plan made before cannot be followed here; None where it can."""
    if plan.device != device.kind:
        return f"made for {plan.device_name}, this is {device.name}"
    if plan.dtype == "bf16" and device.kind == "cuda" and not device.bf16:
        return f"{device.name} has no bf16 of its own"
    if plan.four_bit and find_spec("bitsandbytes") is None:
        return "bitsandbytes is not installed here"
    if plan.expected_peak is not None and plan.expected_peak > room:
        return f"{plan.expected_peak / GIB:.2f} GiB do not fit {room / GIB:.2f} GiB"
    return None


def _differences(before: Plan, now: Plan) -> str:
    names = ("device", "dtype", "batch_size", "gradient_checkpointing", "sequence", "four_bit")
    told = [f"{name} {getattr(before, name)} → {getattr(now, name)}" for name in names if getattr(before, name) != getattr(now, name)]
    return ", ".join(told) or "the same choices"
