"""Real kernels for tests: started with a hash seed of their own, killed by progress, started again."""

from __future__ import annotations

import os
import queue
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client.kernelspec import KernelSpec
from jupyter_client.manager import KernelManager

NOTES = """
import os, time
from colab_guard.session import current
def note(line):
    with open(os.environ["SIDE"], "a+") as side:
        side.write(line + "\\n")
        side.seek(0)
        since = side.read().rpartition("saved inside")[2]
    if line.startswith("step") and since.count("\\nstep") > 6:
        time.sleep(0.5)
def inside(event, at):
    if type(event).__name__ == "SnapshotSaved" and "iteration" in event.position:
        note("saved inside")
current().bus.subscribe(inside)
"""
"""For the kernel: `note("step 3")` writes a line to the side file, and waits where none of the last steps was saved.

A loaded disk takes seconds for a commit; the loop that a test kills goes no faster than it.
"""
READY_S = 90
STARTS = 3
CELL_S = 240


def pythons() -> dict[str, str]:
    """Interpreters to test, by name: this one, and those of COLAB_GUARD_TEST_PYTHONS ("name=path,name=path")."""
    told = os.environ.get("COLAB_GUARD_TEST_PYTHONS", "")
    others = dict(entry.split("=", 1) for entry in told.split(",") if entry)
    return {"this": sys.executable, **others}


def stacks() -> dict[str, str]:
    """Of these, one for each Python and for each stack, not each Python with each stack: the matrix has all of them."""
    return {name: path for name, path in pythons().items() if name != "colab313"}


@dataclass
class Output:
    """What a cell gave, as text; `died` says that the kernel was killed meanwhile."""

    text: str = ""
    error: str = ""
    value: str = ""
    died: bool = False
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Machine:
    """A folder for the working directory, one for the stores, and a side file that no snapshot knows."""

    root: Path
    python: str = sys.executable
    started: int = 0

    def __post_init__(self) -> None:
        for folder in (self.work, self.home):
            folder.mkdir(parents=True, exist_ok=True)
        self.side.touch()

    @property
    def work(self) -> Path:
        return self.root / "work"

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def side(self) -> Path:
        return self.root / "side.txt"

    def lines(self) -> list[str]:
        return self.side.read_text().splitlines()

    def environment(self) -> dict[str, str]:
        # kernels that find pytest's variable do not read what child processes write
        outside = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        return {
            **outside,
            "COLAB_GUARD_HOME": str(self.home),
            "COLAB_GUARD_NOTEBOOK": "/notebook.ipynb",
            "PYTHONHASHSEED": str(self.started),
            "SIDE": str(self.side),
            "HF_HUB_OFFLINE": "1",
        }

    @contextmanager
    def kernel(self) -> Iterator[RunningKernel]:
        self.started += 1
        running = self._started()
        try:
            yield running
        finally:
            running.end()

    def _started(self) -> RunningKernel:
        """A kernel that answers; one whose free ports were taken by another meanwhile is started again."""
        for attempt in range(STARTS):
            manager = KernelManager()
            manager._kernel_spec = KernelSpec(
                argv=[self.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
            )
            manager.start_kernel(env=self.environment(), cwd=str(self.work))
            running = RunningKernel(manager, manager.client())
            running.client.start_channels()
            try:
                running.client.wait_for_ready(timeout=READY_S)
                return running
            except BaseException as error:
                running.end()
                if not isinstance(error, RuntimeError) or attempt == STARTS - 1:
                    raise
        raise AssertionError("the last start raises")


@dataclass
class RunningKernel:
    manager: KernelManager
    client: Any

    def end(self) -> None:
        self.client.stop_channels()
        if self.manager.is_alive():
            self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()

    def run(
        self,
        code: str,
        kill_when: Callable[[], bool] | None = None,
        limit_s: float = CELL_S,
        look_s: float = 0.5,
        history: bool = True,
    ) -> Output:
        """Execute `code`; SIGKILL as soon as `kill_when` says so. `look_s`: how often to see whether the kernel died.

        Without `history` as nbval and nbconvert ask: `In` and the execution count stay as they are.
        """
        # a request that follows an error at once would be aborted by older kernels
        request = self.client.execute(code, stop_on_error=False, store_history=history)
        found = Output()
        until = time.monotonic() + limit_s
        while time.monotonic() < until:
            if kill_when is not None and kill_when():
                self.kill()
                found.died = True
                return found
            try:
                message = self.client.get_iopub_msg(timeout=0.002 if kill_when is not None else look_s)
            except queue.Empty:
                if not self.manager.is_alive():
                    found.died = True
                    return found
                continue
            if message["parent_header"].get("msg_id") == request and self._take(message, found):
                return found
        raise TimeoutError(f"the cell did not end within {limit_s} s:\n{found.text[-2000:]}")

    def _take(self, message: dict[str, Any], found: Output) -> bool:
        kind, content = message["msg_type"], message["content"]
        found.messages.append(message)
        if kind == "stream":
            found.text += content["text"]
        elif kind == "error":
            found.error += "\n".join(content["traceback"])
        elif kind == "execute_result":
            found.value = content["data"]["text/plain"]
        return bool(kind == "status" and content["execution_state"] == "idle")

    def kill(self) -> None:
        self.manager.signal_kernel(signal.SIGKILL)
