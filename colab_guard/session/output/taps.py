"""Hears what the running cell writes and displays, without standing in the way: `Taps`.

1. `write` of the standard streams and `publish` and `clear_output` of the shell's display publisher are replaced **on the
   very objects**, for the time of the cell: whoever holds the stream (a logger, a progress bar, the thread that reads what
   C code and child processes write) is heard, and nothing has to be found and put back anywhere.
2. A write is passed on first and noted after: one append to a queue that needs no lock. What it comes to is worked out
   when some text has come together, or when a snapshot asks.
3. Not heard: our own threads, what runs under `paused` (the panel, a notice), and threads of other cells where the kernel
   sends their text to those.
4. While a resume finds its way back, what the cell's own thread says is held back (`wayback`).
5. Forked children are not heard: they write to the kernel by a way of their own.
"""

from __future__ import annotations

import os
import select
import sys
import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from colab_guard.session.output.bundles import bundled
from colab_guard.session.output.calls import message_of, replaced_on, told
from colab_guard.session.output.folding import width
from colab_guard.session.output.items import Displayed
from colab_guard.session.output.record import Record
from colab_guard.session.output.wayback import HeldBack
from colab_guard.session.output.widgets import WIDGET, come_back, living, model_of, text_of

STREAMS = ("stdout", "stderr")
MOST_NOTES = 1024
LONG = 4096
"""Notes wait until there are many, or a long one comes."""
OUR_THREADS = "colab_guard-"
CELL_THREAD = "colab_guard-cell"
"""Cells with a top-level `await` run in this thread."""
SETTLE_S = 0.05
"""For text of child processes that is still in the kernel's pipe at a safe point."""
NOBODY = -1
MOST_WIDGETS = 32
"""The newest, of which the text is looked at for each snapshot."""

Note = tuple[str, Any, Any]


class Taps:
    """Between `open` and `close`, notes go to `record`; `failed` hears what could not be recorded."""

    def __init__(self, shell: Any, record: Record, failed: Callable[[str], None]) -> None:
        self.record = record
        self._shell = shell
        self._failed = failed
        self._notes: deque[Note] = deque()
        self._working = threading.Lock()
        self._pid = os.getpid()
        self._thread = NOBODY
        """The cell's thread while it is heard."""
        self._hearing = False
        self._silent: set[int] = set()
        """Other threads that are not heard now."""
        self._cell: Any = None
        self._undo: list[Callable[[], None]] = []
        self._pipes: list[int] = []
        self._held: HeldBack | None = None
        self._to_cover: dict[str, int] = {}
        """Streams that ended with a bar before the loss, and the places that it took."""
        self._widgets: dict[str, Mapping[str, Any]] = {}
        """Displays of widgets, by their display id: what was displayed."""

    def open(self) -> None:
        """Begin to hear."""
        self._cell = message_of(sys.stdout)
        streams = {name: getattr(sys, name) for name in STREAMS}
        if streams["stderr"] is streams["stdout"]:
            del streams["stderr"]
        for name, stream in streams.items():
            self._tap(stream, "write", partial(self._writing, name, stream))
            if isinstance(pipe := getattr(stream, "_fid", None), int):
                self._pipes.append(pipe)
        publisher = getattr(self._shell, "display_pub", None)
        if publisher is not None:
            self._tap(publisher, "publish", partial(self._publishing, publisher))
            self._tap(publisher, "clear_output", partial(self._clearing, publisher))
        if getattr(getattr(self._shell, "system", None), "__name__", "") == "system_raw":
            self._tap(self._shell, "system", self._running_raw)
        self._thread = threading.get_ident()
        self._hearing = True

    def close(self) -> None:
        """Hear no more, and leave the streams and the shell as they were."""
        self.let_go()
        self._hearing, self._thread = False, NOBODY
        while self._undo:
            self._undo.pop()()
        self._notes.clear()
        self.record = Record()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """What this thread says meanwhile is ours and not the cell's."""
        me, before = threading.get_ident(), self._thread
        if me == before:
            self._thread = NOBODY
        self._silent.add(me)
        try:
            yield
        finally:
            self._silent.discard(me)
            self._thread = before

    def parts(self) -> Mapping[str, bytes]:
        """The record as parts of a commit: all that was said until now."""
        self._settle()
        with self._working:
            self._work_out()
            self._retell_widgets()
            return self.record.parts()

    # the way back

    def go_back(self, record: Record) -> None:
        """The cell goes back to where it had said what is in `record`: the rest will be said again."""
        with self._working:
            self._work_out()
            self.record = record

    def hold(self) -> None:
        """From now on, hold back what the cell's thread says."""
        with self._working:
            self._work_out()
            self._held = HeldBack(self.record) if self.record else None

    def let_go(self) -> None:
        """Say what was held back and had not been said before the loss; it is no part of the record."""
        held, self._held = self._held, None
        if held is not None:
            self._to_cover = {name: self.record.open_line(name) for name in held.drawn}
            with self.paused():
                held.say_news()

    def widgets_again(self) -> None:
        """Widgets that came back with the cell's state take the places of their texts."""
        if getattr(self._shell, "kernel", None) is None:
            return
        for item in list(self.record.items()):
            if not isinstance(item, Displayed) or item.display_id is None:
                continue
            data = come_back(item.bundle.data())
            if data is None:
                continue
            self._widgets[item.display_id] = data
            self.record.update(bundled(data, {}), item.display_id)
            with self.paused():
                transient = {"display_id": item.display_id}
                self._shell.display_pub.publish(data=data, metadata={}, transient=transient, update=True)

    # streams

    def _writing(self, name: str, stream: Any, original: Callable[[str], Any]) -> Callable[[str], Any]:
        notes, note, thread_id = self._notes, self._notes.append, threading.get_ident

        def write(text: str) -> Any:
            if self._held is not None and self._is_on_its_way(thread_id()):
                return self._held.write(name, stream, text)
            if self._to_cover:
                text = self._covering(name, text)
            written = original(text)
            if thread_id() == self._thread or self._is_heard(stream):
                note((name, text, None))
                if len(notes) > MOST_NOTES or len(text) > LONG:
                    self._work_out_soon()
            return written

        return write

    def _covering(self, name: str, text: str) -> str:
        """A bar that came back does not know how long the line is that it draws over."""
        places = self._to_cover.pop(name, 0)
        return text + " " * (places - width(text[1:])) if text.startswith("\r") else text

    def _is_heard(self, source: Any) -> bool:
        """Whether this thread, which is not the cell's, is heard: the kernel sends its output to this cell."""
        if not self._hearing or threading.get_ident() in self._silent:
            return False
        name = threading.current_thread().name
        if name.startswith(OUR_THREADS) and name != CELL_THREAD:
            return False
        return bool(message_of(source) == self._cell)

    def _is_on_its_way(self, thread: int) -> bool:
        return thread == self._thread or threading.current_thread().name == CELL_THREAD

    # displays

    def _publishing(self, publisher: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        def publish(*args: Any, **words: Any) -> Any:
            data, metadata, display_id, update = told(args, words)
            me = threading.get_ident()
            heard = self._hearing and (me == self._thread or self._is_heard(publisher))
            if heard and display_id is None and WIDGET in data:
                place = self._held.place_of(data) if self._held is not None and self._is_on_its_way(me) else None
                display_id, update = place or uuid.uuid4().hex, place is not None
                args, words = (data, metadata), {"transient": {"display_id": display_id}, "update": update}
                self._widgets[display_id] = dict(data)
            elif heard and self._held is not None and self._is_on_its_way(me):
                if display_id is None:
                    return self._held.show(bundled(data, metadata), lambda: original(*args, **words))
                if update and self.record.knows(display_id):
                    return None  # shown already as it was at the snapshot
            with self.paused():  # a terminal prints what is displayed
                result = original(*args, **words)
            if heard:
                self._notes.append(("update" if update else "show", bundled(data, metadata), display_id))
                self._work_out_soon()
            return result

        return publish

    def _clearing(self, publisher: Any, original: Callable[..., Any]) -> Callable[..., Any]:
        def clear_output(*args: Any, **words: Any) -> Any:
            me = threading.get_ident()
            heard = self._hearing and (me == self._thread or self._is_heard(publisher))
            if heard and self._held is not None and self._is_on_its_way(me):
                return None  # what was cleared before the loss is not shown, and the rest is to stay
            with self.paused():
                result = original(*args, **words)
            if heard:
                self._notes.append(("clear", bool(words.get("wait", args[0] if args else False)), None))
                self._work_out_soon()
            return result

        return clear_output

    def _running_raw(self, original: Callable[..., Any]) -> Callable[..., Any]:
        """A terminal's `!command` writes past us: that is said where its output would be."""

        def system(command: str) -> Any:
            result = original(command)
            if threading.get_ident() == self._thread:
                self._notes.append(("stdout", f"(what `!{command}` printed here was not kept)\n", None))
            return result

        return system

    # inside

    def _tap(self, thing: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        undo = replaced_on(thing, name, make)
        if undo is None:
            self._failed(f"{type(thing).__name__}.{name} cannot be listened to")
        else:
            self._undo.append(undo)

    def _work_out_soon(self) -> None:
        """Bring notes into the record, unless that is being done: by another thread, or below a signal's handler."""
        if os.getpid() != self._pid:
            self._hearing, self._thread = False, NOBODY
            self._notes.clear()
        elif self._working.acquire(blocking=False):
            try:
                self._work_out()
            finally:
                self._working.release()

    def _work_out(self) -> None:
        try:
            self._take_notes()
        except Exception as error:  # the cell never fails for its record: it goes on unrecorded, and that is said
            self._hearing, self._thread = False, NOBODY
            self._failed(f"{type(error).__name__}: {error}")

    def _take_notes(self) -> None:
        notes, record = self._notes, self.record
        stream = ""
        texts: list[str] = []
        while notes:
            kind, what, more = notes.popleft()
            if kind is stream:
                texts.append(what)
                continue
            if texts:
                record.write(stream, "".join(texts))
                texts.clear()
            if kind in STREAMS:
                stream = kind
                texts.append(what)
            elif kind == "show":
                record.show(what, more)
            elif kind == "update":
                record.update(what, str(more))
            else:
                record.clear(what)
        if texts:
            record.write(stream, "".join(texts))

    def _retell_widgets(self) -> None:
        """Widgets change without a message of their own: their text is what it is now, and nothing once they are closed."""
        for display_id in list(self._widgets)[:-MOST_WIDGETS]:
            del self._widgets[display_id]
        for display_id, data in list(self._widgets.items()):
            widget = living(model_of(data))
            if widget is None:
                del self._widgets[display_id]
            now = {} if widget is None else {**data, "text/plain": text_of(widget)}
            self.record.update(bundled(now, {}), display_id)

    def _settle(self) -> None:
        """Wait a moment for what child processes have written and the kernel's own thread has not read yet."""
        until = time.monotonic() + SETTLE_S
        try:
            while self._pipes and select.select(self._pipes, [], [], 0)[0] and time.monotonic() < until:
                time.sleep(0.002)
        except (OSError, ValueError):
            self._pipes.clear()  # closed, or too many files are open: nothing can be told
