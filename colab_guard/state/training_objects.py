"""Reducers for torch's training objects: optimizers with their hooks, schedulers' wrapped steps, gradient scalers.

`Optimizer.__getstate__` drops hooks, so optimizers travel by their attributes. A scheduler puts a wrapper of its own in
the place of `optimizer.step`, by which it knows that the optimizer stepped first; a wrapper alike is made for the
restored optimizer.
"""

from __future__ import annotations

import functools
import sys
import weakref
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from colab_guard.state import modules

if TYPE_CHECKING:
    from colab_guard.state.pickler import GraphPickler

WRAPPED = "_wrapped_by_lr_sched"
PARAMETRIZE = "torch.nn.utils.parametrize"


def name_module(pickler: GraphPickler, module: Any) -> Any:
    """A module travels as any object; its parts get their names for those who look at buffers."""
    _name_parts(pickler, module)
    if type(module).__module__ == PARAMETRIZE and type(module).__name__.startswith("Parametrized"):
        made = (type(module).__bases__[0], tuple(module._modules["parametrizations"]._modules))
        return rebuild_parametrized, made, dict(module.__dict__), None, None, set_attributes
    if "_flat_weight_refs" in module.__dict__:  # a recurrent module makes these anew, and so at another place
        return rebuild_plain, (type(module),), dict(module.__dict__), None, None, set_attributes
    parts = modules.parts_alone(module.__dict__, held=pickler.walked) if modules.is_plain(type(module)) else None
    if parts is None:
        return NotImplemented
    return rebuild_plain, (type(module),), (parts.names, parts.made, parts.rest(module.__dict__)), None, None, set_module


def _name_parts(pickler: GraphPickler, module: Any) -> None:
    if path := pickler.label(module):
        for parts in (module._parameters, module._buffers, module._modules):
            for name, part in parts.items():
                if part is not None:
                    pickler.name(part, f"{path}.{name}")


def set_module(module: Any, state: tuple[tuple[str, ...], Any, tuple[Any, ...]]) -> None:
    """Attributes in their order; the empty containers, which nobody else knew, are made anew."""
    names, empty, values = state
    # older snapshots name those of hooks alone
    made = dict.fromkeys(empty, OrderedDict) if isinstance(empty, frozenset) else dict(empty)
    others = iter(values)
    module.__setstate__({name: made[name]() if name in made else next(others) for name in names})


def rebuild_parametrized(cls: Any, names: tuple[str, ...]) -> Any:
    """A module under `torch.nn.utils.parametrize`: each has a class of its own, which torch refuses to pickle."""
    from torch.nn.utils import parametrize

    module = cls.__new__(cls)
    parametrize._inject_new_class(module)
    for name in names:
        parametrize._inject_property(module, name)
    return module


def reduce_wrapped_hook(pickler: GraphPickler, hook: Any) -> Any:
    """With all its attributes: torch keeps those only that it calls the hook by."""
    return rebuild_plain, (type(hook),), dict(hook.__dict__), None, None, set_attributes


def reduce_handle(pickler: GraphPickler, handle: Any) -> Any:
    """A handle that removes a hook: torch's own way back fails where what it refers to is gone."""
    hooks, more = handle.hooks_dict_ref(), [reference() for reference in getattr(handle, "extra_dict_ref", ())]
    return rebuild_plain, (type(handle),), (hooks, more, handle.id), None, None, set_handle


def set_handle(handle: Any, state: tuple[Any, list[Any], int]) -> None:
    hooks, more, number = state
    handle.hooks_dict_ref, handle.id = _weakly(hooks), number
    handle.extra_dict_ref = tuple(map(_weakly, more))


def _weakly(hooks: Any) -> weakref.ref[Any]:
    return weakref.ref(OrderedDict() if hooks is None else hooks)


def reduce_optimizer(pickler: GraphPickler, optimizer: Any) -> Any:
    pickler.optimizers.append(optimizer)
    path = pickler.label(optimizer)
    if path and not pickler.is_ahead(optimizer.state):
        name_moments(pickler, f"{path}.state", optimizer.state)
    attributes = dict(optimizer.__dict__)
    return rebuild_optimizer, (type(optimizer),), attributes, None, None, set_attributes


def name_moments(pickler: GraphPickler, path: str, states: Any) -> None:
    """What optimizers remember of each parameter gets its names for those who look at buffers."""
    for number, (parameter, state) in enumerate(states.items()):
        whose = pickler.label(parameter) or number
        for name, value in state.items() if isinstance(state, dict) else ():
            pickler.name(value, f"{path}[{whose}].{name}")


def rebuild_optimizer(cls: Any) -> Any:
    optimizer = cls.__new__(cls)
    # step hooks are run by a wrapper that the first instance puts on the class
    optimizer._patch_step_function()
    return optimizer


def set_attributes(instance: Any, state: dict[str, Any]) -> None:
    # making it may have set some already; they are to stand in their order
    instance.__dict__.clear()
    instance.__dict__.update(state)


def stepping_optimizer(function: Any) -> Any:
    """The optimizer whose `step` a scheduler has wrapped in `function`, or None."""
    if not getattr(function, WRAPPED, False) or not function.__closure__:
        return None
    contents = (cell.cell_contents for cell in function.__closure__)
    return next((content() for content in contents if isinstance(content, weakref.ref)), None)


def rebuild_counted_step(optimizer: Any) -> Any:
    """`optimizer.step` as `LRScheduler.__init__` wraps it."""
    reference, plain = weakref.ref(optimizer), type(optimizer).step

    @functools.wraps(plain)
    def wrapper(*args: Any, **kwargs: Any) -> Any:
        stepping: Any = reference()
        stepping._opt_called = True
        return plain.__get__(stepping, type(stepping))(*args, **kwargs)

    setattr(wrapper, WRAPPED, True)
    return wrapper


def reduce_scaler(pickler: GraphPickler, scaler: Any) -> Any:
    """By attributes: `GradScaler.__getstate__` turns the scale into a number and forgets the tensor."""
    attributes = dict(scaler.__dict__)
    if attributes.get("_per_optimizer_states"):
        pickler.lose(scaler, "a GradScaler between unscale_() and update() knows its optimizers by address")
    return rebuild_plain, (type(scaler),), attributes, None, None, set_attributes


def reduce_scripted(pickler: GraphPickler, function: Any) -> Any:
    """A TorchScript function: by the name that an earlier cell gave it, or compiled again from its source."""
    from colab_guard.state import functions
    from colab_guard.state.things import CannotKeep

    if pickler.live.is_by_name(function):
        return functions.by_name, (function.__qualname__,)
    plain = getattr(function, "_torchdynamo_inline", None)
    if plain is None:
        raise CannotKeep("a TorchScript function without its source cannot be kept; make it in an earlier cell")
    return rebuild_scripted, (plain,)


def rebuild_scripted(plain: Any) -> Any:
    import torch

    return torch.jit.script(plain)


def rebuild_plain(cls: Any) -> Any:
    return cls.__new__(cls)


def next_hook_id() -> int | None:
    """The number of the next hook in this process: hooks registered later must not take the place of restored ones."""
    hooks: Any = sys.modules.get("torch.utils.hooks")
    return None if hooks is None else int(hooks.RemovableHandle.next_id)


def raise_hook_id(number: int | None) -> None:
    if number is not None:
        import torch.utils.hooks as hooks

        hooks.RemovableHandle.next_id = max(hooks.RemovableHandle.next_id, number)
