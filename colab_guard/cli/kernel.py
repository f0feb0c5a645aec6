"""A kernel of the current Python for `colab-guard run`: started, asked to execute, watched."""

from __future__ import annotations

import os
import queue
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

READY_S = 120.0
LOOK_S = 0.5
SAVE_S = 60.0
REPLY_S = 10.0
"""For the reply of a cell whose outputs have all come."""


class KernelDied(Exception):
    """The kernel's process `pid` ended while it was needed; `status` is its exit status, negative for a signal."""

    def __init__(self, status: int | None, pid: int | None = None) -> None:
        super().__init__(f"exit status {status}")
        self.status = status
        self.pid = pid


@dataclass(slots=True)
class CellDone:
    """What a cell gave: outputs in notebook form, its count, and the error's line or None."""

    outputs: list[Any] = field(default_factory=list)
    count: int | None = None
    error: str | None = None


class Kernel:
    """One kernel process."""

    def __init__(self, notebook: Path, hash_seed: str = "0") -> None:
        from jupyter_client.kernelspec import KernelSpec
        from jupyter_client.manager import KernelManager

        environment = {**os.environ, "COLAB_GUARD_NOTEBOOK": str(notebook.resolve()), "PYTHONHASHSEED": hash_seed}
        self._manager = KernelManager()
        # the kernel of this very Python: no kernel needs to be registered for it
        self._manager._kernel_spec = KernelSpec(
            argv=[sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python"
        )
        self._manager.start_kernel(env=environment, cwd=str(notebook.resolve().parent))
        self._client = self._manager.client()
        self._client.start_channels()
        try:
            self._client.wait_for_ready(timeout=READY_S)
        except RuntimeError:
            died = self._died()
            self.close()
            raise died from None

    def execute(self, source: str, *, on_text: Callable[[str], None], limit_s: float | None = None) -> CellDone:
        """Run `source`; KernelDied if the kernel ends meanwhile."""
        request = self._client.execute(source, store_history=True, allow_stdin=False, stop_on_error=True)
        outputs = _Outputs(on_text)
        until = None if limit_s is None else time.monotonic() + limit_s
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=LOOK_S)
            except queue.Empty:
                if not self._manager.is_alive():
                    raise self._died() from None
                if until is not None and time.monotonic() > until:
                    self._manager.interrupt_kernel()
                    until = None
                continue
            if message["parent_header"].get("msg_id") != request:
                outputs.update_display(message)
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                self._take_reply(request, outputs.done)
                return outputs.done
            outputs.add(message)

    def _take_reply(self, request: str, done: CellDone) -> None:
        """One-line errors (IPython's UsageError) are printed, not sent as an output: only the reply tells of them."""
        until = time.monotonic() + REPLY_S
        while time.monotonic() < until:
            try:
                reply = self._client.get_shell_msg(timeout=LOOK_S)
            except queue.Empty:
                if not self._manager.is_alive():
                    raise self._died() from None
                continue
            if reply["parent_header"].get("msg_id") == request:
                content = reply["content"]
                if content["status"] == "error" and done.error is None:
                    done.error = f"{content['ename']}: {content['evalue']}"
                return

    def interrupt_and_wait(self) -> None:
        """Ask the running cell to save and stop, and give it time for that."""
        self._manager.interrupt_kernel()
        until = time.monotonic() + SAVE_S
        while time.monotonic() < until and self._manager.is_alive():
            try:
                message = self._client.get_iopub_msg(timeout=LOOK_S)
            except queue.Empty:
                continue
            if message["msg_type"] == "status" and message["content"]["execution_state"] == "idle":
                return

    def close(self) -> None:
        self._client.stop_channels()
        if self._manager.is_alive():
            self._manager.shutdown_kernel()  # and not at once, which its black box would call a kill
        self._manager.cleanup_resources()

    def _died(self) -> KernelDied:
        process = getattr(getattr(self._manager, "provisioner", None), "process", None)
        return KernelDied(None) if process is None else KernelDied(process.poll(), process.pid)


class _Outputs:
    """Messages of one cell as notebook outputs."""

    def __init__(self, on_text: Callable[[str], None]) -> None:
        self.done = CellDone()
        self._on_text = on_text
        self._displays: dict[str, list[Any]] = {}
        self._clear_next = False

    def add(self, message: dict[str, Any]) -> None:
        kind, content = message["msg_type"], message["content"]
        if kind == "execute_input":
            self.done.count = content["execution_count"]
        elif kind == "clear_output":
            self._clear_next = bool(content.get("wait"))
            if not self._clear_next:
                self.done.outputs.clear()
        elif kind == "update_display_data":
            self.update_display(message)
        elif kind in ("stream", "display_data", "execute_result", "error"):
            self._append(kind, content)

    def _append(self, kind: str, content: dict[str, Any]) -> None:
        from nbformat.v4 import output_from_msg

        if self._clear_next:
            self.done.outputs.clear()
            self._clear_next = False
        if kind == "stream":
            self._on_text(content["text"])
            last = self.done.outputs[-1] if self.done.outputs else None
            if last is not None and last.output_type == "stream" and last.name == content["name"]:
                last.text += content["text"]
                return
        output = output_from_msg({"header": {"msg_type": kind}, "content": content})
        self.done.outputs.append(output)
        display = content.get("transient", {}).get("display_id")
        if display:
            self._displays.setdefault(display, []).append(output)
        if kind == "error":
            self.done.error = f"{content['ename']}: {content['evalue']}"
        elif "text/plain" in content.get("data", {}) and kind == "execute_result":
            self._on_text(content["data"]["text/plain"])

    def update_display(self, message: dict[str, Any]) -> None:
        if message["msg_type"] != "update_display_data":
            return
        content = message["content"]
        for output in self._displays.get(content.get("transient", {}).get("display_id"), []):
            from nbformat import from_dict

            output.data, output.metadata = from_dict(content["data"]), from_dict(content["metadata"])
