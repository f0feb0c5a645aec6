"""Meta tensors computed as a device would: which kernel it takes, in which dtype, and what that keeps.

PyTorch decides by the device of a tensor: under autocast, in attention, in dropout and in softmax. Meta tensors have none of
those ways, so `AsOn` (a torch-function mode) takes them instead. The sources: `ATen/autocast_mode.h` (which operations run in
which dtype), `transformers/cuda/sdp_utils.cpp` (which attention), `SoftMax.cpp` and `Dropout.cpp`. Whether autocast is in force
is read from `torch.autocast("cpu")`, which meta tensors ignore: so checkpointing's recomputation turns it on and off as it does
for real.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

aten = torch.ops.aten

LOWER = frozenset(
    ("conv1d", "conv2d", "conv3d", "conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
    + ("linear", "matmul", "__matmul__", "__rmatmul__", "mm", "bmm", "addmm", "addbmm", "baddbmm", "scaled_dot_product_attention")
    + ("prelu",)
)
"""Run in the lower dtype under autocast."""
LOWER_ON_CUDA = LOWER | {"mv", "addmv", "addr", "chain_matmul", "einsum"}
FP32 = frozenset(
    ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "nll_loss", "kl_div", "binary_cross_entropy_with_logits")
    + ("cross_entropy", "cosine_embedding_loss", "cdist", "prod")
)
"""Run in float32 under autocast."""
FP32_ON_CUDA = FP32 | frozenset(
    ("pow", "__pow__", "exp", "expm1", "log", "log10", "log1p", "log2", "reciprocal", "rsqrt", "cosh", "sinh", "tan", "acos", "asin")
    + ("erfinv", "layer_norm", "group_norm", "cosine_similarity", "dist", "renorm", "logsumexp", "rms_norm", "softplus")
    + ("norm", "cumsum", "cumprod", "sum", "interpolate")
)
CUBLAS_WORKSPACE = 2 * 4096 * 1024 + 8 * 16 * 1024
"""Bytes of cuBLAS's workspace for each thread that multiplies: forward and backward (`CublasHandlePool.cpp`, ":4096:2:16:8")."""
CUBLAS_WORKSPACE_HOPPER = 8 * 4096 * 1024
"""The same from compute capability 9.0 on (":4096:8")."""
EFFICIENT_ATTENTION_ALIGNS = 16
"""A mask's last dimension is padded to a multiple of so many elements."""
GROUPED_EFFICIENT_FROM = (2, 14)
"""PyTorch whose memory-efficient attention takes grouped queries (pytorch#191085); before, the math kernel does."""


@dataclass(frozen=True, slots=True)
class Kind:
    """What decides how a device computes: "cuda" or "cpu", and CUDA's compute capability."""

    device: str
    capability: tuple[int, int] = (8, 0)

    @property
    def workspace(self) -> int:
        """Bytes that cuBLAS keeps for a thread."""
        if self.device != "cuda":
            return 0
        return CUBLAS_WORKSPACE_HOPPER if self.capability[0] == 9 else CUBLAS_WORKSPACE


class AsOn(TorchFunctionMode):
    """Computes as on `kind`, with autocast to `dtype` where autocast is in force."""

    def __init__(self, kind: Kind, dtype: torch.dtype | None) -> None:
        super().__init__()
        self._kind = kind
        self._cuda = kind.device == "cuda"
        self._dtype = dtype
        self._lower = LOWER_ON_CUDA if self._cuda else LOWER
        self._fp32 = FP32_ON_CUDA if self._cuda else FP32
        self._casts: dict[int, tuple[Any, Any]] = {}

    def forget_casts(self) -> None:
        """Autocast ends: the casts of weights that it kept are let go."""
        self._casts.clear()

    @contextmanager
    def again(self) -> Iterator[None]:
        """In force while a part of the model is computed again; an autocast of its own ends with it.

        Checkpointing ends it by an error, as soon as it has what it needs.
        """
        with self:
            try:
                yield
            finally:
                self.forget_casts()

    def __torch_function__(self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = getattr(func, "__name__", "")
        first = args[0] if args else None
        if not isinstance(first, torch.Tensor) or first.device.type != "meta":
            return func(*args, **kwargs)
        if self._dtype is not None and torch.is_autocast_enabled("cpu"):
            if name in self._lower:
                args = tuple(self._lowered(value) for value in args)
                kwargs = {key: self._lowered(value) for key, value in kwargs.items()}
            elif name in self._fp32:
                args = tuple(_raised(value) for value in args)
                kwargs = {key: _raised(value) for key, value in kwargs.items()}
            elif self._cuda and name in ("softmax", "log_softmax") and kwargs.get("dtype") is None and _half(first):
                kwargs = {**kwargs, "dtype": torch.float32}
        if name == "scaled_dot_product_attention":
            return self._attention(func, *args, **kwargs)
        if self._cuda and name in ("softmax", "log_softmax") and first.dtype is torch.float16:
            fused = _fused_softmax(name, args, kwargs)
            if fused is not None:
                return fused
        if self._cuda and name == "dropout" and not _given(args, kwargs, 3, "inplace", False):
            p, training = _given(args, kwargs, 1, "p", 0.5), _given(args, kwargs, 2, "training", True)
            return torch.native_dropout(first, p, True)[0] if training and p > 0 else func(*args, **kwargs)
        return func(*args, **kwargs)

    def _lowered(self, value: Any) -> Any:
        """As autocast does: float32 and other half precision to its dtype; casts of weights are kept till autocast ends."""
        if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.dtype in (self._dtype, torch.float64):
            return value
        kept = value.dtype is torch.float32 and value.requires_grad and value.is_leaf and not value._is_view()
        if not kept:
            return value.to(self._dtype)
        found = self._casts.get(id(value))
        if found is None or found[0] is not value:
            found = self._casts[id(value)] = (value, value.to(self._dtype))
        return found[1]

    def _attention(
        self,
        func: Any,
        query: Any,
        key: Any,
        value: Any,
        attn_mask: Any = None,
        dropout_p: float = 0.0,
        is_causal: bool = False,
        scale: float | None = None,
        enable_gqa: bool = False,
    ) -> Any:
        grouped = enable_gqa and query.shape[1] != key.shape[1]
        if not self._cuda:
            if dropout_p == 0.0 and not (attn_mask is not None and attn_mask.requires_grad):
                mask = _as_float(attn_mask, query.dtype)
                return aten._scaled_dot_product_flash_attention_for_cpu(
                    query, key, value, 0.0, is_causal, attn_mask=mask, scale=scale
                )[0]
        elif self._flash(query, attn_mask):
            padding = -query.shape[-1] % 8
            if padding:
                scale = scale if scale is not None else query.shape[-1] ** -0.5
                query, key, value = (torch.nn.functional.pad(part, (0, padding)) for part in (query, key, value))
            out = aten._scaled_dot_product_flash_attention(query, key, value, dropout_p, is_causal, False, scale=scale)[0]
            return out[..., : out.shape[-1] - padding] if padding else out
        elif self._efficient(query, grouped):
            mask = _aligned(_as_float(attn_mask, query.dtype), query, key)
            keeps = any(part.requires_grad for part in (query, key, value))
            return aten._scaled_dot_product_efficient_attention(
                query, key, value, mask, keeps, dropout_p, is_causal, scale=scale
            )[0]
        return func(
            query, key, value, attn_mask=attn_mask, dropout_p=dropout_p, is_causal=is_causal, scale=scale, enable_gqa=enable_gqa
        )

    def _flash(self, query: Any, mask: Any) -> bool:
        return mask is None and _half(query) and query.shape[-1] <= 256 and self._kind.capability >= (8, 0)

    def _efficient(self, query: Any, grouped: bool) -> bool:
        if grouped and _version() < GROUPED_EFFICIENT_FROM:
            return False
        return query.dtype is not torch.bfloat16 or self._kind.capability >= (8, 0)


def temporaries(kind: Kind) -> Any:
    """What kernels of `kind` take inside and give back; for a `Ledger`."""
    if kind.device != "cuda":
        return lambda func, args, out: ()
    flash = aten._scaled_dot_product_flash_attention_backward.default

    def taken(func: Any, args: tuple[Any, ...], out: Any) -> Iterable[int]:
        if func is not flash:
            return ()
        # dQ is summed up in float32, with one more float a query (`flash_api.cpp`, mha_bwd); grouped keys are expanded
        query, key = args[1], args[2]
        batch, heads, length, width = query.shape
        rows = -(-length // 128) * 128
        found = [batch * heads * rows * 4, batch * heads * rows * -(-width // 32) * 32 * 4]
        if key.shape[1] != heads:
            found += [batch * heads * key.shape[2] * width * key.element_size()] * 2
        return found

    return taken


def _version() -> tuple[int, int]:
    major, minor = torch.__version__.split(".")[:2]
    return int(major), int(minor)


def _half(tensor: Any) -> bool:
    return tensor.dtype in (torch.float16, torch.bfloat16)


def _raised(value: Any) -> Any:
    return value.float() if isinstance(value, torch.Tensor) and _half(value) else value


def _given(args: tuple[Any, ...], kwargs: dict[str, Any], at: int, name: str, default: Any) -> Any:
    return kwargs[name] if name in kwargs else args[at] if len(args) > at else default


def _fused_softmax(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """From float16 to float32 in one kernel (`SoftMax.cpp`); None where that is not asked for."""
    if kwargs.get("dtype") is not torch.float32:
        return None
    dim = _given(args, kwargs, 1, "dim", -1)
    return (torch._softmax if name == "softmax" else torch._log_softmax)(args[0], dim, True)


def _as_float(mask: Any, dtype: torch.dtype) -> Any:
    """A mask of booleans becomes one of numbers, once for each call (`convert_boolean_attn_mask`)."""
    if mask is None or mask.dtype is not torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=dtype).masked_fill_(mask.logical_not(), float("-inf"))


def _aligned(mask: Any, query: Any, key: Any) -> Any:
    """Masks whose rows are not aligned are copied into longer ones (`pad_bias`), and all are expanded to every head."""
    if mask is None:
        return None
    length = mask.shape[-1]
    if length % EFFICIENT_ATTENTION_ALIGNS:
        mask = torch.nn.functional.pad(mask, (0, -length % EFFICIENT_ATTENTION_ALIGNS))[..., :length]
    return mask.expand(query.shape[0], query.shape[1], query.shape[2], key.shape[2])
