"""A look at a part of the graph that is much cheaper than pickling it, and tells whether its pickle would be the same.

The look walks all that the pickler would walk and writes what it finds into a flat list: types, keys, plain values,
what tensors are like (not what their memory holds, which is copied anew every time), and for what was met before its
number. Equal lists mean graphs of equal shape and values, in which everything stands for its counterpart, so that the
pickle of the one is a pickle of the other. Nothing of the user's is held between two looks. An object whose pickling
depends on more than is known here ends the look: `Unknown`.
"""

from __future__ import annotations

import enum
import functools
import sys
import types
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from colab_guard.state import functions, instances, modules, things, training_objects
from colab_guard.state.pointers import is_among

if TYPE_CHECKING:
    from colab_guard.state.pickler import Reducing

AGAIN, FLOAT, GLOBAL, BY_NAME, TENSOR, GRAD, END = (object() for _ in range(7))
MOST_OBJECTS = 200_000
CONSTANTS = ("torch.dtype", "torch.device", "torch.Size", "torch.layout", "torch.memory_format")
_PLAIN: Any = object
Feed = Callable[["Look", Any], None]


class Unknown(Exception):
    """Something was met of which more than is looked at may change; the text names its type."""


class Look:
    """One walk. `tokens` is what was found, `nodes` every object with an identity, in the order in which it was met."""

    def __init__(self, pickler: Reducing, plain: dict[type, bool]) -> None:
        self.plain = plain
        """What was found of classes: whether their instances are taken apart as Python does it by itself."""
        self.tokens: list[Any] = []
        self.nodes: list[Any] = []
        self.tensors: list[int] = []
        """The numbers of the nodes that are tensors."""
        self.classes: set[type] = set()
        self._pickler = pickler
        self._seen: dict[int, int] = {}
        self._taken: list[tuple[Any, ...]] = []
        """Nodes ahead of all others, which `_seen` lacks as long as nobody asks for more than whether one is among them."""

    def look_at(self, root: Any) -> None:
        """Walk all that `root` leads to; raises Unknown."""
        self._catch_up()
        self.feed(root)
        if len(self._seen) != len(self.nodes):  # an object that was taken for new had been met
            raise Unknown("a dictionary of attributes, or of hooks, that several hold")

    def feed(self, thing: Any) -> None:
        kind = type(thing)
        if kind is str or thing is None or kind is bool:
            self.tokens.append(thing)
            return
        if kind is int or kind is bytes:
            self.tokens += (kind, thing)
            return
        if kind is float:
            self.tokens += (FLOAT, thing.hex())  # -0.0 equals 0.0, and nan nothing
            return
        number = self._seen.get(id(thing))
        if number is not None:
            self.tokens += (AGAIN, number)
            return
        self._seen[id(thing)] = len(self.nodes)
        self.nodes.append(thing)
        if len(self.nodes) > MOST_OBJECTS:
            raise Unknown("very many objects")
        feed_of(kind)(self, thing)

    def items(self, mapping: dict[Any, Any]) -> None:
        tokens, feed = self.tokens, self.feed
        tokens.append(len(mapping))
        for key, value in mapping.items():
            if type(key) is str:
                tokens.append(key)
            else:
                feed(key)
            if value is None or value is True or value is False or type(value) is str:
                tokens.append(value)
            else:
                feed(value)

    def new(self, parts: Sequence[Any]) -> None:
        """Objects that were not met before; whether that is true is looked at when the walk has ended."""
        at = len(self.nodes)
        self.nodes += parts
        self._seen.update(zip(map(id, parts), range(at, len(self.nodes)), strict=True))

    def has(self, thing: Any) -> bool:
        """Whether `thing` was met."""
        return id(thing) in self._seen or any(is_among(thing, nodes) for nodes in self._taken)

    def has_any(self, addresses: set[int]) -> bool:
        """Whether an object at one of these addresses was met."""
        self._catch_up()
        return not addresses.isdisjoint(self._seen)

    def number_of(self, thing: Any) -> int | None:
        self._catch_up()
        return self._seen.get(id(thing))

    def another(self) -> Look:
        """A look of its own in the same graph, which has met nothing."""
        return Look(self._pickler, self.plain)

    def take(self, nodes: tuple[Any, ...], tensors: Sequence[int], classes: Sequence[type]) -> None:
        """As if it had met these nodes, and nothing but such before; some (by their numbers among them) are tensors."""
        at = len(self.nodes)
        self._taken.append(nodes)
        self.nodes += nodes
        self.tensors += [at + number for number in tensors]
        self.classes.update(classes)

    def _catch_up(self) -> None:
        if self._taken:
            self._taken = []
            self._seen = dict(zip(map(id, self.nodes), range(len(self.nodes)), strict=True))


def _dict(look: Look, thing: dict[Any, Any]) -> None:
    if thing is look._pickler.live.namespace:
        raise Unknown("the notebook's namespace")
    look.tokens.append(dict)
    look.items(thing)


def _ordered(look: Look, thing: Any) -> None:
    look.tokens.append(OrderedDict)
    if things.attributes_of_ordered(thing):
        raise Unknown("an OrderedDict with attributes")
    if thing:
        look.items(thing)
    else:
        look.tokens.append(0)


def _defaultdict(look: Look, thing: Any) -> None:
    look.tokens.append(defaultdict)
    look.feed(thing.default_factory)
    look.items(thing)


def _sequence(look: Look, thing: Any) -> None:
    look.tokens += (type(thing), len(thing))
    for item in thing:
        look.feed(item)


def _set(look: Look, thing: Any) -> None:
    look.tokens += (type(thing), len(thing))
    for item in thing:
        if type(item) is not str and type(item) is not int:
            raise Unknown("a set of objects")
        look.feed(item)


def _instance(look: Look, thing: Any) -> None:
    kind = type(thing)
    if kind not in look.classes:
        _check_plain(look, kind)
    _class(look, kind)
    attributes = getattr(thing, "__dict__", None)
    if attributes is None:
        raise Unknown(f"an instance of {kind.__qualname__}, which has no attributes")
    look.new((attributes,))
    look.items(attributes)


def _check_plain(look: Look, kind: type) -> None:
    plain = look.plain.get(kind)
    if plain is None:
        plain = _is_plain(kind, look._pickler)
        if functions.importable(kind):  # others may be the user's, who may change them, or lead to the user's objects
            look.plain[kind] = plain
    if not plain:
        raise Unknown(f"{kind.__module__}.{kind.__qualname__}")


def _module(look: Look, thing: Any) -> None:
    """An instance with many containers of its own, which are nearly always empty: those are looked at all at once."""
    attributes = thing.__dict__
    parts = modules.parts_alone(attributes, held=1)
    if parts is None:
        _instance(look, thing)
        return
    kind = type(thing)
    if kind not in look.classes:
        _check_plain(look, kind)
    _class(look, kind)
    look.new((attributes,))
    tokens = look.tokens
    tokens += (parts.names, parts.made)
    for value in parts.rest(attributes):
        if value is None or value is True or value is False or type(value) is str:
            tokens.append(value)
        else:
            look.feed(value)


def _class(look: Look, thing: type) -> None:
    """Classes are told by where they are found; one that travels by value may change in any way."""
    if thing in look.classes:
        look.tokens.append(thing)
        return
    look.classes.add(thing)
    if thing.__module__ == "__main__":
        if not look._pickler.live.is_by_name(thing):
            raise Unknown(f"the class {thing.__qualname__} of the cell")
    elif not functions.importable(thing):
        raise Unknown(f"the class {thing.__qualname__}")
    look.tokens += (thing, thing.__module__, thing.__qualname__)


def _function(look: Look, thing: Any) -> None:
    if functions.importable(thing):
        look.tokens += (GLOBAL, thing.__module__, thing.__qualname__)
    elif thing.__globals__ is look._pickler.live.namespace and look._pickler.live.is_by_name(thing):
        look.tokens += (BY_NAME, thing.__qualname__)
    else:
        raise Unknown(f"the function {thing.__qualname__}()")


def _builtin(look: Look, thing: Any) -> None:
    if isinstance(thing.__self__, types.ModuleType) or thing.__self__ is None:
        look.tokens += (GLOBAL, thing.__module__, thing.__qualname__, thing.__name__)
        return
    raise Unknown("a method of a built-in object")


def _method(look: Look, thing: Any) -> None:
    look.tokens.append(types.MethodType)
    look.feed(thing.__func__.__name__)
    look.feed(thing.__self__)
    if getattr(type(thing.__self__), thing.__func__.__name__, None) is not thing.__func__:
        raise Unknown("a method under another name")


def _partial(look: Look, thing: Any) -> None:
    look.tokens.append(functools.partial)
    for part in (thing.func, thing.args, thing.keywords, thing.__dict__):
        look.feed(part)


def _constant(look: Look, thing: Any) -> None:
    look.tokens += (type(thing), thing)


def _tensor(look: Look, tensor: Any) -> None:
    torch = sys.modules["torch"]
    if not tensor.is_leaf or tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise Unknown("a tensor with history, or of a special kind")
    if tensor._backward_hooks or getattr(tensor, "_post_accumulate_grad_hooks", None):
        raise Unknown("a tensor with hooks")
    look.tensors.append(len(look.nodes) - 1)
    look.tokens += (
        TENSOR,
        type(tensor),
        tensor.dtype,
        tensor.shape,
        tensor.stride(),
        tensor.storage_offset(),
        tensor.device,
        tensor.requires_grad,
        tensor.is_conj(),
        tensor.is_neg(),
    )
    if tensor.__dict__:
        look.items(tensor.__dict__)
    if tensor.grad is not None:
        look.tokens.append(GRAD)
        look.feed(tensor.grad)
    look.tokens.append(END)


def feed_of(kind: type) -> Feed:
    """How objects of this type are looked at."""
    feed = FEEDS.get(kind)
    if feed is None:
        feed = _choose(kind)
        if functions.importable(kind):
            FEEDS[kind] = feed
    return feed


def _choose(kind: type) -> Feed:
    name = f"{kind.__module__}.{kind.__qualname__}"
    if name in ("torch.Tensor", "torch.nn.parameter.Parameter"):
        return _tensor
    if name in CONSTANTS or issubclass(kind, enum.Enum):
        return _constant
    torch = sys.modules.get("torch.nn.modules.module")
    return _module if torch is not None and issubclass(kind, torch.Module) else _instance


def _is_plain(kind: type, pickler: Reducing) -> bool:
    """Whether instances travel as Python does it by itself: their class, and the dictionary of their attributes."""
    ways = ("__getstate__", "__getnewargs__", "__getnewargs_ex__")
    module: Any = sys.modules.get("torch.nn.modules.module")
    # torch's leaves out what it has compiled, and gives the rest of the attributes
    alike = () if module is None else (module.Module.__dict__.get("__getstate__"),)
    return (
        kind.__reduce_ex__ is _PLAIN.__reduce_ex__
        and kind.__reduce__ is _PLAIN.__reduce__
        and all((found := getattr(kind, way, None)) is getattr(object, way, None) or found in alike for way in ways)
        and not any(vars(base).get("__slots__") for base in kind.__mro__)
        and kind.__basicsize__ <= _Empty.__basicsize__
        and kind.__itemsize__ == 0
        and kind not in pickler.dispatch_table
        and pickler.reducer_of(kind) in (None, training_objects.name_module, *instances.BY_ATTRIBUTES)
        and not instances.asks_when_looked_at(kind)
    )


class _Empty:
    pass


FEEDS: dict[type, Feed] = {
    dict: _dict,
    OrderedDict: _ordered,
    defaultdict: _defaultdict,
    list: _sequence,
    tuple: _sequence,
    set: _set,
    frozenset: _set,
    type: _class,
    types.FunctionType: _function,
    types.BuiltinFunctionType: _builtin,
    types.MethodType: _method,
    functools.partial: _partial,
}
OF_INSTANCES = (_instance, _module)
OF_DEFINITIONS = (_class, _function, _builtin)
of_module, of_tensor, of_constant, tell_class = _module, _tensor, _constant, _class
