"""torch's global switches. Its generators are random state; what lies on devices is memory.

`with torch.no_grad()` and its like own these switches for their time: a resume enters such contexts again, and sets the
switches once more when it has come to its position.
"""

from __future__ import annotations

import dataclasses
from typing import Any

from colab_guard.state.outside.settings import Setting

CUDNN = ("enabled", "benchmark", "deterministic", "allow_tf32", "benchmark_limit")
MATMUL = ("allow_tf32", "allow_fp16_reduced_precision_reduction", "allow_bf16_reduced_precision_reduction")
ATTENTION = ("flash_sdp", "mem_efficient_sdp", "math_sdp", "cudnn_sdp")
THREADS = "torch's threads"
AUTOCAST = ("cpu", "cuda")
NEWER = ("", "cuda.matmul", "cudnn", "cudnn.conv", "cudnn.rnn", "mkldnn", "mkldnn.matmul", "mkldnn.conv", "mkldnn.rnn")
"""Where `fp32_precision` is found from torch 2.9 on. Once it is set, the older switches must not be read: torch refuses."""


def _device(torch: Any) -> Any:
    # `get_default_device` would also see the contexts that are active
    mode = getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)
    return None if mode is None else mode.device


def _backends(path: str, names: tuple[str, ...]) -> tuple[Any, Any]:
    def read(torch: Any) -> dict[str, Any]:
        part = _at(torch.backends, path)
        return {name: getattr(part, name) for name in names if hasattr(part, name)}

    def write(torch: Any, wanted: dict[str, Any]) -> None:
        part = _at(torch.backends, path)
        for name, value in wanted.items():
            if getattr(part, name) != value:
                setattr(part, name, value)

    return read, write


def _at(holder: Any, path: str) -> Any:
    for part in filter(None, path.split(".")):
        holder = getattr(holder, part)
    return holder


def _newer(torch: Any) -> dict[str, Any]:
    found = {}
    for path in NEWER:
        try:
            found[path] = _at(torch.backends, path).fp32_precision
        except AttributeError:
            continue
    return found


def _set_newer(torch: Any, wanted: dict[str, Any]) -> None:
    for path, value in wanted.items():
        part = _at(torch.backends, path)
        if part.fp32_precision != value:
            part.fp32_precision = value


def _attention(torch: Any) -> dict[str, bool]:
    cuda = torch.backends.cuda
    return {name: getattr(cuda, f"{name}_enabled")() for name in ATTENTION if hasattr(cuda, f"{name}_enabled")}


def _set_attention(torch: Any, wanted: dict[str, bool]) -> None:
    for name, value in wanted.items():
        getattr(torch.backends.cuda, f"enable_{name}")(value)


def _autocast(torch: Any) -> tuple[Any, ...]:
    kinds = {kind: (torch.is_autocast_enabled(kind), torch.get_autocast_dtype(kind)) for kind in AUTOCAST}
    return torch.is_autocast_cache_enabled(), kinds


def _set_autocast(torch: Any, wanted: tuple[Any, ...]) -> None:
    cache, kinds = wanted
    torch.set_autocast_cache_enabled(cache)
    for kind, (enabled, dtype) in kinds.items():
        torch.set_autocast_enabled(kind, enabled)
        torch.set_autocast_dtype(kind, dtype)


def _printing(torch: Any) -> dict[str, Any]:
    return dataclasses.asdict(torch._tensor_str.PRINT_OPTS)


def _set_printing(torch: Any, wanted: dict[str, Any]) -> None:
    for name, value in wanted.items():
        setattr(torch._tensor_str.PRINT_OPTS, name, value)


TORCH = (
    Setting("torch's default dtype", "torch", lambda t: t.get_default_dtype(), lambda t, v: t.set_default_dtype(v)),
    Setting("torch's default device", "torch", _device, lambda t, v: t.set_default_device(v)),
    Setting("torch's grad mode", "torch", lambda t: t.is_grad_enabled(), lambda t, v: t._C._set_grad_enabled(v)),
    Setting(
        "torch's deterministic algorithms",
        "torch",
        lambda t: (t.are_deterministic_algorithms_enabled(), t.is_deterministic_algorithms_warn_only_enabled()),
        lambda t, v: t.use_deterministic_algorithms(v[0], warn_only=v[1]),
    ),
    Setting(
        "torch's fill of uninitialized memory",
        "torch",
        lambda t: t.utils.deterministic.fill_uninitialized_memory,
        lambda t, v: setattr(t.utils.deterministic, "fill_uninitialized_memory", v),
    ),
    Setting(
        "torch's matmul precision",
        "torch",
        lambda t: t.get_float32_matmul_precision(),
        lambda t, v: t.set_float32_matmul_precision(v),
    ),
    Setting("torch.backends.cuda.matmul", "torch", *_backends("cuda.matmul", MATMUL)),
    Setting("torch.backends.cudnn", "torch", *_backends("cudnn", CUDNN)),
    Setting("torch's fp32_precision", "torch", _newer, _set_newer),
    Setting("torch's attention kernels", "torch", _attention, _set_attention),
    Setting("torch's autocast", "torch", _autocast, _set_autocast),
    Setting(
        "torch's anomaly mode",
        "torch",
        lambda t: (t.is_anomaly_enabled(), t.is_anomaly_check_nan_enabled()),
        lambda t, v: t.set_anomaly_enabled(*v),
    ),
    Setting("torch.set_printoptions", "torch", _printing, _set_printing),
    Setting("torch.set_warn_always", "torch", lambda t: t.is_warn_always_enabled(), lambda t, v: t.set_warn_always(v)),
    Setting(THREADS, "torch", lambda t: t.get_num_threads(), lambda t, v: t.set_num_threads(v), True),
    Setting(
        "torch's sharing strategy",
        "torch.multiprocessing",
        lambda m: m.get_sharing_strategy(),
        lambda m, v: m.set_sharing_strategy(v),
        True,
    ),
)
