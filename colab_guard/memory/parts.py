"""One batch on its way through a model: which rows run next, how each span ended, and what is tried where one failed."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from colab_guard.memory.batches import Count, counted_by, cut, rows_of, width_of
from colab_guard.memory.ladder import Rung, can_checkpoint, switch_on_checkpointing
from colab_guard.memory.letgo import let_go
from colab_guard.memory.recognise import Shortage, shortage_in
from colab_guard.memory.shorten import cut_to, halved, length_of, obstacle
from colab_guard.memory.undo import Before, Passes

if TYPE_CHECKING:
    from colab_guard.memory.recovery import Recovery

MARK, GIVEN_UP = "_colab_guard_memory", "given up"
"""On an error: what is tried after it has gone back to a snapshot, or that nothing is."""

SHORTER = "shorter"
"""The permission to cut sequences."""

Weigh = Callable[[Any], "Count | None"]
"""For a whole batch: what a part of it counts for in its loss, None where the loss of parts says nothing of the whole's."""


class Parts:
    """One batch on its way through a model: which rows run `next`, and how each span ended."""

    def __init__(
        self,
        recovery: Recovery,
        batch: Any,
        models: Sequence[Any],
        rung: Rung,
        passes: Passes,
        weigh: Weigh,
        *,
        size: int | None,
        done: int,
        labels: Count | None,
    ) -> None:
        self._recovery = recovery
        self._batch = self._written = batch
        self.kept = 1.0
        """The share of labels that is left, where sequences were cut."""
        self._cut = False
        self._stays_long: str | None = None
        self._not_allowed = False
        self._models = [weakref.ref(model) for model in models]
        self._rung = rung
        self._passes = passes
        self._stays_whole = False
        self._weigh = weigh
        self._labels = labels
        self.rows = rows_of(batch)
        self._asked = min(size or self.rows, self.rows)
        self._width = width_of(batch)
        self.rows_done = done
        self._count: Count | None = None
        self._total = 0.0
        self._failure: tuple[Exception, Shortage, str] | None = None
        self._start: Callable[[], bool] = lambda: True
        """Puts back what the batch's parts have changed beside gradients, and says whether that was possible."""
        self._bare = not any(p.grad is not None for p in passes.parameters)
        if rung.longest is not None and recovery.allows(SHORTER):
            self._shorten(rung.longest)

    def next(self) -> tuple[int, int] | None:
        """The rows to run now; None where all are done. Parts of which no label counts are passed over: their mean is none."""
        while (start := self.rows_done) < self.rows:
            if self.size < self.rows and self._counted() is None:
                self._stays_whole = True
            span = start, min(start + self.size, self.rows)
            if self.weight(span):
                return span
            self.rows_done = span[1]
        return None

    @property
    def size(self) -> int:
        return self.rows if self._stays_whole else self._rung.size(self._width, self._asked)

    def rows_of(self, span: tuple[int, int]) -> Any:
        return cut(self._batch, self.rows, *span)

    def weight(self, span: tuple[int, int]) -> float:
        """What the part's loss counts for in the whole batch's; 1 for the whole."""
        if span == (0, self.rows):
            return 1.0
        count = self._counted()
        if count is None:
            raise AssertionError("a batch that stays whole has one part")
        return count(self.rows_of(span)) / self._total if self._total else (span[1] - span[0]) / self.rows

    def before(self) -> Before:
        before = self._passes.began()
        if self._bare and self.rows_done == 0 and self.size < self.rows:
            self._start = before.start()
        return before

    def done(self, span: tuple[int, int]) -> None:
        self.rows_done = span[1]
        self._rung.worked = True

    def failed(self, error: Exception, before: Before) -> bool:
        """Whether the part runs again after `error`. Then it is undone, and the error's frames are let go of."""
        shortage = shortage_in(error)
        if shortage is None:
            before.keep()
            return False
        undone = before.back()
        anew = undone != "all" and undone != "not" and self._bare and self._start()
        if anew:
            before.drop_gradients()
            self._from_the_first_row()
        did = self.next_rung()
        if did is None:
            self._note(error, shortage)
            return False
        if undone != "all" and not anew:
            setattr(error, MARK, did)
            error.add_note(f"colab_guard: {shortage}; what the step had changed cannot be put back without a snapshot.")
            return False
        if anew:
            did = f"{did}, from the batch's first row on"
        let_go(error)
        self._failure = (error, shortage, did)
        return True

    def recover(self) -> None:
        """After the `except` block: clear memory, and make sure that the batch can be split where it is to be."""
        assert self._failure is not None
        (error, shortage, did), self._failure = self._failure, None
        self._recovery.clear()
        if self.size < self.rows and self._counted() is None:
            self._rung.whole, self._rung.sizes = True, {}
            enabled = self.next_rung()
            if enabled is None:
                self._note(error, shortage)
                raise error
            did = f"{enabled}, since the loss over a batch is not the sum of its parts'"
        where = f"rows {self.rows_done + 1} to {self.rows} of a batch of {self.rows}"
        self._recovery.recovered(shortage, did, where)
        self.say_changed()

    def _from_the_first_row(self) -> None:
        """All rows run again: also where sequences were cut in the middle of the batch, all are cut now, and weighed as such."""
        self.rows_done, self.kept = 0, 1.0
        if self._cut:
            labels = self._labels_of(self._written)
            had = labels(self._written)
            self.kept = labels(self._batch) / had if had else 1.0
        if self._count is not None:
            self._total = self._count(self._batch)

    def say_changed(self) -> None:
        """The batch does not run as it was written: that belongs to the results."""
        shorter = self._cut
        if self.size < self._asked or self._rung.checkpointing or shorter:
            self._recovery.changed(f"memory: {self._rung.told(shorter=shorter, split=not self._stays_whole)}")

    def next_rung(self, *, again: bool = True) -> str | None:
        """Go down the ladder; in words what is tried now."""
        models = self._alive()
        able = any(map(can_checkpoint, models))
        did = self._rung.down(self._width, self._asked, can_checkpoint=able, again=again, whole=self._stays_whole)
        if did is None:
            return self._shorter()
        if self._rung.checkpointing:
            for model in filter(can_checkpoint, models):
                switch_on_checkpointing(model)
        return did

    def _shorter(self) -> str | None:
        """The last rung, where it is allowed and possible; else why it is not taken is noted."""
        length = length_of(self._batch)
        why = obstacle(self._batch, self._alive())
        if not self._recovery.allows(SHORTER):
            self._not_allowed = why is None
            return None
        self._stays_long = why
        longest = halved(length) if length is not None and why is None else None
        size = self._rung.size(self._width, self._asked)
        if longest is None or not self._shorten(longest):
            return None
        self._rung.shorten(longest, self._width, size if size < self._asked else None)
        return f"sequences of {length} tokens → {longest}"

    def _shorten(self, longest: int) -> bool:
        """Cut the rows that are still to run; what they weigh together stays."""
        length = length_of(self._batch)
        if length is None or length <= longest:
            return False
        self._stays_long = self._stays_long or obstacle(self._batch, self._alive())
        if self._stays_long is not None:
            return False
        short = cut_to(self._batch, longest)
        rest, left = (cut(batch, self.rows, self.rows_done, self.rows) for batch in (self._batch, short))
        labels = self._labels_of(rest)
        had, has = labels(rest), labels(left)
        if had and not has:
            self._stays_long = f"no label that counts would be left of them in {longest} tokens"
            return False
        self.kept *= has / had if had else 1.0
        if self._count is not None and self._count(rest):
            self._total *= self._count(left) / self._count(rest)
        self._batch, self._width, self._cut = short, width_of(short), True
        return True

    def _labels_of(self, rows: Any) -> Count:
        """What counts the labels of `rows`; a Trainer does not count for every loss."""
        if self._labels is not None and self._labels(rows):
            return self._labels
        return counted_by(next(iter(self._alive()), None), self._batch)

    def _alive(self) -> list[Any]:
        return [model for model in (reference() for reference in self._models) if model is not None]

    def _counted(self) -> Count | None:
        if self._count is None:
            self._count = self._weigh(self._batch)
            if self._count is not None:
                self._total = self._count(self._batch)
        return self._count

    def _note(self, error: Exception, shortage: Shortage) -> None:
        setattr(error, MARK, GIVEN_UP)
        tried = self._rung.told(shorter=self._cut, split=not self._stays_whole) or "the same once more"
        left = "nothing is left to try"
        if self._not_allowed:
            left += " but shorter sequences, which %memguard --allow shorter permits"
        elif self._stays_long is not None:
            left += "; sequences stay as long as they are: " + self._stays_long
        error.add_note(f"colab_guard: {shortage} with {tried}; {left}.")
