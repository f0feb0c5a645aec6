"""transformers' `Trainer` as a loop with a safe point, and back into its middle.

1. The safe point is where the Trainer fetches the batches of its next optimizer step (`get_batch_samples`): the step,
   the scheduler and the callbacks before it are done, gradients are zero.
2. The Trainer's pass over its DataLoader is replaced by a `ShardIterator`, whose place can be captured.
3. Captured are the Trainer itself (reduced by its parts, see `reducers`), that iterator, the epoch and the step in it,
   the scheduler's state, and the arguments of `train`.
4. A resume calls `train` anew in a mode of its own: the Trainer's resume path leads into the right epoch at the right
   step, while its callbacks are not called and its loading of checkpoints is passed over.
5. At its first fetch everything that the way there has touched is put back: attributes, callbacks, optimizer groups,
   scheduler. Random state is set last, by the cell.

Written for transformers 5, whose Trainer keeps its running loss in attributes and has `_run_epoch`; with an older one
there is no safe point inside, and a run begins again at the cell's own last one.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from colab_guard.cells import LoopNeeds
from colab_guard.errors import SnapshotRefused
from colab_guard.training import reducers
from colab_guard.training.shard import ShardIterator, is_shard

NEEDED_METHODS = ("_run_epoch", "_init_training_state", "_prepare_for_training", "_load_rng_state", "get_batch_samples")
RESUMED_FROM = "colab_guard"
"""Stands where the Trainer expects the path of a checkpoint; nothing is read from it."""

Progress = Callable[[int, "int | None", "float | None"], None]


@dataclass(slots=True)
class TrainerPlace:
    """A Trainer in the middle of `train`: `update_step` optimizer steps of `epoch` are done."""

    trainer: Any
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    epoch: int
    update_step: int
    batches: ShardIterator
    attributes: dict[str, Any]
    groups: list[dict[str, Any]]
    scheduler: dict[str, Any]
    scaler: dict[str, Any] | None
    training: bool


@dataclass(slots=True)
class _Running:
    """What is known of a `train` under way: `batches` is the pass over the data, made at its first fetch."""

    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    place: TrainerPlace | None = None
    epoch: int = 0
    update_step: int = 0
    batches: ShardIterator | None = None


class TrainerLoop:
    """The `LibraryLoop` of `transformers.Trainer` and its subclasses. `on_step(step, total, loss)` hears of each step."""

    name = "transformers.Trainer"
    call_names = frozenset({"train"})

    def __init__(self, on_step: Progress | None = None) -> None:
        self.on_step = on_step
        self._needs: LoopNeeds | None = None
        self._running: dict[int, _Running] = {}

    def available(self) -> bool:
        module = sys.modules.get("transformers.trainer")
        trainer = getattr(module, "Trainer", None)
        return trainer is not None and all(hasattr(trainer, name) for name in NEEDED_METHODS)

    def install(self, needs: LoopNeeds) -> Callable[[], None]:
        """Hook into the class for the time of one guarded cell."""
        reducers.register()
        self._needs = needs
        cls: Any = sys.modules["transformers.trainer"].Trainer  # type: ignore[attr-defined]
        undo = ExitStack()
        for name, hook in (
            ("train", self._train),
            ("_run_epoch", self._run_epoch),
            ("get_batch_samples", self._get_batch_samples),
        ):
            original = cls.__dict__[name]
            setattr(cls, name, _method(hook, original))
            undo.callback(setattr, cls, name, original)
        undo.callback(self._running.clear)
        return undo.close

    # hooks; `original` is the Trainer's own method

    def _train(self, original: Any, trainer: Any, *arguments: Any, **named: Any) -> Any:
        assert self._needs is not None
        place = self._needs.resuming(self)
        if place is None:
            running = _Running((arguments, named))
        else:
            assert isinstance(place, TrainerPlace)
            running = _Running(place.arguments, place, place.epoch, place.update_step)
        self._running[id(trainer)] = running
        try:
            if running.place is None:
                return original(trainer, *arguments, **named)
            return self._train_again(original, trainer, running.place)
        finally:
            self._running.pop(id(trainer), None)

    def _run_epoch(self, original: Any, trainer: Any, *arguments: Any, **named: Any) -> Any:
        running = self._running.get(id(trainer))
        if running is not None and running.place is None:
            running.epoch, running.update_step, running.batches = int(named["epoch"]), 0, None
        return original(trainer, *arguments, **named)

    def _get_batch_samples(self, original: Any, trainer: Any, batches: Any, *arguments: Any, **named: Any) -> Any:
        running = self._running.get(id(trainer))
        if running is None or self._needs is None:
            return original(trainer, batches, *arguments, **named)
        if running.place is not None:
            self._arrive(trainer, running)
        elif running.batches is None:
            running.batches = self._own_pass(trainer, batches)
        if running.batches is not None:
            self._report(trainer)
            self._needs.poll(self, lambda: _capture(trainer, running))
            batches = running.batches
        running.update_step += 1
        return original(trainer, batches, *arguments, **named)

    def _own_pass(self, trainer: Any, batches: Any) -> ShardIterator | None:
        """A pass of ours in place of the one that was just made; None where the loader is of another kind."""
        loader = trainer.callback_handler.train_dataloader
        started = getattr(getattr(batches, "gi_frame", None), "f_lasti", 0) > 20
        if not is_shard(loader) or started or getattr(trainer, "_colab_guard_skips", False):
            return None
        return ShardIterator(loader)

    def _report(self, trainer: Any) -> None:
        step = int(trainer.state.global_step)
        if self.on_step is None or step == 0:
            return
        logged = [entry["loss"] for entry in trainer.state.log_history[-3:] if "loss" in entry]
        self.on_step(step, int(trainer.state.max_steps) or None, float(logged[-1]) if logged else None)

    # a resume

    def _train_again(self, original: Any, trainer: Any, place: TrainerPlace) -> Any:
        """`train` once more, its way into the loop led to `place`."""
        skipped = place.update_step * trainer.args.gradient_accumulation_steps
        state = trainer.state
        prepare = trainer._prepare_for_training
        loader = place.batches.shard

        def into_place(*_: Any, **__: Any) -> tuple[int, int]:
            trainer.state = state
            return place.epoch, skipped

        def prepared(max_steps: int, train_dataloader: Any, _: Any) -> Any:
            return prepare(max_steps, train_dataloader, None)

        hooks = {
            "_load_from_checkpoint": _nothing,
            "_load_rng_state": _nothing,
            "_init_training_state": into_place,
            "_prepare_for_training": prepared,
            "get_train_dataloader": lambda: loader,
        }
        load = sys.modules["transformers.trainer"].TrainerState.load_from_json  # type: ignore[attr-defined]
        with ExitStack() as undo:
            for name, hook in hooks.items():
                trainer.__dict__[name] = hook
                undo.callback(trainer.__dict__.pop, name, None)
            cls: Any = sys.modules["transformers.trainer"].TrainerState  # type: ignore[attr-defined]
            own = cls.__dict__["load_from_json"]
            cls.load_from_json = staticmethod(lambda path: state if path.startswith(RESUMED_FROM) else load(path))
            undo.callback(setattr, cls, "load_from_json", own)
            trainer.callback_handler.call_event = lambda event, args, state, control, **more: control
            undo.callback(trainer.callback_handler.__dict__.pop, "call_event", None)
            arguments = {k: v for k, v in place.arguments[1].items() if k != "resume_from_checkpoint"}
            return original(trainer, RESUMED_FROM, *place.arguments[0][1:], **arguments)

    def _arrive(self, trainer: Any, running: _Running) -> None:
        """The first fetch after the resume: put back all that the way here has touched."""
        place = running.place
        assert place is not None and self._needs is not None
        running.place = None
        running.batches = place.batches
        trainer.callback_handler.__dict__.pop("call_event", None)
        trainer.__dict__.update(place.attributes)
        trainer.control = place.attributes["control"]
        raw = _raw_optimizer(trainer)
        for group, kept in zip(raw.param_groups, place.groups, strict=True):
            group.update(kept)
        trainer.lr_scheduler.load_state_dict(place.scheduler)
        if place.scaler is not None and trainer.accelerator.scaler is not None:
            trainer.accelerator.scaler.load_state_dict(place.scaler)
        trainer.model.train(place.training)
        place.batches.came_back()
        self._needs.resumed(self)


def _capture(trainer: Any, running: _Running) -> TrainerPlace:
    """The place, by reference; SnapshotRefused where something of it cannot be brought back."""
    accelerator = trainer.accelerator
    if accelerator.num_processes > 1 or trainer.is_deepspeed_enabled or trainer.is_fsdp_enabled:
        raise SnapshotRefused("the Trainer runs on several processes, which is not resumable yet")
    if trainer.args.n_gpu > 1:
        raise SnapshotRefused("the Trainer runs on several GPUs by DataParallel, which is not resumable yet")
    if trainer.args.auto_find_batch_size:
        raise SnapshotRefused("auto_find_batch_size begins anew with other batches; set the batch size (see autoconfig)")
    assert running.batches is not None
    attributes = {
        name: value
        for name, value in trainer.__dict__.items()
        if name not in reducers.MADE_AGAIN and name not in ("optimizer", "lr_scheduler", "callback_handler", "model")
    }
    scaler = accelerator.scaler
    return TrainerPlace(
        trainer=trainer,
        arguments=running.arguments,
        epoch=running.epoch,
        update_step=running.update_step,
        batches=running.batches,
        attributes=attributes,
        groups=[{k: v for k, v in g.items() if k != "params"} for g in _raw_optimizer(trainer).param_groups],
        scheduler=trainer.lr_scheduler.state_dict(),
        scaler=None if scaler is None else scaler.state_dict(),
        training=trainer.model.training,
    )


def _raw_optimizer(trainer: Any) -> Any:
    return getattr(trainer.optimizer, "optimizer", trainer.optimizer)


def _method(hook: Callable[..., Any], original: Any) -> Any:
    def hooked(trainer: Any, *arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        return hook(original, trainer, *arguments, **named)

    hooked.__name__ = original.__name__
    hooked.__doc__ = original.__doc__
    return hooked


def _nothing(*_: Any, **__: Any) -> None:
    return None
