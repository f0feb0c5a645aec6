"""What fits: the largest micro-batch whose estimated peak stays under the guard's line, with checkpointing where it has to be.

Where the model is known by its config, the peak is that of `estimate`. Where it is not, a device whose behaviour is known gets
its documented start (a T4: batch 2, rank 4, fp16), and for all else a formula guesses: bytes for the weights, plus, for each
sample, a share of the weights that stands for activations. Where nothing fits, 4 bits and shorter sequences are tried, if the
user permits them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

from colab_guard import hosts
from colab_guard.errors import BadOption
from colab_guard.plan import asked
from colab_guard.plan.estimate import CannotEstimate, estimates
from colab_guard.plan.step import SHORTEST, Step

GIB = 1 << 30
DEFAULT_PARAMETERS = 1_000_000_000
KNOWN_STARTS = {"T4": 2}
BYTES_PER_WEIGHT = {"fp32": 4, "fp16": 2, "bf16": 2}
ACTIVATIONS_PER_WEIGHT = 1.0
"""Bytes of activations of one sample for each byte of weights: an upper guess for short sequences."""
CHECKPOINTING_FROM = 0.5
"""Weights that fill this share of the budget leave too little for activations: recompute them."""
ENOUGH = 2
"""Samples in a micro-batch that make recomputing activations, a third of the speed, not worth a larger one."""

NOT_WORTH = "activations fit; it would cost a third of the speed"


@dataclass(frozen=True, slots=True)
class Fit:
    """The micro-batch and checkpointing chosen, why, and the peak in bytes that is expected (None: by no estimate)."""

    batch: int
    checkpointing: bool
    why_batch: str
    why_checkpointing: str
    peak: int | None = None
    fits: bool = True


def what_fits(
    model: Any,
    told: str,
    device: hosts.Device,
    step: Step,
    effective: int,
    room: int,
    given: asked.Given,
    permitted: frozenset[str],
) -> tuple[Fit, Step]:
    """What fits, and the step that it is of: another one only where that is permitted."""
    sizes = [size for size in range(1, effective + 1) if effective % size == 0]
    batch = given.values.get("batch_size")
    if batch is not None:
        if batch < 1 or effective % batch:
            raise BadOption(f"batch_size={batch} does not divide the effective batch {effective}; change one of them")
        sizes = [batch]
    asked_for = given.values.get("gradient_checkpointing")
    try:
        found = _by_estimate(model, device, step, sizes, room, asked_for)
    except CannotEstimate as error:
        return _by_formula(model, f"{told}not estimated ({error})", device, step, sizes, room), step
    for other in () if found.fits else _permitted_steps(model, device, step, given, permitted):
        try:
            smaller = _by_estimate(model, device, other, sizes, room, asked_for)
        except CannotEstimate as error:
            four = ", 4 bits" if other.four_bit else ""
            found = replace(found, why_batch=f"{found.why_batch}; sequences of {other.sequence}{four}: not estimated ({error})")
            continue
        if smaller.fits:
            return smaller, other
    return found, step


def _permitted_steps(model: Any, device: hosts.Device, step: Step, given: asked.Given, permitted: frozenset[str]) -> Iterator[Step]:
    """Steps that take less memory, nearest to what was asked for first: 4 bits change no sample."""
    if "4bit" in permitted and not step.four_bit and why_not_four_bit(model, device, step) is None:
        step = replace(step, four_bit=True)
        yield step
    while "shorter" in permitted and may_shorten(given) and step.sequence > SHORTEST:
        step = replace(step, sequence=max((step.sequence + 1) // 2, SHORTEST))
        yield step


def may_shorten(given: asked.Given) -> bool:
    """A length that the run's parameters say is what is tried in that run."""
    return given.why("sequence") in (None, "given")


def why_not_four_bit(model: Any, device: hosts.Device, step: Step) -> str | None:
    if device.kind != "cuda":
        return "but it needs a CUDA GPU"
    if step.method == "full":
        return "but weights in 4 bits cannot be trained themselves"
    if weights_of(model) is not None:
        return "but the model is loaded already: give its config"
    return None if find_spec("bitsandbytes") is not None else "but bitsandbytes is not installed"


def _by_estimate(
    model: Any, device: hosts.Device, step: Step, sizes: list[int], room: int, asked_for: bool | None
) -> Fit:
    """Without checkpointing if enough samples fit so, else with it; if nothing fits, the smallest, and that is said."""
    if model is None or isinstance(model, (int, str)):
        raise CannotEstimate("no config is known")
    growing = _segments_grow()
    for checkpointing in (False, True) if asked_for is None else (bool(asked_for),):
        found = estimates(model, device, _with(step, checkpointing), sizes)
        peaks = {size: one.expandable if growing else one.reserved for size, one in found.items()}
        fitting = [size for size in sizes if peaks[size] <= room]
        if fitting and (checkpointing or asked_for is not None or fitting[-1] >= min(ENOUGH, sizes[-1])):
            best = fitting[-1]
            why = "it would not fit without" if checkpointing else NOT_WORTH
            told = "; ".join((_why(peaks, best, room), *found[best].notes))
            return Fit(best, checkpointing, told, why, peaks[best])
        least = peaks[sizes[0]]
    words = f"nothing fits: {sizes[0]} would take {least / GIB:.2f} of {room / GIB:.2f} GiB"
    advice = "allow=('shorter', '4bit'), or a larger device"
    return Fit(sizes[0], checkpointing, f"{words}; {advice}", "it takes the least memory", least, fits=False)


def _with(step: Step, checkpointing: bool) -> Step:
    return Step.from_dict({**step.to_dict(), "checkpointing": checkpointing})


def _why(peaks: Mapping[int, int], best: int, room: int) -> str:
    told = f"fits: {peaks[best] / GIB:.2f} of {room / GIB:.2f} GiB"
    larger = next((size for size in sorted(peaks) if size > best), None)
    return told if larger is None else f"{told}; {larger} would take {peaks[larger] / GIB:.2f}"


def _segments_grow() -> bool:
    """Whether PyTorch is told to use `expandable_segments`."""
    told = os.environ.get("PYTORCH_ALLOC_CONF", "") + os.environ.get("PYTORCH_CUDA_ALLOC_CONF", "")
    return "expandable_segments:true" in told.lower()


def _by_formula(model: Any, told: str, device: hosts.Device, step: Step, sizes: list[int], room: int) -> Fit:
    count, how = parameter_count(model)
    weights = count * BYTES_PER_WEIGHT[step.weights]
    known = next((batch for name, batch in KNOWN_STARTS.items() if name in device.name.split()), None)
    if known is not None:
        most, why = known, f"{told}: the documented start on a {device.name}"
    else:
        most = max(int((room - weights) // max(weights * ACTIVATIONS_PER_WEIGHT, 1)), 1)
        why = f"{told}; {how}: fits the budget by the formula"
    batch = max((size for size in sizes if size <= most), default=sizes[0])
    checkpointing = weights > CHECKPOINTING_FROM * room
    return Fit(batch, checkpointing, why, "weights leave too little room for activations" if checkpointing else NOT_WORTH)


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


def weights_of(model: Any) -> str | None:
    """The dtype of a live model's weights, in this room's words."""
    if not callable(getattr(model, "parameters", None)):
        return None
    names = {"torch.float32": "fp32", "torch.float16": "fp16", "torch.bfloat16": "bf16"}
    return next((names[str(p.dtype)] for p in model.parameters() if str(p.dtype) in names), None)
