"""What is known of the inside of transformers' `Trainer`, and the way through it back to a place in its loop.

Everything that depends on a version of transformers stands here. Written for transformers 5 (tested: 5.15 and 5.23),
whose Trainer keeps its running loss in attributes and has `_run_epoch`; 5.23 has another name for gradient
checkpointing.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

NEEDED_METHODS = ("_run_epoch", "_init_training_state", "_prepare_for_training", "_load_rng_state", "get_batch_samples")
RESUMED_FROM = "colab_guard"
"""Stands where the Trainer expects the path of a checkpoint; nothing is read from it."""

ONCE = {"model_init": None, "neftune_noise_alpha": None, "_created_lr_scheduler": False}
"""Attributes by which `train` makes a model, hooks or a scheduler: they are there already, restored."""

ONCE_BY_ARGUMENTS = {
    "gradient_checkpointing": False,
    "activation_checkpointing": False,
    "eval_on_start": False,
    "ignore_data_skip": False,
    "debug": [],
}
"""The same among the `TrainingArguments`; with `ignore_data_skip` the way would lead to the epoch's first step."""


def module() -> Any:
    return sys.modules["transformers.trainer"]


def unsupported() -> str | None:
    """Why this transformers has no safe point inside its Trainer; None if it has."""
    cls = module().Trainer
    if all(hasattr(cls, name) for name in NEEDED_METHODS):
        return None
    version: str = sys.modules["transformers"].__version__
    return f"the Trainer of transformers {version} cannot be resumed inside; 5.15 and later can"


def not_resumable(trainer: Any) -> str | None:
    """Why this Trainer's loop cannot be resumed inside; None if it can."""
    if trainer.accelerator.num_processes > 1 or trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        return "the Trainer runs on several processes, which is not resumable yet"
    if trainer.args.n_gpu > 1:
        return "the Trainer runs on several GPUs by DataParallel, which is not resumable yet"
    if trainer.model_wrapped is not trainer.model:
        return "the Trainer wraps its model (compiled or parallel), which is not resumable yet"
    if trainer.args.auto_find_batch_size:
        return "auto_find_batch_size begins anew with other batches; set the batch size (see autoconfig)"
    return None


def not_in_parts(trainer: Any) -> bool:
    """Whether several processes or devices share its step, or an engine does the backward pass: then it stays whole."""
    engine = trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled
    return bool(engine or trainer.accelerator.num_processes > 1 or trainer.args.n_gpu > 1)


def step_arguments(model: Any, inputs: Any, num_items_in_batch: Any = None) -> tuple[Any, Any, Any]:
    """The arguments of a training step, in order."""
    return model, inputs, num_items_in_batch


def items_count(trainer: Any) -> Callable[[Any], float] | None:
    """How the Trainer itself counts what a sum is divided by; it knows not of every model whose labels are shifted."""
    own = getattr(trainer, "_get_num_items_in_batch", None)
    if own is None:
        return None

    def count(batch: Any) -> float:
        items = own([batch], trainer.args.device)
        return 0.0 if items is None else float(items)

    return count


def loader_of(batches: Any) -> Any:
    """The loader behind a pass that has not begun: accelerate's loaders iterate by a generator of their own."""
    if not inspect.isgenerator(batches) or inspect.getgeneratorstate(batches) != inspect.GEN_CREATED:
        return None
    return None if batches.gi_frame is None else batches.gi_frame.f_locals.get("self")


@contextmanager
def way_back(trainer: Any, epoch: int, update_step: int, loader: Any) -> Iterator[Callable[[], None]]:
    """Within, `train` leads to `update_step` of `epoch` and does nothing else that counts; gives what ends that."""
    with ExitStack() as undo:
        _hide(trainer, vars(trainer.args), ONCE_BY_ARGUMENTS, undo)
        _hide(trainer, vars(trainer), ONCE, undo)
        _lead(trainer, epoch, update_step, loader, undo)
        yield undo.close


def _hide(trainer: Any, attributes: dict[str, Any], values: Mapping[str, Any], undo: ExitStack) -> None:
    for name, value in values.items():
        if name in attributes:
            undo.callback(attributes.__setitem__, name, attributes[name])
            attributes[name] = value


def _lead(trainer: Any, epoch: int, update_step: int, loader: Any, undo: ExitStack) -> None:
    state, prepare = trainer.state, trainer._prepare_for_training
    model = vars(trainer.model)
    forward = {name: model[name] for name in ("forward", "_original_forward") if name in model}

    def into_place(*_: Any, **__: Any) -> tuple[int, int]:
        trainer.state = state
        return epoch, update_step * trainer.args.gradient_accumulation_steps

    def prepared(max_steps: int, train_dataloader: Any, _: Any) -> Any:
        made = prepare(max_steps, train_dataloader, None)
        # mixed precision wraps `forward` at each preparation; it is wrapped already
        model.update(forward)
        return made

    def no_callbacks(event: str, args: Any, state: Any, control: Any, **more: Any) -> Any:
        return control

    hooks = {
        "_load_from_checkpoint": _nothing,
        "_load_rng_state": _nothing,
        "_init_training_state": into_place,
        "_prepare_for_training": prepared,
        "get_train_dataloader": lambda: loader,
    }
    for name, hook in hooks.items():
        _set(vars(trainer), name, hook, undo)
    _set(vars(trainer.callback_handler), "call_event", no_callbacks, undo)
    cls = module().TrainerState
    own = vars(cls)["load_from_json"]
    undo.callback(setattr, cls, "load_from_json", own)
    cls.load_from_json = staticmethod(lambda path: state)


def _set(attributes: dict[str, Any], name: str, value: Any, undo: ExitStack) -> None:
    """Set for a while; an attribute of the instance's own (a user may have put one there) comes back."""
    if name in attributes:
        undo.callback(attributes.__setitem__, name, attributes[name])
    else:
        undo.callback(attributes.pop, name, None)
    attributes[name] = value


def _nothing(*_: Any, **__: Any) -> None:
    return None
