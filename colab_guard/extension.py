"""The entry: `%load_ext colab_guard` wires session, magics and panel, and `%unload_ext` takes all of it back."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

from colab_guard import magics, pages, session
from colab_guard.errors import BadOption
from colab_guard.session import found
from colab_guard.session.seams import Panel

if TYPE_CHECKING:
    from IPython.core.interactiveshell import ExecutionResult, InteractiveShell

_undos: WeakKeyDictionary[InteractiveShell, Callable[[], None]] = WeakKeyDictionary()


def load(shell: InteractiveShell) -> None:
    """Register the magics in `shell` and say in one line what this machine is and what can be resumed."""
    unload(shell)
    guard = session.current(shell)
    guard.panel_factory = _panel
    remove_magics = magics.install(shell, session.Guard(lambda: session.current(shell)))

    def after_cell(result: ExecutionResult) -> None:
        if result.error_in_exec is not None:
            session.current(shell).after_error(result.error_in_exec)

    shell.events.register("post_run_cell", after_cell)

    def undo() -> None:
        shell.events.unregister("post_run_cell", after_cell)
        remove_magics()
        # by now the session may be another one than at loading
        existing = session.loaded()
        if existing is not None and existing.shell is shell:
            existing.close()
        pages.close_kept()

    _undos[shell] = undo
    print(greeting(guard))
    if before := last_kernel(shell):
        print(before)


def unload(shell: InteractiveShell) -> None:
    """Take back what `load` and the magics put in place; nothing where nothing was loaded."""
    undo = _undos.pop(shell, None)
    if undo is not None:
        undo()


def greeting(guard: session.Session) -> str:
    """The line of `%load_ext`: host, device, what is protected, what was found to resume."""
    return (
        f"colab_guard on {guard.host.label}, {_device()}. Put %%checkpointed NAME above a training cell. {_to_resume()}"
    )


def last_kernel(shell: InteractiveShell | None = None) -> str:
    """What became of this notebook's kernel before, in a line or two; "" where there is nothing to say."""
    hosts, blackbox = (importlib.import_module(f"colab_guard.{name}") for name in ("hosts", "hosts.blackbox"))
    told: str = blackbox.last_kernel(hosts.home(), hosts.kernel_notebook(shell))
    return told


def _panel(guard: session.Session) -> Panel:
    def ask(word: str) -> str:
        """What a page's button does, in words."""
        try:
            if word == "commit":
                return "saving at the next safe point" if guard.request_commit() else "nothing runs"
            after_run = guard.panel is not None and guard.panel.runs_sweep
            asked = guard.request_stop("panel", after_unit=after_run)
        except BadOption as refused:
            return str(refused)
        return f"stopping {'after this model' if after_run else 'at the next safe point'}" if asked else "nothing runs"

    room = importlib.import_module("colab_guard.panel")
    made: Panel = room.Panel(guard.shell, guard.bus, guard.clock, guard.workers, ask=ask)
    return made


def _device() -> str:
    for device in importlib.import_module("colab_guard.hosts").devices():
        if device.kind != "cpu":
            return f"GPU {device.name}"
    if "torch" in sys.modules:
        return "CPU (no GPU)"
    return "GPU not looked for yet" if _has_driver() else "CPU (no GPU)"


def _has_driver() -> bool:
    # torch would know, and importing it costs seconds: the driver's own file is looked for instead
    from pathlib import Path

    return any(Path(place).exists() for place in ("/dev/nvidia0", "/proc/driver/nvidia/version"))


def _to_resume() -> str:
    stores = found.look()
    if unfinished := found.to_resume(stores):
        return unfinished
    broken = [store.name for store in stores if store.problem]
    if broken:
        return f"Nothing to resume; cannot be read: {', '.join(broken)} (%guard checkpoints says why)."
    return "Nothing to resume."
