"""transformers' `Trainer` as a loop with a safe point, and back into its middle.

1. The safe point is where the Trainer fetches the batches of its next optimizer step (`get_batch_samples`): the step,
   the scheduler and the callbacks before it are done, gradients are zero.
2. The Trainer's pass over its DataLoader is replaced by a `ShardIterator`, whose place can be captured.
3. Captured are the Trainer itself (reduced by its parts, see `reducers`), that iterator, the epoch and the step in it,
   and the arguments of `train`.
4. A resume calls `train` anew in a mode of its own (`internals.way_back`): the Trainer's resume path leads into the
   right epoch at the right step, while its callbacks are not called and nothing done before is done again.
5. At its first fetch the attributes that the way there has touched are put back. Random state is set last, by the cell.

6. A micro-batch that does not fit into memory runs in parts (`parts`), inside the Trainer's own training step.

Where there is no safe point (an older transformers, several processes, a loader of another kind), a snapshot that is
due is refused with the reason, and a run begins again at the cell's own last one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from colab_guard.cells import LoopNeeds
from colab_guard.errors import SnapshotRefused
from colab_guard.training import internals, reducers
from colab_guard.training.parts import InParts, step_in_parts
from colab_guard.training.shard import ShardIterator, not_steppable

ELSEWHERE = "this Trainer fetches its batches in a way of its own, so its place is not known"
LEFT_OUT = frozenset({*reducers.MADE_AGAIN, "optimizer", "lr_scheduler", "callback_handler", "model"})
"""Attributes that the way back itself puts in place, around the restored objects."""

Progress = Callable[[int, "int | None", "float | None"], None]


@dataclass(slots=True)
class TrainerPlace:
    """A Trainer in the middle of `train`: `update_step` optimizer steps of `epoch` are done, in `elapsed_s` seconds.

    `batches` is the pass over the data; `loader` gives those of the epochs to come (it differs while a checkpoint of
    the user's own was skipped into).
    """

    trainer: Any
    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    epoch: int
    update_step: int
    batches: ShardIterator
    loader: Any
    attributes: dict[str, Any]
    elapsed_s: float


@dataclass(slots=True)
class _Running:
    """What is known of a `train` under way: `batches` is the pass over the data, made at an epoch's first fetch."""

    arguments: tuple[tuple[Any, ...], dict[str, Any]]
    place: TrainerPlace | None = None
    arrive: Callable[[], None] | None = None
    epoch: int = 0
    update_step: int = 0
    batches: ShardIterator | None = None
    barred: str = ELSEWHERE
    fetched: bool = False
    began: float = 0.0
    reported: int = 0


class TrainerLoop:
    """The `LibraryLoop` of `transformers.Trainer` and its subclasses; `on_step(step, total, loss)` hears of steps."""

    name = "transformers.Trainer"
    module = "transformers.trainer"
    call_names = frozenset({"train"})
    owner = "transformers.trainer.Trainer"

    def __init__(self, on_step: Progress | None = None, in_parts: InParts | None = None) -> None:
        self.on_step = on_step
        self.in_parts = in_parts
        self._needs: LoopNeeds | None = None
        self._running: dict[int, _Running] = {}

    def why_not(self, thing: object) -> str:
        if not self.available():
            return ""
        return internals.unsupported() or (internals.not_resumable(thing) if isinstance(thing, internals.module().Trainer) else "") or ""

    def available(self) -> bool:
        return hasattr(sys.modules.get(self.module), "Trainer")

    def install(self, needs: LoopNeeds) -> Callable[[], None]:
        """Hook into the class for the time of one guarded cell."""
        self._needs = needs
        cls: Any = internals.module().Trainer
        hooks = {"train": self._train, "training_step": self._training_step}
        if internals.unsupported() is None:
            hooks["_run_epoch"] = self._run_epoch
            hooks["_finalize_training"] = self._finalize_training
            hooks["get_batch_samples"] = self._get_batch_samples
        undo = ExitStack()
        for name, hook in hooks.items():
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
            running = _Running(place.arguments, place, None, place.epoch, place.update_step)
        self._running[id(trainer)] = running
        reducers.note_owned(trainer)
        try:
            if running.place is None:
                return original(trainer, *arguments, **named)
            return self._train_again(original, trainer, running, running.place)
        finally:
            self._running.pop(id(trainer), None)

    def _run_epoch(self, original: Any, trainer: Any, *arguments: Any, **named: Any) -> Any:
        running = self._running.get(id(trainer))
        if running is not None:
            if running.place is not None:
                running.began = time.time() - running.place.elapsed_s
            else:
                running.began = running.began or named["start_time"]
                running.epoch, running.update_step, running.batches = int(named["epoch"]), 0, None
            named["start_time"] = running.began
        return original(trainer, *arguments, **named)

    def _finalize_training(self, original: Any, trainer: Any, trial: Any, samples: Any, start_time: float) -> Any:
        running = self._running.get(id(trainer))
        if running is not None:
            self._report(trainer, running)
            start_time = running.began or start_time
        return original(trainer, trial, samples, start_time)

    def _get_batch_samples(self, original: Any, trainer: Any, batches: Any, *arguments: Any, **named: Any) -> Any:
        running = self._running.get(id(trainer))
        if running is None or self._needs is None:
            return original(trainer, batches, *arguments, **named)
        if running.place is not None:
            self._arrive(trainer, running, running.place)
        elif running.batches is None:
            running.batches = self._own_pass(running, batches)
        if running.batches is not None:
            self._report(trainer, running)
            if running.fetched or not _user_resumes(running):
                where = f"step {trainer.state.global_step:,} of {trainer.state.max_steps:,}"
                self._needs.poll(self, lambda: _capture(trainer, running), where)
            batches = running.batches
        running.fetched = True
        running.update_step += 1
        return original(trainer, batches, *arguments, **named)

    def _training_step(self, original: Any, trainer: Any, *arguments: Any, **named: Any) -> Any:
        running = self._running.get(id(trainer))
        if running is not None and running.batches is None and self._needs is not None:
            reason = internals.unsupported() or running.barred

            def refuse() -> object:
                raise SnapshotRefused(reason)

            self._needs.poll(self, refuse)
        if running is None or self.in_parts is None or internals.not_in_parts(trainer):
            return original(trainer, *arguments, **named)
        return step_in_parts(self.in_parts, original, trainer, *internals.step_arguments(*arguments, **named))

    def _own_pass(self, running: _Running, batches: Any) -> ShardIterator | None:
        """A pass of ours in place of the one that was just made; None where the loader is of another kind."""
        loader = internals.loader_of(batches)
        if loader is None:
            return None
        reason = not_steppable(loader)
        if reason is not None:
            running.barred = reason
            return None
        return ShardIterator(loader)

    def _report(self, trainer: Any, running: _Running) -> None:
        step = int(trainer.state.global_step)
        if self.on_step is None or step <= running.reported:
            return
        running.reported = step
        logged = [entry["loss"] for entry in trainer.state.log_history[-3:] if "loss" in entry]
        self.on_step(step, int(trainer.state.max_steps) or None, float(logged[-1]) if logged else None)

    # a resume

    def _train_again(self, original: Any, trainer: Any, running: _Running, place: TrainerPlace) -> Any:
        """`train` once more, its way into the loop led to `place`."""
        named = {k: v for k, v in place.arguments[1].items() if k != "resume_from_checkpoint"}
        # several Trainers may have come back, each with its accelerator; the process's state is this one's
        reducers.make_accelerator(trainer)
        with internals.way_back(trainer, place.epoch, place.update_step, place.loader) as running.arrive:
            return original(trainer, internals.RESUMED_FROM, *place.arguments[0][1:], **named)

    def _arrive(self, trainer: Any, running: _Running, place: TrainerPlace) -> None:
        """The first fetch after the resume: put back all that the way here has touched."""
        assert self._needs is not None and running.arrive is not None
        running.place = None
        running.fetched = True
        running.batches = place.batches
        running.reported = int(trainer.state.global_step)
        running.arrive()
        trainer.__dict__.update(place.attributes)
        scaler = getattr(trainer.optimizer, "scaler", None)
        if scaler is not None:
            trainer.accelerator.scaler = scaler
        place.batches.came_back()
        self._needs.resumed(self)


def _capture(trainer: Any, running: _Running) -> TrainerPlace:
    """The place, by reference; SnapshotRefused where something of it cannot be brought back."""
    reason = internals.not_resumable(trainer)
    if reason is not None:
        raise SnapshotRefused(reason)
    assert running.batches is not None
    return TrainerPlace(
        trainer=trainer,
        arguments=running.arguments,
        epoch=running.epoch,
        update_step=running.update_step,
        batches=running.batches,
        loader=trainer.callback_handler.train_dataloader,
        attributes={name: value for name, value in vars(trainer).items() if name not in LEFT_OUT},
        elapsed_s=time.time() - running.began,
    )


def _user_resumes(running: _Running) -> bool:
    """Whether `train` was asked to go on from a checkpoint: it sets random state once more after its first fetch."""
    arguments, named = running.arguments
    return bool(arguments[0] if arguments else named.get("resume_from_checkpoint"))


def _method(hook: Callable[..., Any], original: Any) -> Any:
    def hooked(trainer: Any, *arguments: Any, **named: Any) -> Any:
        __tracebackhide__ = True
        return hook(original, trainer, *arguments, **named)

    hooked.__name__ = original.__name__
    hooked.__doc__ = original.__doc__
    return hooked
