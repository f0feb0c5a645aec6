"""Clearing between models: what really frees memory in a notebook, and who still holds some.

After an exception, memory is kept by the frames of its traceback (`sys.last_*`, IPython's `InteractiveTB.tb`); between
cells by the four holders of `Out[]`. Clearing the frames of the chain, and touching `f_locals` so that its copy is
dropped, frees what they hold, and `%tb` goes on working.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType
from typing import Any

from colab_guard.hosts import MemoryProbe, SystemProbe

HOLDER_BYTES = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Reclaimed:
    """Bytes in use before and after (GPU: allocated; None without one), and names that hold more than 64 MiB."""

    host_before: int
    host_after: int
    gpu_before: int | None
    gpu_after: int | None
    holders: tuple[str, ...]


def reclaim(shell: Any = None, probe: MemoryProbe | None = None) -> Reclaimed:
    """Free what nothing needs; the user's own names are left alone."""
    probe = probe or SystemProbe()
    host_before, gpu_before = probe.host_used(), _allocated(probe)
    clear_exceptions(shell)
    if shell is not None:
        clear_outputs(shell)
    gc.collect()
    _empty_caches()
    return Reclaimed(host_before, probe.host_used(), gpu_before, _allocated(probe), tuple(_holders(shell)))


def clear_exceptions(shell: Any = None) -> None:
    """Drop what the frames of the last errors hold."""
    errors = [getattr(sys, "last_value", None), getattr(sys, "last_exc", None)]
    traces = [getattr(sys, "last_traceback", None)]
    traces.append(getattr(getattr(shell, "InteractiveTB", None), "tb", None))
    seen: set[int] = set()
    for error in errors:
        for link in _chain(error):
            traces.append(link.__traceback__)
    for trace in traces:
        _clear_frames(trace, seen)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    todo, seen = [error], set()
    while todo:
        link = todo.pop()
        if link is not None and id(link) not in seen:
            seen.add(id(link))
            yield link
            todo += [link.__cause__, link.__context__]


def _clear_frames(trace: TracebackType | None, seen: set[int]) -> None:
    while trace is not None and id(trace) not in seen:
        seen.add(id(trace))
        frame = trace.tb_frame
        try:
            frame.clear()
        except RuntimeError:
            pass  # a frame that still runs keeps what it needs
        else:
            _ = frame.f_locals
        trace = trace.tb_next


def clear_outputs(shell: Any) -> None:
    """Drop values with tensors from the history of outputs: `Out`, `_`, `__`, `___`, `_N`, the display hook's, the last result."""
    names = shell.user_ns
    hook = shell.displayhook
    outputs = names.get("_oh", {})
    heavy = {id(value) for value in outputs.values() if _has_tensor(value)}
    heavy |= {id(value) for value in (names.get(n) for n in ("_", "__", "___")) if _has_tensor(value)}
    for number in [number for number, value in outputs.items() if id(value) in heavy]:
        del outputs[number]
        for holder in (names, getattr(shell, "user_ns_hidden", {})):
            holder.pop(f"_{number}", None)
    for name in ("_", "__", "___"):
        # the display hook pushes its names as hidden ones too
        for holder in (names, getattr(shell, "user_ns_hidden", {})):
            if id(holder.get(name)) in heavy:
                holder[name] = ""
        if id(getattr(hook, name, None)) in heavy:
            setattr(hook, name, "")
    last = getattr(shell, "last_execution_result", None)
    if last is not None and _has_tensor(last.result):
        last.result = None


def _has_tensor(value: Any, depth: int = 0) -> bool:
    torch = sys.modules.get("torch")
    if torch is None or depth > 3:
        return False
    if isinstance(value, (torch.Tensor, torch.nn.Module)):
        return True
    if isinstance(value, dict):
        return any(_has_tensor(item, depth + 1) for item in list(value.values())[:1000])
    if isinstance(value, (list, tuple)):
        return any(_has_tensor(item, depth + 1) for item in value[:1000])
    return False


def _empty_caches() -> None:
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available() and torch.cuda.is_initialized():
        torch.cuda.empty_cache()
    if sys.platform.startswith("linux"):
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
        if trim is not None:
            trim(0)


def _allocated(probe: MemoryProbe) -> int | None:
    gpu = probe.gpu()
    return gpu.allocated if gpu is not None else None


def _holders(shell: Any) -> list[str]:
    """The user's names that hold more than 64 MiB of tensors or arrays, with how much."""
    torch, numpy = sys.modules.get("torch"), sys.modules.get("numpy")
    found = []
    for name, value in dict(getattr(shell, "user_ns", {})).items():
        if name.startswith("_"):
            continue
        size = 0
        if torch is not None and isinstance(value, torch.nn.Module):
            size = sum(t.nbytes for t in [*value.parameters(), *value.buffers()])
        elif (torch is not None and isinstance(value, torch.Tensor)) or (
            numpy is not None and isinstance(value, numpy.ndarray)
        ):
            size = value.nbytes
        if size > HOLDER_BYTES:
            found.append(f"{name} ({size / 2**20:.0f} MiB)")
    return found
