"""Reducers for tensors: over shared storages, with gradients, hooks and attributes; generators; spent autograd graphs.

`Tensor.__reduce_ex__` drops gradients and hooks and unshares storages with numpy, so tensors are reduced by their parts
here. A tensor with history comes back as its value; whether that is allowed depends on whether a backward pass through
it is still to come (`graph_is_unspent`).
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from colab_guard.state.blocks import MAPPED
from colab_guard.state.things import CannotKeep

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

GRAPH_LIMIT = 20_000
SAVED_NAMES: dict[type, tuple[str, ...]] = {}
HOOKS = ("_backward_hooks", "_post_accumulate_grad_hooks")


def reduce_tensor(pickler: GraphPickler, tensor: Any) -> Any:
    import torch

    if not tensor.is_leaf:
        _check_graph(pickler, tensor)
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        return _reduce_by_torch(tensor)
    value = tensor.detach()
    conjugate, negative = value.is_conj(), value.is_neg()
    if negative:
        value = torch._neg_view(value)
    if conjugate:
        value = value.conj()
    storage = value.untyped_storage()
    block = pickler.blocks.at(str(storage.device), storage.data_ptr(), storage.nbytes(), storage, torch=True, tensor=tensor)
    label = pickler.label(tensor)
    shape, stride = tuple(value.shape), tuple(value.stride())
    block.describe(label, str(value.dtype).removeprefix("torch."), shape, stride)
    if label and tensor.is_leaf and tensor.grad is not None:
        pickler.name(tensor.grad, f"{label}.grad")
    where = (block, value.dtype, value.storage_offset(), shape, stride)
    made = (where, tensor.requires_grad and tensor.is_leaf, type(tensor), conjugate, negative)
    return rebuild_tensor, made, _extras(tensor), None, None, set_tensor


def _check_graph(pickler: GraphPickler, tensor: Any) -> None:
    """Refuse a graph that is still to be used; where nothing seems to ask for gradients, say once that graphs are dropped."""
    if pickler.live.differentiates:
        if graph_is_unspent(tensor):
            pickler.lose(tensor, "it is part of an autograd graph whose backward pass is still to come")
    elif not pickler.graphs_dropped and graph_is_unspent(tensor):
        from colab_guard.state.pickler import Placeholder

        pickler.graphs_dropped = True
        why = "it is kept as a value, since no code of the cell asks for gradients"
        pickler.placeholders.append(Placeholder(f"the autograd graph of {pickler.label(tensor) or 'tensors'}", "torch.Tensor", why))


def _reduce_by_torch(tensor: Any) -> Any:
    """Sparse, quantized and meta tensors: torch knows how, given one without history, gradient and hooks."""
    import torch

    if tensor.is_quantized:
        bare = tensor.detach()
        made = (bare.int_repr(), bare.q_scale(), bare.q_zero_point(), bare.dtype) if _per_tensor(bare) else None
        if made is None:
            return NotImplemented
        return rebuild_quantized, made, _extras(tensor), None, None, set_tensor
    bare = tensor.detach()
    function, arguments = torch.Tensor.__reduce_ex__(bare, 5)
    made_by = (function, arguments, tensor.requires_grad and tensor.is_leaf, type(tensor))
    return rebuild_by_torch, made_by, _extras(tensor), None, None, set_tensor


def _per_tensor(tensor: Any) -> bool:
    import torch

    return bool(tensor.qscheme() == torch.per_tensor_affine)


def rebuild_quantized(values: Any, scale: float, zero_point: int, dtype: Any) -> Any:
    import torch

    with warnings.catch_warnings():
        # newer versions of torch announce the end of quantized tensors at each one that is made
        warnings.simplefilter("ignore", UserWarning)
        return torch._make_per_tensor_quantized_tensor(values, scale, zero_point)


def rebuild_by_torch(function: Any, arguments: Any, requires_grad: bool, cls: Any) -> Any:
    return _dressed(function(*arguments), requires_grad, cls)


def _extras(tensor: Any) -> dict[str, Any] | None:
    state: dict[str, Any] = {}
    if (tensor.is_leaf or tensor.retains_grad) and tensor.grad is not None:
        state["grad"] = _fitting(tensor, tensor.grad)
    if attributes := getattr(tensor, "__dict__", None):
        state["attributes"] = dict(attributes)
    # the hooks' own dictionaries travel: handles that remove a hook refer to them. A spent graph's never run again
    if tensor.is_leaf:
        state.update((name, hooks) for name in HOOKS if (hooks := getattr(tensor, name, None)))
    return state or None


def _fitting(tensor: Any, gradient: Any) -> Any:
    """The gradient, if torch would take it: a tensor may have been given other data since."""
    if (gradient.shape, gradient.dtype, gradient.device) != (tensor.shape, tensor.dtype, tensor.device):
        raise CannotKeep("its gradient is of another shape, dtype or device than itself; set .grad = None where its data is exchanged")
    return gradient


def rebuild_tensor(where: tuple[Any, ...], requires_grad: bool, cls: Any, conjugate: bool, negative: bool) -> Any:
    import torch

    block, dtype, offset, size, stride = where
    storage = block.storage
    nbytes = storage.nbytes()
    tensor = torch.empty(0, dtype=dtype, device=storage.device).set_(storage, offset, size, stride)
    if storage.nbytes() != nbytes:
        storage.resize_(nbytes)  # freed under the tensor, which kept its shape
    if conjugate:
        tensor = tensor.conj()
    if negative:
        tensor = torch._neg_view(tensor)
    return _dressed(tensor, requires_grad, cls)


def _dressed(tensor: Any, requires_grad: bool, cls: Any) -> Any:
    import torch

    if cls is torch.nn.Parameter:
        return torch.nn.Parameter(tensor, requires_grad=requires_grad)
    if cls is not torch.Tensor:
        return torch.Tensor._make_subclass(cls, tensor, requires_grad)
    return tensor.requires_grad_(True) if requires_grad else tensor


def set_tensor(tensor: Any, state: dict[str, Any]) -> None:
    if "grad" in state:
        tensor.grad = state["grad"]
    tensor.__dict__.update(state.get("attributes", {}))
    for name in HOOKS:
        if name in state:
            setattr(tensor, name, state[name])


def graph_is_unspent(tensor: Any) -> bool:
    """Whether a backward pass through `tensor` could still be asked for.

    One freed node is enough to make it impossible: `total = total + loss * n` after `loss.backward()` has fresh nodes
    on top of freed ones.
    """
    todo: list[Any] = [tensor.grad_fn]
    seen: set[Any] = set()
    while todo and len(seen) < GRAPH_LIMIT:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if _freed(node):
            return False
        todo.extend(next_node for next_node, _ in node.next_functions)
    return True


def _freed(node: Any) -> bool:
    """Whether what the node had saved for a backward pass is gone."""
    kind = type(node)
    names = SAVED_NAMES.get(kind)
    if names is None:
        found = tuple(name for name in dir(kind) if name.startswith("_saved_") or name == "saved_tensors")
        names = SAVED_NAMES[kind] = found
    for name in names:
        if _is_hooked(getattr(node, f"_raw{name}", None)):
            # reading it would run the user's unpack hook; gradient checkpointing computes a forward pass there
            continue
        try:
            getattr(node, name)
        except RuntimeError:
            return True
    return False


def _is_hooked(raw: Any) -> bool:
    saved = raw if isinstance(raw, (tuple, list)) else (raw,)
    return any(getattr(item, "unpack_hook", None) is not None for item in saved)


def reduce_storage(pickler: GraphPickler, storage: Any) -> Any:
    block = pickler.blocks.at(str(storage.device), storage.data_ptr(), storage.nbytes(), storage, torch=True)
    block.describe(pickler.label(storage), "uint8", (storage.nbytes(),), (1,))
    return rebuild_storage, (block,)


def rebuild_storage(block: Any) -> Any:
    return block.storage


def reduce_generator(pickler: GraphPickler, generator: Any) -> Any:
    import torch

    if generator is torch.default_generator:
        return getattr, (torch, "default_generator")
    return rebuild_generator, (str(generator.device),), generator.get_state(), None, None, set_generator


def rebuild_generator(device: str) -> Any:
    import torch

    return torch.Generator(device=MAPPED.get(device, device))


def set_generator(generator: Any, state: Any) -> None:
    if MAPPED and state.numel() != generator.get_state().numel():
        # another device's kind of state: a sequence of its own, the same each time
        generator.manual_seed(int.from_bytes(bytes(state[:8].tolist()), "little"))
        return
    generator.set_state(state)
