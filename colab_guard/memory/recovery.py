"""Recovery from running out of memory: the micro-batch is done again, smaller, and nothing else notices.

What enters: parts of batches that are about to run (`Recovery.begin`), and errors that leave a guarded cell
(`goes_back`). What leaves: the rows to run next, whether a cell goes back to its newest snapshot, and what had to
change, for events, commits and results.

1. An error is looked at where it is caught, and its frames are let go of; memory is cleared only after the `except` block
   is left, since what is being handled keeps its frames.
2. A forward or backward pass that failed is undone in place (`undo`), and its rows run again by the next rung of the
   ladder (`ladder`). Rows that were done stay done, so nothing is counted twice.
3. What cannot be undone in place (an optimizer's step, in which parameters may be half updated; any other code) goes
   back to the newest snapshot, with random state. The cell does that; here is only decided whether it is worth it.
4. Where nothing is left to try, the error goes on as it was, with a note of what was tried.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from colab_guard.errors import NeedsNewKernel
from colab_guard.events import Event, OutOfMemoryRecovered
from colab_guard.memory.batches import Count, adds_up, counted_by, cut, rows_of, says_nothing
from colab_guard.memory.ladder import Rung, can_checkpoint, kind_of, switch_on_checkpointing
from colab_guard.memory.letgo import let_go
from colab_guard.memory.parts import GIVEN_UP, MARK, Parts, Weigh
from colab_guard.memory.reclaim import reclaim
from colab_guard.memory.recognise import Shortage, is_of_device, links, shortage_in, unusable_device
from colab_guard.memory.undo import Passes

LOOK_AGAIN = 64
"""Batches after which a model's parameters are looked up again; some may have been frozen or added."""

ALLOWED = "allowed"
"""Among what a commit keeps by kinds of models: what the user had permitted."""


@dataclass(slots=True)
class _Known:
    passes: Passes
    kind: str
    batches: int = 0


class Recovery:
    """What is known about memory in this kernel; `post` hears of recoveries, `changed` of what differs from the plan."""

    def __init__(
        self,
        post: Callable[[Event], None] = lambda event: None,
        clear: Callable[[], object] = reclaim,
        changed: Callable[[str], None] = lambda what: None,
        name: Callable[[], str] = lambda: "",
        allowed: Callable[[], frozenset[str] | None] = lambda: None,
    ) -> None:
        self._post = post
        self._clear = clear
        self.changed = changed
        self._name = name
        self._allowed = allowed
        self._allowed_before: frozenset[str] = frozenset()
        self._rungs: dict[str, Rung] = {}
        self._models: weakref.WeakKeyDictionary[Any, list[_Known]] = weakref.WeakKeyDictionary()
        self._ways: weakref.WeakKeyDictionary[Any, weakref.WeakKeyDictionary[Any, Count]] = weakref.WeakKeyDictionary()
        """What parts of the last batch that said so counted for, by what computes the loss and by the model."""
        self._last: Parts | None = None
        self._backs: tuple[str, int] = ("", 0)
        self._went_back: tuple[Shortage, str] | None = None

    # what worked, for commits

    def to_json(self) -> dict[str, Any]:
        rungs = {kind: rung.to_json() for kind, rung in self._rungs.items() if rung.changed}
        allowed = self._now_allowed()
        return rungs | ({ALLOWED: sorted(allowed)} if allowed else {})

    def adopt(self, known: Mapping[str, Any]) -> None:
        """What a commit says has worked, and was allowed; what is known here already stays."""
        self._allowed_before = frozenset(known.get(ALLOWED, ()))
        for kind, rung in known.items():
            if kind != ALLOWED:
                self._rungs.setdefault(kind, Rung.from_json(rung))

    def allows(self, what: str) -> bool:
        """Whether the user has permitted it: in this kernel, or, where nothing was said here, before the commit."""
        return what in self._now_allowed()

    def _now_allowed(self) -> frozenset[str]:
        said = self._allowed()
        return self._allowed_before if said is None else said

    # parts of batches

    def begin(
        self,
        batch: Any,
        models: Sequence[Any],
        weigh: Weigh,
        *,
        size: int | None = None,
        done: int = 0,
        labels: Count | None = None,
    ) -> Parts:
        """The parts in which `batch` is to run through `models`, of which `done` rows have.

        `size`: at most so many rows in one, by the user's wish. `labels` counts those of some rows in a way of its own.
        """
        all_known = self._models.setdefault(models[0], [])
        known = next((one for one in all_known if one.passes.is_of(models)), None)
        if known is None or known.batches >= LOOK_AGAIN:
            fresh = _Known(Passes(models), kind_of(models))
            self._models[models[0]] = [*(one for one in all_known if one is not known and one.passes.alive), fresh]
            known = fresh
        known.batches += 1
        rung = self._rungs.setdefault(known.kind, Rung())
        if rung.checkpointing and (off := [model for model in models if can_checkpoint(model)]):
            for model in off:
                switch_on_checkpointing(model)
        parts = self._last = Parts(self, batch, models, rung, known.passes, weigh, size=size, done=done, labels=labels)
        parts.say_changed()
        return parts

    def run(
        self,
        batch: Any,
        model: Any,
        weigh: Weigh,
        part: Callable[[Any, float, float], Any],
        undo: Callable[[], None],
        labels: Count | None = None,
        *,
        owner: Any = None,
    ) -> list[Any]:
        """`part(rows, weight, kept)` for each part of `batch`, repeated where memory runs out; what they gave.

        `owner` computes the loss (a Trainer): where `weigh` gives `says_nothing`, what it gave before for that owner and
        model holds.
        `kept` is the share of `labels` that are left where sequences were cut, 1 elsewhere. `undo` puts back what a part
        changes beside gradients, averages and random state.
        """

        def as_before(batch: Any) -> Count | None:
            ways = self._ways.setdefault(model if owner is None else owner, weakref.WeakKeyDictionary())
            way = weigh(batch)
            if way is says_nothing:
                return ways.get(model)
            ways.pop(model, None)
            if way is not None:
                ways[model] = way
            return way

        parts = self.begin(batch, [model], as_before, labels=labels)
        results = []
        while (span := parts.next()) is not None:
            before = parts.before()
            try:
                result = part(parts.rows_of(span), parts.weight(span), parts.kept)
            except Exception as error:
                if not parts.failed(error, before):
                    raise
            except BaseException:
                before.keep()
                raise
            else:
                before.keep()
                parts.done(span)
                results.append(result)
                continue
            undo()
            parts.recover()
        return results

    rows = staticmethod(rows_of)
    count = staticmethod(counted_by)
    adds_up = staticmethod(adds_up)
    says_nothing = staticmethod(says_nothing)

    def cut(self, batch: Any, start: int, stop: int) -> Any:
        return cut(batch, rows_of(batch), start, stop)

    def recovered(self, shortage: Shortage, did: str, where: str) -> None:
        self._post(OutOfMemoryRecovered(name=self._name(), what=f"{shortage}: {shortage.told}", did=did, where=where))

    def clear(self) -> None:
        """Free what nothing needs; NeedsNewKernel where the GPU does not answer any more."""
        self._clear()
        check_device()

    # what only a snapshot undoes

    def goes_back(self, error: Exception, snapshot: str | None, readable: Callable[[], bool] = lambda: True) -> bool:
        """Whether the cell is to go back to `snapshot` after `error`; then the error's frames are let go of.

        Where none is `readable` it is not: what lives here is all that there is.
        NeedsNewKernel where the error has left a GPU that fails every call: what follows would fail as well.
        """
        shortage = shortage_in(error)
        if shortage is None and is_of_device(error):
            check_device(error)
        if shortage is None or snapshot is None:
            return False
        mark: str | None = next((found for link in links(error) if (found := vars(link).get(MARK))), None)
        before, times = self._backs
        times = times + 1 if before == snapshot else 1
        self._backs = (snapshot, times)
        if mark == GIVEN_UP:
            return False
        did = mark or self._down(times)
        if did is None:
            tried = f"also after going back to the last snapshot ({times - 1} ×)"
            error.add_note(f"colab_guard: {shortage}, {tried}; nothing is left to try.")
            return False
        if not readable():
            error.add_note(f"colab_guard: {shortage}, and no snapshot that the cell could go back to can be read.")
            return False
        self._went_back = (shortage, did)
        let_go(error)
        return True

    def let_go(self, error: BaseException) -> None:
        let_go(error)

    def gone_back(self, where: str) -> None:
        """The cell stands at `where` again, and goes on."""
        if self._went_back is not None:
            (shortage, did), self._went_back = self._went_back, None
            self.recovered(shortage, did, f"back at {where}")

    def _down(self, times: int) -> str | None:
        last = self._last
        if times == 1:
            return "the same again"
        return last.next_rung(again=False) if last is not None else None


def check_device(error: BaseException | None = None) -> None:
    if (why := unusable_device()) is not None:
        raise NeedsNewKernel(
            f"the GPU of this kernel cannot be used any more ({why}); restart the kernel and run the notebook again: "
            "checkpointed cells go on at their last commit"
        ) from error


_here: list[Recovery] = []


def here() -> Recovery:
    """This kernel's, as its session has made it."""
    if not _here:
        _here.append(Recovery())
    return _here[-1]


def settle(recovery: Recovery) -> None:
    """`recovery` is this kernel's from now on."""
    _here[:] = [recovery]
