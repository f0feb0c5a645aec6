"""Reducers for torch: tensors over shared storages, gradients and hooks, generators, optimizers.

`Tensor.__reduce_ex__` drops gradients and hooks and unshares storages; `Optimizer.__getstate__` drops hooks. Both are
reduced by their parts here. A tensor with history comes back as its value; whether that is allowed depends on whether
a backward pass through it is still to come (`graph_is_unspent`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

GRAPH_LIMIT = 20_000


def reduce_tensor(pickler: GraphPickler, tensor: Any) -> Any:
    import torch

    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.device.type == "meta":
        return NotImplemented
    if tensor.is_conj() or tensor.is_neg():
        tensor = tensor.resolve_conj().resolve_neg()
    if not tensor.is_leaf and graph_is_unspent(tensor):
        pickler.lose(tensor, "it is part of an autograd graph whose backward pass is still to come")
    storage = tensor.untyped_storage()
    block = pickler.blocks.at(str(storage.device), storage.data_ptr(), storage.nbytes(), storage)
    block.torch = True
    if not block.shape:
        block.dtype, block.shape, block.stride = str(tensor.dtype), tuple(tensor.shape), tuple(tensor.stride())
    offset = (storage.data_ptr() - block.address) // max(tensor.element_size(), 1) + tensor.storage_offset()
    state: dict[str, Any] = {}
    if (tensor.is_leaf or tensor.retains_grad) and tensor.grad is not None:
        state["grad"] = tensor.grad
    if attributes := dict(getattr(tensor, "__dict__", None) or {}):
        state["attributes"] = attributes
    if hooks := list((tensor._backward_hooks or {}).values()):
        state["hooks"] = hooks
    if hooks := list((getattr(tensor, "_post_accumulate_grad_hooks", None) or {}).values()):
        state["accumulated"] = hooks
    requires_grad = tensor.requires_grad and tensor.is_leaf
    where = (block, tensor.dtype, offset, tuple(tensor.size()), tuple(tensor.stride()), requires_grad, type(tensor))
    return (rebuild_tensor, where, state or None, None, None, set_tensor)


def rebuild_tensor(
    block: Any, dtype: Any, offset: int, size: tuple[int, ...], stride: tuple[int, ...], requires_grad: bool, cls: Any
) -> Any:
    import torch

    tensor = torch.empty(0, dtype=dtype, device=block.storage.device).set_(block.storage, offset, size, stride)
    if issubclass(cls, torch.nn.Parameter):
        return cls(tensor, requires_grad=requires_grad)
    if cls is not torch.Tensor:
        tensor = tensor.as_subclass(cls)
    return tensor.requires_grad_(True) if requires_grad else tensor


def set_tensor(tensor: Any, state: dict[str, Any]) -> None:
    if "grad" in state:
        tensor.grad = state["grad"]
    tensor.__dict__.update(state.get("attributes", {}))
    for hook in state.get("hooks", ()):
        tensor.register_hook(hook)
    for hook in state.get("accumulated", ()):
        tensor.register_post_accumulate_grad_hook(hook)


def graph_is_unspent(tensor: Any) -> bool:
    """Whether a backward pass through `tensor` could still be asked for: nothing of its graph has been freed."""
    todo, seen, freed = [tensor.grad_fn], set(), False
    while todo and len(seen) < GRAPH_LIMIT:
        node = todo.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        kept = _saved(node)
        if kept is True:
            return True
        freed = freed or kept is False
        todo.extend(next_node for next_node, _ in node.next_functions)
    return not freed


def _saved(node: Any) -> bool | None:
    """True: the node still holds tensors for a backward pass; False: they were freed; None: it never needs any."""
    for name in dir(node):
        if not name.startswith("_saved_") and name != "saved_tensors":
            continue
        try:
            value = getattr(node, name)
        except RuntimeError:
            return False
        values = value if isinstance(value, (tuple, list)) else (value,)
        if any(hasattr(item, "untyped_storage") for item in values):
            return True
    return None


def reduce_generator(pickler: GraphPickler, generator: Any) -> Any:
    return rebuild_generator, (str(generator.device), generator.get_state())


def rebuild_generator(device: str, state: Any) -> Any:
    import torch

    generator = torch.Generator(device=device)
    generator.set_state(state)
    return generator


def reduce_optimizer(pickler: GraphPickler, optimizer: Any) -> Any:
    return new_instance, (type(optimizer),), dict(optimizer.__dict__), None, None, set_attributes


def new_instance(cls: type) -> Any:
    return cls.__new__(cls)


def set_attributes(instance: Any, state: dict[str, Any]) -> None:
    instance.__dict__.update(state)
