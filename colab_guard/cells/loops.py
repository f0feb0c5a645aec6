"""A loop of the user's code while it runs: hands out items, passes safe points, keeps its place.

The iteration itself is a generator of a few lines, because it stands between every two items: it counts, and looks at
the clock only when the count reaches a limit that `Pace` sets. Where iterations turn out to be shorter than a few
microseconds, it hands out `STRIDE` items at a time without counting them, and learns from the iterator where it is.
`hurry`, called from another thread, ends the wait for the limit: iterations may become slow all of a sudden.
"""

from __future__ import annotations

import itertools
import types
from collections.abc import Callable, Generator, Iterator
from dataclasses import replace
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Literal

from colab_guard import state
from colab_guard.cells.edits import extend
from colab_guard.cells.iterators import OWN_ITERATORS, Counted, LoopState, Mode, open_iterator, over_bars
from colab_guard.cells.pace import Pace
from colab_guard.cells.points import Point
from colab_guard.cells.progress import progress_of
from colab_guard.cells.protocols import Decision, LoopPolicy
from colab_guard.errors import CannotResume, GuardError

if TYPE_CHECKING:
    from colab_guard.cells.resuming import Resumer
    from colab_guard.cells.runtime import Runtime

ReEnter = Literal["before", "fetching", "inside", "orelse"]
"""How a resume comes back into a loop: at its own safe point, asking a generator, in its body, or in its else arm."""

MOST_BETWEEN_LOOKS = 4096
STRIDE = 64
TRIVIAL_LOOKS = 1024
"""So many iterations between two looks at the clock mean a few microseconds each: then strides are taken."""
SIZED = frozenset({range, list, tuple, str, bytes, dict, set, frozenset, type({}.keys()), type({}.values()), type({}.items())})
PLAIN = SIZED | {enumerate, zip, map, filter, reversed}
"""Iterating these draws no random numbers, and their iterators can be captured."""
ENDED = LoopState("while", 0)


class AsItIs:
    """Iterates an iterator without asking it for one again: an `__iter__` of the user's may begin anew."""

    __slots__ = ("_iterator",)

    def __init__(self, iterator: Iterator[Any]) -> None:
        self._iterator = iterator

    def __iter__(self) -> Iterator[Any]:
        return self._iterator


class Loop:
    """One `for` or `while` on its way. `run` (or `ticks`) is the generator that the rewritten code iterates."""

    hurry: Callable[[], None] = staticmethod(lambda: None)

    def __init__(
        self,
        runtime: Runtime,
        where: Point,
        kept: LoopState,
        re_enter: ReEnter | None = None,
        *,
        resumer: Resumer | None = None,
        slot: int | None = None,
    ) -> None:
        self.where = where
        self.pace = Pace(runtime.now(), MOST_BETWEEN_LOOKS)
        self.policy: LoopPolicy | None = None
        self._runtime = runtime
        self._kept = kept if re_enter is None else _grown(where, kept)
        self._resumer = resumer
        self._slot = slot
        self._entered = self.pace.last
        self._re_enter = re_enter
        self._item = kept.item
        self._generator: types.GeneratorType[Any, None, None] | None = None
        self._mark: int | None = None
        self._count = 0
        self.over = self.watched = False

    @classmethod
    def enter(cls, runtime: Runtime, where: Point, iterable: Any, slot: int | None = None) -> Loop:
        """A loop that begins now."""
        __tracebackhide__ = True
        if type(iterable) in PLAIN:
            if type(iterable) in (enumerate, zip):
                iterable = over_bars(iterable)
            return cls(runtime, where, LoopState("live", 0, iter(iterable)), slot=slot)
        if not (hasattr(type(iterable), "__iter__") or hasattr(type(iterable), "__getitem__")):
            return cls(runtime, where, LoopState("none", 0, iterable), slot=slot)
        entry = None if type(iterable) in OWN_ITERATORS else state.random_state()
        mode, iterator = open_iterator(iterable)
        if mode == "replay":
            kept = LoopState(mode, 0, Counted(iterator), iterable=iterable, random=entry)
            return cls(runtime, where, kept, slot=slot)
        return cls(runtime, where, LoopState(mode, 0, iterator), slot=slot)

    # run

    def run(self) -> Iterator[Any]:
        """The items of a `for`; what cannot be gone over is given as it is, for the user's own `for` to say so."""
        if self._kept.mode == "none":
            return self._kept.iterator
        if self.policy is not None:
            return self._started(self._governed(self.policy))
        return self._started(self._items(progress_of(self._kept.iterator)))

    def ticks(self) -> Iterator[tuple[()]]:
        """An item of no meaning before every test of a `while`."""
        return self._started(self._ticks(()))

    def tests(self) -> Iterator[bool]:
        """True before every test of a `while` that stays one."""
        return self._started(self._ticks(True))

    def _started(self, generator: Generator[Any, None, None]) -> Iterator[Any]:
        assert isinstance(generator, types.GeneratorType)
        self._generator = generator
        return generator

    def _items(self, progress: Callable[[Any], int] | None) -> Generator[Any, None, None]:
        __tracebackhide__ = True  # between an error in what is gone over, and the user's loop
        k = 0
        limit = 1

        def hurry() -> None:
            nonlocal limit
            limit = 0

        safe = self._runtime.safe
        if self._re_enter == "orelse":
            return
        if self._re_enter == "inside":
            yield None
            k = 1
            limit = k + safe(self, k)
        else:
            self._come_back()
            if self._runtime.first_wanted and self._begins_saved():
                safe(self, 0)
        self.hurry = hurry
        iterator = self._ready()
        while True:
            for item in AsItIs(iterator):
                yield item
                k += 1
                if k >= limit:
                    looks = safe(self, k)
                    limit = k + looks
                    if looks >= TRIVIAL_LOOKS and progress is not None:
                        break
            else:
                break
            item = None
            self._mark = at = progress(iterator)
            while looks >= TRIVIAL_LOOKS:
                yield from itertools.islice(iterator, STRIDE)
                now = progress(iterator)
                if now - at < STRIDE:
                    self._count = k + STRIDE
                    return
                k += STRIDE
                self._mark = at = now
                if k >= limit:
                    looks = safe(self, k)
                    limit = k + looks
            self._mark = None
        self._count = k

    def _ticks(self, item: Any) -> Generator[Any, None, None]:
        k = 0
        limit = 1

        def hurry() -> None:
            nonlocal limit
            limit = 0

        if self._re_enter == "orelse":
            if item:
                yield False
            return
        self._come_back()
        self.hurry = hurry
        safe = self._runtime.safe
        if self._runtime.first_wanted and self._begins_saved():
            safe(self, 0)
        while True:
            yield item
            k += 1
            if k >= limit:
                limit = k + safe(self, k)

    def _governed(self, policy: LoopPolicy) -> Generator[Any, None, None]:
        """The items of a loop that a policy governs: every end of an iteration is a unit end."""
        __tracebackhide__ = True
        k = 0
        if self._re_enter == "orelse":
            return
        if self._re_enter == "inside":
            policy.item_started(self._item)
            yield None
            k += 1
            self._unit_end(policy)
        else:
            self._come_back()
            if self._runtime.first_wanted and self._begins_saved():
                self._runtime.safe(self, 0)
        for item in AsItIs(self._ready()):
            self._item = item
            if k or self._kept.done:
                policy.item_follows(self._runtime.unread(self.where))
            policy.item_started(item)
            yield item
            k += 1
            self._unit_end(policy)

    def _come_back(self) -> None:
        """On a resume, at this loop's head: the position is here, or in the generator that is asked next."""
        if self._re_enter is None or self._resumer is None:
            return
        if self._re_enter == "before":
            self._resumer.arrived()
        elif self._re_enter == "fetching":
            self._resumer.R = False

    def _begins_saved(self) -> bool:
        """Whether the place before the first item is to be saved: nothing of the cell is yet."""
        return self._re_enter is None and self._runtime.ask_for_first()

    def _unit_end(self, policy: LoopPolicy) -> None:
        item, self._item = self._item, None
        self._runtime.unit_end(self, policy.item_ended(item))

    def _ready(self) -> Iterator[Any]:
        if self._kept.iterator is None:
            self._kept.iterator = self._replayed()
        iterator: Iterator[Any] = self._kept.iterator
        return iterator

    def _replayed(self) -> Counted:
        """A new iterator, past what was done; global random state is left as it was."""
        kept = self._kept
        before = state.random_state()
        state.set_random_state(kept.random)
        again = Counted(iter(kept.iterable))
        for _ in itertools.islice(again, kept.fetched):
            pass
        state.set_random_state(before)
        if again.fetched < kept.fetched or (kept.last is not None and state.fingerprint(again.last) != kept.last):
            self._runtime.lost = True
            raise CannotResume(f"the loop at line {self.where.line} gave other items than before the loss; --fresh begins again")
        if kept.last is None and kept.fetched:
            what = f"{type(again.last).__module__}.{type(again.last).__qualname__}".removeprefix("builtins.")
            self._runtime.say(
                f"the loop at line {self.where.line} was led past {kept.fetched} items again, and items of its kind ({what}) "
                "cannot be compared with those of before"
            )
        return again

    # asked by the rewritten code

    def __enter__(self) -> None:
        """`with` the loop runs one iteration's body."""

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        """An error in the body: whether it ends here, and the next item follows."""
        if self.policy is None or not isinstance(error, Exception) or isinstance(error, GuardError) or self._runtime.lost:
            return False
        if self._runtime.goes_back(error):
            self._runtime.roll_back(error)
        decision = self.policy.on_error(self._item, error)
        if decision is Decision.ROLL_BACK:
            self._runtime.roll_back(error)
        return decision is Decision.NEXT_ITEM

    def end(self) -> None:
        """The loop statement is over: exhausted, or left by `break`."""
        left_by_break = self.policy is not None and self._item is not None
        if self._slot is not None:
            self._runtime.short_loops.ended(self._slot, self._runtime.now() - self._entered, self)
        self._generator = None
        self.over = True
        self._kept = ENDED  # an iterator may hold workers
        if left_by_break and self.policy is not None:
            self._unit_end(self.policy)

    # asked by a snapshot

    def asks(self, frame: FrameType) -> bool:
        """Whether this loop has asked the generator of `frame` for its next item, directly or through `enumerate`."""
        iterator = self._kept.iterator
        if type(iterator) is enumerate:
            iterator = iterator.__reduce__()[1][0]  # type: ignore[index]
        return isinstance(iterator, types.GeneratorType) and iterator.gi_frame is frame

    @property
    def item(self) -> Any:
        """The item whose iteration is under way in a governed loop."""
        return self._item

    @property
    def mode(self) -> Mode:
        return self._kept.mode

    @property
    def under_way(self) -> bool:
        """Whether it hands out items: not over, and not left by an error that ended its frame."""
        return self._generator is not None and self._generator.gi_frame is not None

    @property
    def item_is_out(self) -> bool:
        """Whether the body runs now, as seen from a safe point inside it."""
        return self._generator is not None and not self._generator.gi_running and self._generator.gi_frame is not None

    @property
    def items(self) -> int:
        """Items that were handed out, of a loop that is about to end."""
        return max(self._count, self.done + 1)

    @property
    def done(self) -> int:
        """Iterations that are complete."""
        frame = self._generator.gi_frame if self._generator is not None else None
        if frame is None or "k" not in frame.f_locals:
            return self._kept.done
        done = self._kept.done + int(frame.f_locals["k"])
        if self._mark is None:
            return done
        # within a stride; the item handed out last is still in its iteration
        progress = frame.f_locals["progress"]
        return done + max(progress(self._kept.iterator) - self._mark - 1, 0)

    def state(self) -> LoopState:
        """The loop's place, to be captured; references, not copies."""
        kept = self._kept
        if self.mode != "replay":
            return LoopState(self.mode, self.done, kept.iterator, self._item)
        counted = kept.iterator
        if counted is None:  # came back inside its body, and has not been asked for an item since
            return replace(kept, done=self.done, item=self._item)
        last = state.fingerprint(counted.last) if counted.fetched else None
        return LoopState("replay", self.done, None, self._item, kept.iterable, kept.random, counted.fetched, last)


def _grown(where: Point, kept: LoopState) -> LoopState:
    """The place of a loop whose range of constants was made longer since the commit."""
    change = where.grown
    if change is None:
        return kept
    longer = extend(kept.iterator, change)
    if longer is None:
        raise CannotResume(f"{change}, and the loop over it cannot be made longer while it is under way; --fresh begins again")
    return replace(kept, iterator=longer)
