"""What is heard of a running cell, and what is left behind: nothing."""

from __future__ import annotations

import io
import logging
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from IPython.display import clear_output

from colab_guard.clock import FakeClock, SystemClock
from colab_guard.events import NotKept
from colab_guard.session.output import CellOutput
from colab_guard.session.output.folding import folded
from colab_guard.session.output.items import Printed
from colab_guard.session.output.record import Record
from colab_guard.session.output.replay import show_again
from colab_guard.session.output.taps import MOST_NOTES, Taps
from colab_guard.workers import Workers
from tests.session.notebook import Kernel


class Stream(io.StringIO):
    """A standard stream of a kernel: it knows for which request it writes."""

    parent_header: Any = {"msg_id": "this cell"}


class Publisher:
    """A display publisher of a kernel."""

    parent_header: Any = {"msg_id": "this cell"}

    def __init__(self) -> None:
        self.published: list[Any] = []

    def publish(self, data: Any, metadata: Any = None, transient: Any = None, update: bool = False) -> None:
        self.published.append(("update" if update else "display", data.get("text/plain"), (transient or {}).get("display_id")))

    def clear_output(self, wait: bool = False) -> None:
        self.published.append(("clear", wait))


@pytest.fixture
def in_kernel(monkeypatch: pytest.MonkeyPatch) -> Callable[[], Any]:
    """Puts a kernel's streams in place; called in the test, since pytest puts its own there before."""
    return lambda: kernel_shell(monkeypatch)


def kernel_shell(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setattr(sys, "stdout", Stream())
    monkeypatch.setattr(sys, "stderr", Stream())
    return SimpleNamespace(kernel=object(), display_pub=Publisher())


@contextmanager
def heard(shell: Any, failures: list[str] | None = None) -> Iterator[Taps]:
    taps = Taps(shell, Record(), (failures if failures is not None else []).append)
    taps.open()
    try:
        yield taps
    finally:
        taps.close()


def text(taps: Taps) -> str:
    taps.parts()
    return "".join(item.text for item in taps.record.items() if isinstance(item, Printed))


def test_what_holds_the_stream_is_heard_whoever_it_is(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    handler = logging.StreamHandler(sys.stderr)
    out = sys.stdout
    with heard(shell) as taps:
        print("printed")
        out.write("kept\n")
        handler.emit(logging.LogRecord("x", 30, "", 1, "logged", (), None))
        print("not", file=io.StringIO())
        with redirect_stdout(io.StringIO()):
            print("captured by the cell itself")
        assert text(taps) == "printed\nkept\nlogged\n"
    assert sys.stdout.getvalue() == "printed\nkept\n"  # type: ignore[attr-defined]


def test_streams_and_shell_are_as_they_were_afterwards(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    before = [dict(vars(thing)) for thing in (sys.stdout, sys.stderr, shell.display_pub)]
    with heard(shell):
        kept = sys.stdout.write
        assert "write" in vars(sys.stdout)
    assert [dict(vars(thing)) for thing in (sys.stdout, sys.stderr, shell.display_pub)] == before
    kept("what the cell kept goes on\n")
    assert sys.stdout.getvalue() == "what the cell kept goes on\n"  # type: ignore[attr-defined]


def test_what_the_cell_put_in_our_place_stays_and_goes_on_through_us(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    seen: list[str] = []
    with heard(shell) as taps:
        ours = sys.stdout.write

        def doubled(text: str) -> int:
            seen.append(text)
            return ours(text)

        sys.stdout.write = doubled  # type: ignore[method-assign,assignment]
        print("x")
        assert text(taps) == "x\n"
    assert sys.stdout.write is doubled
    print("y")
    assert seen == ["x", "\n", "y", "\n"]
    assert sys.stdout.getvalue() == "x\ny\n"  # type: ignore[attr-defined]


def test_threads_of_the_cell_are_heard_and_others_are_not(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()

    def in_thread(action: Callable[[], Any], name: str | None = None) -> None:
        thread = threading.Thread(target=action, name=name)
        thread.start()
        thread.join()

    with heard(shell) as taps:
        in_thread(lambda: print("of the cell"))
        in_thread(lambda: print("awaited"), "colab_guard-cell")
        Workers().call("panel", lambda: print("ours"), 5)
        sys.stdout.parent_header = {"msg_id": "another cell"}  # type: ignore[attr-defined]
        in_thread(lambda: print("of another cell"))
        assert text(taps) == "of the cell\nawaited\n"


def test_what_is_said_aside_is_not_heard(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    output = CellOutput(shell, SystemClock(), print)
    with output.heard():
        print("mine")
        with output.aside():
            print("the panel's")
            shell.display_pub.publish({"text/plain": "panel"})
        print("mine too")
        record = Record.from_parts(output.parts())
    assert [item.text for item in record.items() if isinstance(item, Printed)] == ["mine\nmine too\n"]
    with output.aside():
        pass


def test_displays_updates_and_clearing_are_heard_in_every_form_of_call(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    with heard(shell) as taps:
        shell.display_pub.publish({"text/plain": "gone"})
        shell.display_pub.clear_output()
        shell.display_pub.publish(data={"text/plain": "a"}, metadata={}, transient={"display_id": "i"})
        shell.display_pub.publish({"text/plain": "b"}, {}, {"display_id": "j"}, False)
        shell.display_pub.publish({"text/plain": "c"}, transient={"display_id": "i"}, update=True)
        shell.display_pub.clear_output(wait=True)
        taps.parts()
        record = taps.record
    again = SimpleNamespace(kernel=object(), display_pub=Publisher())
    show_again(record, again, SystemClock())
    assert again.display_pub.published == [("display", "c", "i"), ("display", "b", "j"), ("clear", True)]


def test_a_terminal_prints_displays_once_and_names_what_it_cannot_keep(capsys: pytest.CaptureFixture[str]) -> None:
    def system_raw(command: str) -> None:
        sys.stdout.write("")

    publisher = SimpleNamespace(publish=lambda data, **words: print(data["text/plain"]), clear_output=lambda wait: print(end="\r"))
    shell = SimpleNamespace(display_pub=publisher, system=system_raw)
    with heard(shell) as taps:
        publisher.publish({"text/plain": "words", "image/png": b"x"})
        shell.system("nvidia-smi")
        publisher.publish({"image/png": b"x", "text/plain": "figure"})
        taps.parts()
        record = taps.record
    assert shell.system is system_raw
    capsys.readouterr()
    show_again(record, shell, SystemClock())
    assert capsys.readouterr().out == "words\n(what `!nvidia-smi` printed here was not kept)\nfigure\n"


def test_an_image_is_named_in_a_terminal(capsys: pytest.CaptureFixture[str], in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    with heard(shell) as taps:
        shell.display_pub.publish({"image/png": b"x"})
        taps.parts()
        record = taps.record
    show_again(record, None, SystemClock())
    assert "(image/png: not shown in a terminal)" in sys.stdout.getvalue()  # type: ignore[attr-defined]


def test_a_stream_that_cannot_be_tapped_is_named_and_the_rest_is_heard(
    in_kernel: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = in_kernel()

    class Closed:
        __slots__ = ()

        def write(self, text: str) -> int:
            return len(text)

        def flush(self) -> None: ...

    monkeypatch.setattr(sys, "stderr", Closed())
    failures: list[str] = []
    with heard(shell, failures) as taps:
        print("heard")
        print("not heard", file=sys.stderr)
        assert text(taps) == "heard\n"
    assert failures == ["Closed.write cannot be listened to"]


def test_an_error_while_recording_never_reaches_the_cell_and_is_said_once(
    in_kernel: Callable[[], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    shell = in_kernel()
    failures: list[str] = []
    with heard(shell, failures) as taps:
        monkeypatch.setattr(taps.record, "write", lambda stream, text: 1 / 0)
        for _ in range(3 * MOST_NOTES):
            print("x")
        taps.parts()
    assert failures == ["ZeroDivisionError: division by zero"]
    assert sys.stdout.getvalue() == "x\n" * 3 * MOST_NOTES  # type: ignore[attr-defined]


def test_a_print_in_a_signal_handler_while_notes_are_worked_out_does_not_block(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    with heard(shell) as taps:
        with taps._working:
            for _ in range(2 * MOST_NOTES):
                print("x")
        assert text(taps) == "x\n" * 2 * MOST_NOTES


def test_a_forked_child_is_not_heard(in_kernel: Callable[[], Any], tmp_path: Path) -> None:
    shell = in_kernel()
    with heard(shell) as taps:
        child = os.fork()
        if child == 0:
            for _ in range(2 * MOST_NOTES):
                print("child")
            os._exit(0 if not taps._hearing else 1)
        assert os.waitpid(child, 0)[1] == 0
        print("parent")
        assert text(taps) == "parent\n"


def test_a_long_record_is_shown_at_a_pace_that_a_server_passes_on(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    record = Record()
    for number in range(3000):
        record.write(("stdout", "stderr")[number % 2], "x" * 100)
    clock = FakeClock()
    waits: list[float] = []
    clock.wait = lambda event, timeout_s: bool(waits.append(timeout_s) or clock.advance(timeout_s))  # type: ignore[method-assign,assignment]
    show_again(record, shell, clock)
    assert sum(waits) == pytest.approx((3000 - 2000) / 800, abs=0.1)


def test_a_bar_that_comes_back_covers_the_line_that_is_longer_than_its_own(in_kernel: Callable[[], Any]) -> None:
    shell = in_kernel()
    with heard(shell) as taps:
        sys.stderr.write("\r 40%|####      | 4/10 [00:04<00:06]")
        taps.hold()
        sys.stderr.write("\r 40%|####      | 4/10 [?]")
        taps.let_go()
        sys.stderr.write("\r 50%|#####     | 5/10 [?]")
        sys.stderr.write("\r 60%|######    | 6/10 [?]")
        print(" after it", file=sys.stderr)
        assert text(taps) == "\r 60%|######    | 6/10 [?] after it \n"
    assert folded(sys.stderr.getvalue()) == "\r 60%|######    | 6/10 [?] after it \n"  # type: ignore[attr-defined]


def test_what_is_said_again_on_the_way_back_is_held_and_what_is_new_is_said(
    new_kernel: Callable[..., Kernel], capsys: pytest.CaptureFixture[str]
) -> None:
    cell = """
from tests.session.output.test_taps import entering
with entering():
    for i in range(3):
        print("i", i)
        here()
"""
    new_kernel().guarded(cell, lose_at=3)
    capsys.readouterr()
    WARNINGS.append("a warning of this kernel")
    new_kernel().guarded(cell)
    assert capsys.readouterr().out == "entered\ni 0\ni 1\na warning of this kernel\ni 2\nleft\n"
    WARNINGS.clear()
    new_kernel().guarded(cell)
    assert capsys.readouterr().out == "entered\ni 0\ni 1\ni 2\nleft\n", "what was said of the resume is not the cell's"


WARNINGS: list[str] = []


@contextmanager
def entering() -> Iterator[None]:
    """A library's context manager, which is made anew on a resume."""
    clear_output()
    print("entered", *WARNINGS, sep="\n")
    yield
    print("left")


def test_a_commit_made_without_output_is_resumed_and_shows_what_comes_after_it(
    new_kernel: Callable[..., Kernel], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = "for i in range(4):\n    print('i', i)\n    here()\n"
    with monkeypatch.context() as without:
        without.setattr(CellOutput, "parts", lambda self: {})
        new_kernel().guarded(cell, lose_at=3)
    capsys.readouterr()
    new_kernel().guarded(cell)
    assert capsys.readouterr().out == "i 2\ni 3\n"


def test_a_record_that_cannot_be_read_is_named_and_the_cell_goes_on(
    new_kernel: Callable[..., Kernel], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = "for i in range(4):\n    print('i', i)\n    here()\n"
    with monkeypatch.context() as newer:
        newer.setattr("colab_guard.session.output.record.FORMAT", 2)
        new_kernel().guarded(cell, lose_at=3)
    capsys.readouterr()
    kernel = new_kernel()
    kernel.guarded(cell)
    assert capsys.readouterr().out == "i 2\ni 3\n"
    assert [event.why for event in kernel.events if isinstance(event, NotKept)] == [
        "what was printed before the loss cannot be shown again: it was recorded by a newer colab_guard"
    ]
