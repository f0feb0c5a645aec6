"""Whether an error means that memory ran out: of which device, in which form, however deep in a chain it stands.

    torch.OutOfMemoryError (also torch.cuda.OutOfMemoryError)      the allocator's own
    RuntimeError / AcceleratorError with "CUDA error: out of memory", "HIP out of memory", "MPS backend out of memory"
    RuntimeError with CUBLAS_STATUS_ALLOC_FAILED and its like; cublasCreate's NOT_INITIALIZED, which means the same
    RuntimeError with "DefaultCPUAllocator: can't allocate memory"
    MemoryError (numpy's too), OSError ENOMEM
    RESOURCE_EXHAUSTED of XLA, JAX and TensorFlow

A text alone does not count: a ValueError that speaks of memory is the user's own. Nor does what an error hides by `raise ...
from None` (or `from` another one): who writes that has dealt with the shortage, and says that something else is the matter.
"""

from __future__ import annotations

import errno
import re
import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass

from colab_guard.errors import GuardError

LIBRARIES = re.compile(r"\b(?:CUBLAS|CUDNN|CUSOLVER|CUSPARSE|CUFFT)_(?:STATUS_)?ALLOC_FAILED\b|ROCBLAS_STATUS_MEMORY_ERROR")
HANDLES = re.compile(r"CUBLAS_STATUS_NOT_INITIALIZED.*cublasCreate", re.S)
"""A handle is cuBLAS's first allocation: where memory is full it fails by this name (pytorch#16831)."""
DEVICES = re.compile(r"\b(?:CUDA|HIP|XPU)\b.*\bout of memory\b", re.S | re.I)
MPS = re.compile(r"\bMPS backend out of memory\b|MPS.*Insufficient Memory", re.S | re.I)
HOST = re.compile(r"DefaultCPUAllocator: (?:can't|not enough)|std::bad_alloc|Cannot allocate memory")
EXHAUSTED = "RESOURCE_EXHAUSTED"
EXHAUSTED_TYPES = frozenset({"ResourceExhaustedError", "XlaRuntimeError", "JaxRuntimeError"})
LONGEST = 160


@dataclass(frozen=True, slots=True)
class Shortage:
    """Memory of `device` ("gpu", "mps", "tpu" or "host") ran out; `told` is the error in one line."""

    device: str
    told: str

    def __str__(self) -> str:
        return f"out of {'host memory' if self.device == 'host' else f'{self.device.upper()} memory'}"


def links(*errors: BaseException | None, hidden: bool = True) -> Iterator[BaseException]:
    """The errors, what caused them, what they were raised in the handling of, and the members of groups; each once.

    Without `hidden`, only what a traceback shows: not what `raise ... from` has put aside.
    """
    todo, seen = deque(errors), set()
    while todo:
        link = todo.popleft()
        if not isinstance(link, BaseException) or id(link) in seen:
            continue
        seen.add(id(link))
        yield link
        context = link.__context__ if hidden or not link.__suppress_context__ else None
        todo += [link.__cause__, context, *(link.exceptions if isinstance(link, BaseExceptionGroup) else ())]


def shortage_in(error: BaseException | None, *, hidden: bool = False) -> Shortage | None:
    """The shortage that `error` tells of, itself or by its chain; None where it is another error.

    The watch's own `HostMemoryPressure` is none: it ends the cell on purpose, with state saved. `hidden`: also where the
    error hides it, for what is to be cleared.
    """
    for link in links(error, hidden=hidden):
        if isinstance(link, GuardError):
            return None
        device = _device(link)
        if device is not None:
            return Shortage(device, told(link))
    return None


def told(error: BaseException) -> str:
    """One line of an error: its type and the first sentence of its text."""
    first = str(error).strip().split("\n", 1)[0].split(". ", 1)[0]
    line = f"{type(error).__name__}: {first}" if first else type(error).__name__
    return line if len(line) <= LONGEST else line[: LONGEST - 1] + "…"


def _device(error: BaseException) -> str | None:
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return "host"
    torch = sys.modules.get("torch")
    allocators = getattr(torch, "OutOfMemoryError", None)
    text = str(error)
    if allocators is not None and isinstance(error, allocators):
        return "mps" if MPS.search(text) else "gpu"
    if type(error).__name__ in EXHAUSTED_TYPES and (EXHAUSTED in text or type(error).__name__ == "ResourceExhaustedError"):
        return "tpu"
    if not isinstance(error, RuntimeError):
        return None
    if MPS.search(text):
        return "mps"
    if HOST.search(text):
        return "host"
    if DEVICES.search(text) or LIBRARIES.search(text) or HANDLES.search(text):
        return "gpu"
    return "tpu" if EXHAUSTED in text else None


def is_of_device(error: BaseException) -> bool:
    """Whether a function of the GPU's own failed, itself or by its chain: torch's AcceleratorError, by an older name too."""
    failed = [link for link in links(error) if isinstance(link, RuntimeError)]
    return any(type(link).__name__ == "AcceleratorError" or str(link).startswith(("CUDA error", "HIP error")) for link in failed)


def unusable_device() -> str | None:
    """Why the GPU of this process cannot be used any more; None where it answers, or was not in use.

    An error inside a kernel of the GPU (an illegal address, an assertion) stays: every later call fails with it.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return None
    try:
        torch.cuda.synchronize()
    except RuntimeError as error:
        return None if shortage_in(error) is not None else told(error)
    return None
