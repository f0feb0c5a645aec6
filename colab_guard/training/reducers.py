"""How `state` takes a Trainer, and accelerate's objects, apart and puts them together again.

accelerate's objects are views of process-wide singletons: those are not captured but set up again as they were. An
Accelerator of the user's travels by its attributes; a Trainer's is made again from the Trainer's own arguments. What
they wrap (model, optimizer, scheduler) is captured as it is, so that aliases with the user's names hold.
"""

from __future__ import annotations

import importlib
import weakref
from typing import Any

from colab_guard import state
from colab_guard.errors import CannotResume

MADE_AGAIN = ("accelerator", "gather_function", "model_wrapped", "_memory_tracker", "_train_batch_size")
"""Attributes of a Trainer that are made again from its arguments and its model."""
STEPS = ("_optimizer_original_step_method", "_optimizer_patched_step_method")
"""Of an optimizer that is stepped by a GradScaler: they are bound to it, and made again."""
_of_trainers: weakref.WeakSet[Any] = weakref.WeakSet()


def register() -> None:
    """Tell `state`; idempotent, imports nothing."""
    state.register_reducer("transformers.trainer.Trainer", reduce_trainer)
    state.register_reducer("accelerate.accelerator.Accelerator", reduce_accelerator)
    for name in ("GradientState", "AcceleratorState", "PartialState"):
        state.register_reducer(f"accelerate.state.{name}", reduce_singleton)
    state.register_reducer("accelerate.optimizer.AcceleratedOptimizer", reduce_stepped)
    state.register_reducer("accelerate.scheduler.AcceleratedScheduler", reduce_wrapper)
    # refuses to be pickled, though what it wraps (autocast around `forward`) can be
    state.register_reducer("accelerate.utils.operations.ConvertOutputsToFp32", reduce_wrapper)


def reduce_trainer(trainer: Any) -> tuple[Any, ...]:
    attributes = {name: value for name, value in trainer.__dict__.items() if name not in MADE_AGAIN}
    attributes["_train_batch_size"] = trainer._train_batch_size
    note_owned(trainer)
    wrapped = trainer.__dict__.get("model_wrapped")
    if wrapped is not None and wrapped is not trainer.model:
        raise TypeError("its model is wrapped (distributed or compiled), which cannot be kept yet")
    return new_trainer, (type(trainer),), attributes, None, None, set_trainer


def new_trainer(cls: Any) -> Any:
    return cls.__new__(cls)


def set_trainer(trainer: Any, attributes: dict[str, Any]) -> None:
    trainer.__dict__.update(attributes)
    trainer.model_wrapped = trainer.model
    make_accelerator(trainer)
    tracker = importlib.import_module("transformers.trainer_utils").TrainerMemoryTracker
    trainer._memory_tracker = tracker(trainer.args.skip_memory_metrics)


def make_accelerator(trainer: Any) -> None:
    """A new Accelerator, by the Trainer's arguments; the process's state is made anew with it, as new arguments do."""
    importlib.import_module("accelerate.state").AcceleratorState._reset_state()
    trainer.create_accelerator_and_postprocess()


def note_owned(trainer: Any) -> None:
    """Its Accelerator is made again with it: no other name may lead to it."""
    accelerator = trainer.__dict__.get("accelerator")
    if accelerator is not None:
        _of_trainers.add(accelerator)


def reduce_accelerator(accelerator: Any) -> tuple[Any, ...]:
    if accelerator in _of_trainers:
        raise TypeError("it is a Trainer's, and is made again with it; reach it as `trainer.accelerator`")
    attributes, precision = dict(accelerator.__dict__), accelerator.state._mixed_precision
    accumulated = dict(accelerator.gradient_state.plugin_kwargs)
    return new_trainer, (type(accelerator),), (attributes, precision, accumulated), None, None, set_accelerator


def set_accelerator(accelerator: Any, kept: tuple[dict[str, Any], str, dict[str, Any]]) -> None:
    """As it was, over how many batches it accumulates too, which the process's GradientState knows."""
    attributes, precision, accumulated = kept
    found = attributes["state"]._mixed_precision
    if found != precision:
        raise CannotResume(
            f"the snapshot holds an Accelerator with mixed_precision={precision!r}, and accelerate is set up with {found!r} in "
            "this kernel, which would be used instead; restart the kernel, and run this cell before another Accelerator is made"
        )
    set_wrapper(accelerator, attributes)
    accelerator.gradient_state.plugin_kwargs.update(accumulated)


def reduce_singleton(singleton: Any) -> tuple[Any, ...]:
    kind = type(singleton).__name__
    if kind == "GradientState":
        return live_singleton, (kind, False, None)
    precision = singleton._mixed_precision if kind == "AcceleratorState" else None
    return live_singleton, (kind, bool(getattr(singleton, "_cpu", False)), precision)


def live_singleton(kind: str, cpu: bool, precision: str | None) -> Any:
    """The process's own instance; where accelerate has not been used yet, it is set up as it was."""
    module = importlib.import_module("accelerate.state")
    if kind == "PartialState":
        return module.PartialState(cpu=cpu)
    if kind == "AcceleratorState" and not module.AcceleratorState._shared_state:
        importlib.import_module("accelerate").Accelerator(cpu=cpu, mixed_precision=precision)
    return getattr(module, kind)()


def reduce_wrapper(wrapper: Any) -> tuple[Any, ...]:
    return new_trainer, (type(wrapper),), dict(wrapper.__dict__), None, None, set_wrapper


def set_wrapper(wrapper: Any, attributes: dict[str, Any]) -> None:
    wrapper.__dict__.update(attributes)


def reduce_stepped(optimizer: Any) -> tuple[Any, ...]:
    attributes = {name: value for name, value in optimizer.__dict__.items() if name not in STEPS}
    return new_trainer, (type(optimizer),), attributes, None, None, set_stepped


def set_stepped(optimizer: Any, attributes: dict[str, Any]) -> None:
    optimizer.__dict__.update(attributes)
    if optimizer.scaler is not None:
        patch = importlib.import_module("accelerate.optimizer").patch_optimizer_step
        original = optimizer._optimizer_original_step_method = optimizer.optimizer.step
        optimizer._optimizer_patched_step_method = patch(optimizer, original)
