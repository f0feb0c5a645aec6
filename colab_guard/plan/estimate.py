"""The peak of a training step before anything is run: from a model's config alone, no weights, no GPU.

The step is run over tensors that have shapes and no data (`measure`), its storages are played to a simulated allocator
(`allocator`), and the result is kept by all that it depends on, in memory and in a private file under the home folder. What is
measured so: weights, adapters, gradients, optimizer state, activations as autograd keeps them, autocast's casts, recomputation,
cuBLAS's workspaces, rounding and fragmentation. What is not: the CUDA context (`context`, a constant), libraries that allocate
past PyTorch, and what kernels take inside and give back, beyond the few in `kernels.temporaries`.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from colab_guard import hosts
from colab_guard.errors import BadOption, GuardError
from colab_guard.plan import kept
from colab_guard.plan.step import Step

MIB = 1 << 20
CONTEXT_T4 = 141 * MIB
"""What a process holds on a T4 beside PyTorch's allocator (pytorch#58466; measured there)."""
CONTEXT_OTHERS = 512 * MIB
"""The same on larger GPUs, whose kernels are larger: an upper figure, not measured by us."""
TRACED_AT = 2
"""Of batches 2 and 3 all others are drawn; 1 is no good beginning: dimensions of one element are contiguous in any order."""


class CannotEstimate(GuardError):
    """The model is none that can be run without data; the text says why."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """Peaks in bytes. `reserved` is what PyTorch takes from the device (on a CPU: what lives), `expandable` the same with
    `expandable_segments:True`, `allocated` what tensors hold of it; `context` comes on top. `seconds` it took to find out."""

    step: Step
    device: str
    reserved: int
    expandable: int
    allocated: int
    weights: int
    gradients: int
    optimizer: int
    parameters: int
    trained: int
    context: int
    notes: tuple[str, ...] = ()
    seconds: float = 0.0

    @property
    def total(self) -> int:
        """Of the device's memory in all."""
        return self.reserved + self.context

    @property
    def activations(self) -> int:
        """What is left of the peak for activations and passing tensors."""
        return max(self.allocated - self.weights - self.optimizer, 0)

    def __str__(self) -> str:
        gib = 1 << 30
        parts = ", ".join(
            f"{name} {size / gib:.2f}"
            for name, size in (("weights", self.weights), ("optimizer", self.optimizer), ("activations and gradients", self.activations))
        )
        return f"{self.total / gib:.2f} GiB at batch {self.step.batch} on {self.device} ({parts})"


def estimate(model: Any, device: hosts.Device | None = None, **step: Any) -> Estimate:
    """The peak of training `model` (a config of transformers, a dict with `model_type`, or a live model) by `Step(**step)`.

    On `device` (default: the one found). Raises CannotEstimate for models that cannot be run so, BadOption for words that mean
    nothing. Takes seconds the first time (7B parameters: about 5 of CPU time), nothing afterwards.
    """
    unknown = sorted(set(step) - set(Step.__dataclass_fields__))
    if unknown:
        raise BadOption(f"estimate does not know {', '.join(unknown)}; it takes {', '.join(Step.__dataclass_fields__)}")
    device = device or hosts.devices(import_torch=True)[0]
    wanted = Step(**step)
    return estimates(model, device, wanted, [wanted.batch])[wanted.batch]


def estimates(model: Any, device: hosts.Device, step: Step, batches: Iterable[int]) -> dict[int, Estimate]:
    """Estimates by batch. Several batches cost two runs, whatever their number: all others are drawn from these."""
    if device.kind not in ("cuda", "cpu"):
        raise CannotEstimate(f"how {device.kind} allocates is not known")
    wanted = sorted(set(batches))
    key = kept.key(model, step, device)
    found = kept.load(key)
    missing = [batch for batch in wanted if batch not in found]
    if missing:
        started = time.perf_counter()
        made = _made(model, device, step, missing)
        seconds = time.perf_counter() - started
        found |= {batch: asdict(replace(one, seconds=round(seconds, 3))) for batch, one in made.items()}
        kept.save(key, found)
    return {batch: _read(found[batch]) for batch in wanted}


def context_of(device: hosts.Device) -> int:
    """What a process takes of `device` beside PyTorch's allocator, in bytes."""
    if device.kind != "cuda":
        return 0
    return CONTEXT_T4 if device.capability is not None and device.capability < (8, 0) else CONTEXT_OTHERS


def _read(data: dict[str, Any]) -> Estimate:
    return Estimate(**{**data, "step": Step.from_dict(data["step"]), "notes": tuple(data["notes"])})


def _made(model: Any, device: hosts.Device, step: Step, batches: list[int]) -> dict[int, Estimate]:
    try:
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise CannotEstimate(f"{error.name} is not installed") from None
    from colab_guard.plan.allocator import Caching, Counting
    from colab_guard.plan.dry import twins
    from colab_guard.plan.dry.kernels import Kind
    from colab_guard.plan.dry.measure import Measured
    from colab_guard.plan.dry.trace import Line

    kind = Kind(device.kind, device.capability or (8, 0))
    try:
        with twins.quiet():
            measured = Measured(model, step, kind)
            if len(batches) == 1:
                traces = {batches[0]: measured.trace(batches[0])}
            else:
                line = Line(TRACED_AT, measured.trace(TRACED_AT), measured.trace(TRACED_AT + 1))
                traces = {batch: line.trace(batch) if line.straight else measured.trace(batch) for batch in batches}
    except twins.Unknown as error:
        raise CannotEstimate(str(error)) from None
    except BadOption:
        raise
    except Exception as error:
        # code of libraries and of users, over tensors without data: whatever it does not bear, nothing is known then
        raise CannotEstimate(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:200]) from error
    found = {}
    for batch, trace in traces.items():
        plain, grown = (Caching(), Caching(expandable=True)) if device.kind == "cuda" else (Counting(), Counting())
        trace.replay(plain)
        trace.replay(grown)
        found[batch] = Estimate(
            step=replace(step, batch=batch),
            device=device.name,
            reserved=plain.peak_reserved,
            expandable=grown.peak_reserved,
            allocated=plain.peak_allocated,
            weights=measured.weights,
            gradients=measured.gradients,
            optimizer=measured.optimizer,
            parameters=measured.parameters,
            trained=measured.trained,
            context=context_of(device),
            notes=tuple(_notes(step)),
        )
    return found


def _notes(step: Step) -> Iterable[str]:
    if step.four_bit:
        yield "4-bit weights by their sizes: bitsandbytes itself is not run"
    if step.optimizer == "adamw_8bit":
        yield "8-bit moments by their sizes: bitsandbytes itself is not run"
