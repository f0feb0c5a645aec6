"""`CellOutput`: the output of one guarded cell, from the commit that is taken up to the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from colab_guard.clock import Clock
from colab_guard.session.output.record import Record
from colab_guard.session.output.replay import show_again
from colab_guard.session.output.taps import Taps


class CellOutput:
    """`not_kept` hears what cannot be recorded or shown again, and why."""

    def __init__(self, shell: Any, clock: Clock, not_kept: Callable[[str], None]) -> None:
        self._shell = shell
        self._clock = clock
        self._not_kept = not_kept
        self._record = Record()
        self._taps: Taps | None = None

    def take_up(self, parts: Mapping[str, bytes]) -> None:
        """Go on with the output of a commit; one that was made without it has none."""
        try:
            self._record = Record.from_parts(parts)
        except (ValueError, KeyError, TypeError) as error:
            self._not_kept(f"what was printed before the loss cannot be shown again: {error}")

    @contextmanager
    def heard(self) -> Iterator[None]:
        """Show again what there is, then record until the end of the block."""
        show_again(self._record, self._shell, self._clock)
        taps = self._taps = Taps(self._shell, self._record, self._not_kept)
        taps.open()
        try:
            yield
        finally:
            self._taps, self._record = None, Record()
            taps.close()

    def aside(self) -> AbstractContextManager[None]:
        """What is said meanwhile is not the cell's."""
        return self._taps.paused() if self._taps is not None else nullcontext()

    def parts(self) -> Mapping[str, bytes]:
        """For the snapshot that is taken now."""
        return self._taps.parts() if self._taps is not None else {}

    def go_back(self, parts: Mapping[str, bytes]) -> None:
        """The running cell goes back to a commit: what it has said since stands on the screen, and will be said again."""
        self.take_up(parts)
        if self._taps is not None:
            self._taps.go_back(self._record)

    # the way back of a resume, as `cells` tells of it

    def begin(self) -> None:
        if self._taps is not None:
            self._taps.hold()

    def end(self) -> None:
        if self._taps is not None:
            self._taps.let_go()
            self._taps.widgets_again()
