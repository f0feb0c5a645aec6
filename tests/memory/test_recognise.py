"""Which errors mean that memory ran out: every form, however deep in a chain; and which do not."""

from __future__ import annotations

import errno
import weakref
from collections.abc import Callable

import numpy as np
import pytest
import torch

from colab_guard.errors import HostMemoryPressure
from colab_guard.memory.letgo import let_go
from colab_guard.memory.recognise import is_of_device, shortage_in, told, unusable_device


class XlaRuntimeError(RuntimeError):
    """As jaxlib calls its own."""


class ResourceExhaustedError(Exception):
    """As TensorFlow calls its own."""


class AcceleratorError(RuntimeError):
    """As torch calls errors of CUDA's own functions."""


FORMS = {
    "allocator": (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total"), "gpu"),
    "older name": (torch.cuda.OutOfMemoryError("CUDA out of memory."), "gpu"),
    "driver": (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"), "gpu"),
    "accelerator": (AcceleratorError("CUDA error: out of memory"), "gpu"),
    "cublas": (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), "gpu"),
    "cublas, by its other name": (RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`"), "gpu"),
    "cudnn": (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "gpu"),
    "rocm": (RuntimeError("HIP out of memory. Tried to allocate 20.00 MiB"), "gpu"),
    "mps": (RuntimeError("MPS backend out of memory (MPS allocated: 8.88 GB, other allocations: 4 GB, max allowed: 9 GB)."), "mps"),
    "torch on the host": (RuntimeError("[enforce fail at alloc_cpu.cpp:117] err == 0. DefaultCPUAllocator: can't allocate memory"), "host"),
    "python": (MemoryError(), "host"),
    "the system": (OSError(errno.ENOMEM, "Cannot allocate memory"), "host"),
    "xla": (XlaRuntimeError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 17179869184 bytes."), "tpu"),
    "tensorflow": (ResourceExhaustedError("OOM when allocating tensor with shape[8,8]"), "tpu"),
}
OTHERS = {
    "a user's words": ValueError("this would run out of memory: CUDA out of memory"),
    "another CUDA error": RuntimeError("CUDA error: an illegal memory access was encountered"),
    "an assertion on the device": RuntimeError("CUDA error: device-side assert triggered"),
    "shared memory of a kernel": RuntimeError("out of resource: shared memory, Required: 131072, Hardware limit: 101376"),
    "cublas not initialised elsewhere": RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasSgemm`"),
    "a full disk": OSError(errno.ENOSPC, "No space left on device"),
    "the watch's own": HostMemoryPressure("host memory is nearly exhausted"),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_is_recognised(form: str) -> None:
    error, device = FORMS[form]
    found = shortage_in(error)
    assert found is not None and found.device == device


@pytest.mark.parametrize("other", OTHERS)
def test_other_errors_are_not(other: str) -> None:
    assert shortage_in(OTHERS[other]) is None


def raised(act: Callable[[], object]) -> Exception:
    try:
        act()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_real_allocations_that_fail_are_recognised() -> None:
    for act in (lambda: torch.empty(2**48), lambda: np.empty(2**48), lambda: bytearray(2**62)):
        found = shortage_in(raised(act))
        assert found is not None and found.device == "host"


def chained(how: str) -> None:
    try:
        raise torch.OutOfMemoryError("CUDA out of memory.")
    except torch.OutOfMemoryError as error:
        if how == "cause":
            raise ValueError("the model does not fit") from error
        if how == "none":
            raise ValueError("the model does not fit") from None
        if how == "another":
            raise ValueError("the model does not fit") from KeyError("size")
        if how == "group":
            raise ExceptionGroup("workers", [KeyError("x"), error]) from None
        raise KeyError("cleaning up")


@pytest.mark.parametrize("how", ["cause", "context", "group"])
def test_what_an_error_came_from_counts(how: str) -> None:
    found = shortage_in(raised(lambda: chained(how)))
    assert found is not None and found.told == "OutOfMemoryError: CUDA out of memory."


@pytest.mark.parametrize("how", ["none", "another"])
def test_what_an_error_hides_was_dealt_with_by_who_wrote_that_and_is_only_cleared(how: str) -> None:
    error = raised(lambda: chained(how))
    assert shortage_in(error) is None
    assert shortage_in(error, hidden=True) is not None, "what its frames hold is as much"


def test_an_error_that_hides_another_and_tells_of_full_memory_itself_counts() -> None:
    def act() -> None:
        try:
            torch.empty(2**48)
        except RuntimeError:
            raise RuntimeError("CUDA out of memory while loading the adapter") from None

    assert shortage_in(raised(act)) is not None


def test_a_chain_that_bites_its_tail_ends() -> None:
    first, second = ValueError("a"), ValueError("b")
    first.__context__, second.__context__ = second, first
    assert shortage_in(first) is None


def test_an_error_is_told_in_one_short_line() -> None:
    line = told(FORMS["driver"][0])
    assert line == "RuntimeError: CUDA error: out of memory"
    assert len(told(ValueError("x" * 1000))) == 160


class Heavy:
    """Something whose end can be seen."""


def test_what_the_frames_of_a_chained_error_held_is_let_go_of() -> None:
    seen: list[weakref.ref[Heavy]] = []

    def inner() -> None:
        heavy = Heavy()
        seen.append(weakref.ref(heavy))
        raise MemoryError

    def outer() -> None:
        heavy = Heavy()
        seen.append(weakref.ref(heavy))
        try:
            inner()
        except MemoryError as error:
            raise ValueError("chained") from error

    error = raised(outer)
    assert all(reference() is not None for reference in seen)
    let_go(error)
    assert all(reference() is None for reference in seen)
    assert error.__traceback__ is not None


def test_without_a_gpu_there_is_none_that_could_be_unusable() -> None:
    assert torch.cuda.is_available() or unusable_device() is None


def test_errors_of_the_device_are_told_from_others() -> None:
    assert is_of_device(OTHERS["another CUDA error"]) and is_of_device(AcceleratorError("unspecified launch failure"))
    assert not is_of_device(ValueError("CUDA error")) and not is_of_device(RuntimeError("shapes do not agree"))
