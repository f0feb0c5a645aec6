"""Whether a part of the graph is still what a look at it had found, told without walking it again object by object.

A look takes apart some ten thousand objects of a model, in Python. Most are the same objects at the next capture, and
that can be proved in a few passes of C over all of them at once:

1. Modules, tensors, functions and classes are referred to weakly: a reference that still leads to an object, whose
   address stands where it stood, proves that it is the same object. Numbers, texts and constants are held.
2. Of each container, type, length, keys and items are compared by address: one that was made anew is no change by itself.
   Dictionaries that were not written to since have the versions that they had, where Python counts these (`words`).
3. What a tensor is like (dtype, shape, place in memory, gradient) is asked of every tensor. Gradients may be new objects
   each time; they must be alike, and be met nowhere else.

Where anything differs, whoever asks has to look again. Equal addresses mean equal sharing, so that the numbers which
the look gave to objects stay theirs. Nothing of the user's is kept alive between two captures.
"""

from __future__ import annotations

import operator
import sys
import weakref
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from colab_guard.state import look as looks
from colab_guard.state import modules, things
from colab_guard.state.levels import CONTAINERS, Level, NoRecheck, Others, Tables, parted
from colab_guard.state.likeness import Likeness
from colab_guard.state.look import Look, Unknown, feed_of
from colab_guard.state.pointers import Getter, addresses_of, getter

ATOMS = frozenset({str, int, float, bytes, bool, type(None)})
HELD_BY_LOOK = 2
"""References to what a look has found, while a recheck is made of it: the look's, and one here."""
DEEPEST = 40
"""Containers in containers; more is left to the look."""

_attributes = operator.attrgetter("__dict__")
_gradient = operator.attrgetter("grad")


@dataclass(slots=True)
class Recheck:
    """What one part of the graph consisted of; made by `recheck_of`, compared by `nodes`."""

    weak: list[weakref.ref[Any]]
    """Instances, tensors and definitions, in this order."""
    instances: int
    tensors: int
    places: bytes
    """Their addresses."""
    outer: bytes
    """Those of the containers that are met first."""
    kinds: list[type]
    """Of the instances."""
    likeness: Likeness
    graded: list[int]
    """Which of the tensors have a gradient."""
    gradients: Likeness
    """Of these."""
    levels: list[list[Level]]
    """From the containers that are met first inwards."""
    definitions: list[Any]
    constants: list[Any]
    atoms: list[Any]
    """Numbers and texts, held so that their addresses stay theirs."""
    order: Getter
    tensor_nodes: list[int]
    classes: list[type]

    def nodes(self, root: Any, look: Look) -> tuple[Any, ...] | None:
        """The look's nodes of this part, in their order, if all is as it was; else None."""
        weak = tuple(map(operator.call, self.weak))
        if addresses_of(weak) != self.places:  # those that are gone give None
            return None
        instances, tensors = weak[: self.instances], weak[self.instances : self.instances + self.tensors]
        if list(map(type, instances)) != self.kinds or not self.likeness.is_of(tensors):
            return None
        if type(root) not in CONTAINERS and (not instances or instances[0] is not root):
            return None
        outermost = _outermost(root, instances, tensors)
        if addresses_of(tuple(outermost)) != self.outer:
            return None
        found = self._containers(outermost)
        gradients = self._gradients(tensors, look)
        definitions = [*self.classes, *weak[self.instances + self.tensors :]]
        if found is None or gradients is None or _told(definitions, look) != self.definitions:
            return None
        return self.order([*weak, *self.constants, *gradients, *found])

    def _containers(self, containers: list[Any]) -> list[Any] | None:
        found = list(containers)
        for levels in self.levels:
            inwards: list[Any] = []
            for alike, level in levels:
                inner = level.inner_of(alike(containers))
                if inner is None:
                    return None
                inwards += inner
            containers = inwards
            found += containers
        return None if _have_attributes(found) else found

    def _gradients(self, tensors: Sequence[Any], look: Look) -> list[Any] | None:
        every = list(map(_gradient, tensors))
        places = [place for place, gradient in enumerate(every) if gradient is not None]
        found = [every[place] for place in places]
        new = set(map(id, found))
        if places != self.graded or not self.gradients.is_of(found) or len(new) != len(found):
            return None
        if found and (look.has_any(new) or not new.isdisjoint(map(id, tensors)) or _have_more(found)):
            return None
        return found


def _outermost(root: Any, instances: Sequence[Any], tensors: Sequence[Any]) -> list[Any]:
    """The containers that are met first; which tensors have attributes their likeness tells."""
    outer = [*map(_attributes, instances), *filter(None, map(_attributes, tensors))]
    return [*outer, root] if type(root) in CONTAINERS else outer


def _are_swapped() -> bool:
    """Whether torch exchanges parameters' contents where modules move, which it refuses for tensors that are referred to weakly."""
    future = getattr(sys.modules["torch"], "__future__", None)
    asked = getattr(future, "get_swap_module_params_on_conversion", None)
    return asked is not None and bool(asked())


def _have_attributes(containers: Sequence[Any]) -> bool:
    return any(map(things.attributes_of_ordered, (one for one in containers if type(one) is OrderedDict)))


def _have_more(gradients: Sequence[Any]) -> bool:
    """Whether a gradient has attributes, or a gradient of its own."""
    return any(map(_attributes, gradients)) or any(gradient.grad is not None for gradient in gradients)


def _told(definitions: Sequence[Any], look: Look) -> list[Any] | None:
    """How a look tells these classes and functions; None where it cannot."""
    telling = look.another()
    try:
        for thing in definitions:
            (looks.tell_class if isinstance(thing, type) else feed_of(type(thing)))(telling, thing)
    except Unknown:
        return None
    return telling.tokens


def recheck_of(root: Any, look: Look, nodes_at: int, classes: Sequence[type]) -> Recheck:
    """How to compare what `look` has just found, from that node on; NoRecheck where that cannot be done.

    `classes`: those that it met here first.
    """
    try:
        return _Making(root, look, nodes_at).made(classes)
    except (AttributeError, TypeError) as error:  # what cannot be held weakly; a torch that lacks an attribute
        raise NoRecheck(str(error)) from error


class _Making:
    """The parts of a look, sorted."""

    def __init__(self, root: Any, look: Look, nodes_at: int) -> None:
        self.root, self.look, self.nodes_at = root, look, nodes_at
        self.own = look.nodes[nodes_at:]
        earlier = (look.nodes[number].grad for number in look.tensors if number < nodes_at)
        self.earlier_gradients = {id(gradient) for gradient in earlier if gradient is not None}
        by_feed: dict[Any, list[Any]] = {}
        for node in self.own:
            by_feed.setdefault(feed_of(type(node)), []).append(node)
        self.instances = [node for node in self.own if feed_of(type(node)) in looks.OF_INSTANCES]
        every = by_feed.get(looks.of_tensor, [])
        self.gradients = [gradient for tensor in every if (gradient := tensor.grad) is not None]
        of_others = set(map(id, self.gradients))
        self.tensors = [tensor for tensor in every if id(tensor) not in of_others]
        self.definitions = [node for node in self.own if feed_of(type(node)) in looks.OF_DEFINITIONS]
        self.constants = by_feed.get(looks.of_constant, [])
        known = {*looks.OF_INSTANCES, *looks.OF_DEFINITIONS, looks.of_tensor, looks.of_constant}
        if any(feed not in known and type(nodes[0]) not in CONTAINERS for feed, nodes in by_feed.items()):
            raise NoRecheck("a method, or a partial")
        if type(root) not in CONTAINERS and (not self.instances or self.instances[0] is not root):
            raise NoRecheck("a root of another kind")
        if every and _are_swapped():
            raise NoRecheck("tensors that nobody may refer to weakly")
        if len(self.gradients) != len(of_others) or len(every) != len(self.tensors) + len(self.gradients) or _have_more(self.gradients):
            raise NoRecheck("gradients that are met elsewhere")

    def made(self, classes: Sequence[type]) -> Recheck:
        weak = [*self.instances, *self.tensors, *self.definitions]
        nobodys = self._empty()
        levels, containers, atoms = self._levels(nobodys)
        outermost = _outermost(self.root, self.instances, self.tensors)
        where = {id(thing): place for place, thing in enumerate([*weak, *self.constants, *self.gradients, *containers])}
        if not all(id(node) in where for node in self.own):
            raise NoRecheck("something that is met in another way")
        numbers = {id(node): number for number, node in enumerate(self.own)}
        definitions = _told([*classes, *self.definitions], self.look)
        if definitions is None:
            raise NoRecheck("a definition")
        return Recheck(
            weak=list(map(weakref.ref, weak)),
            instances=len(self.instances),
            tensors=len(self.tensors),
            places=addresses_of(tuple(weak)),
            outer=addresses_of(tuple(outermost)),
            kinds=list(map(type, self.instances)),
            likeness=Likeness(self.tensors),
            graded=[place for place, tensor in enumerate(self.tensors) if tensor.grad is not None],
            gradients=Likeness(self.gradients),
            levels=levels,
            definitions=definitions,
            constants=self.constants,
            atoms=list({id(atom): atom for atom in atoms}.values()),
            order=getter([where[id(node)] for node in self.own]),
            tensor_nodes=sorted(numbers[id(tensor)] for tensor in [*self.tensors, *self.gradients]),
            classes=list(classes),
        )

    def _empty(self) -> set[int]:
        """The addresses of modules' own containers in which nothing is, and that nobody else reaches."""
        found: set[int] = set()
        for instance in self.instances:
            is_module = feed_of(type(instance)) is looks.of_module
            parts = modules.parts_alone(instance.__dict__, held=HELD_BY_LOOK) if is_module else None
            if parts is not None:
                found.update(map(id, parts.empty(instance.__dict__)))
        return found

    def _levels(self, nobodys: set[int]) -> tuple[list[list[Level]], list[Any], list[Any]]:
        containers = _outermost(self.root, self.instances, self.tensors)
        found, levels, atoms = list(containers), list[list[Level]](), list[Any]()
        met = set(map(id, containers))
        known = set(map(id, [*self.instances, *self.tensors, *self.definitions, *self.constants]))
        left_out = 0
        while containers and len(levels) < DEEPEST:
            levels.append([])
            inwards: list[Any] = []
            for kind, places in parted(containers).items():
                of = getter(places)
                made, flat = Tables.of(of(containers), nobodys) if kind is Tables else Others.of(of(containers))
                inner = self._inner(flat, nobodys if kind is Tables else set(), known, met, atoms)
                made.note(flat, inner)
                left_out += len(made.alone.kinds) if isinstance(made, Tables) and made.alone is not None else 0
                levels[-1].append((of, made))
                inwards += getter(inner)(flat)
            containers = inwards
            found += containers
        if containers or _have_attributes(found) or left_out != len(nobodys):
            raise NoRecheck("containers that are nested too deep, or have attributes")
        return levels, found, atoms

    def _inner(self, flat: tuple[Any, ...], empty: set[int], known: set[int], met: set[int], atoms: list[Any]) -> list[int]:
        """Of what containers hold, the places of containers that are met first there; `met` and `atoms` grow by what is met."""
        inner = []
        for place, thing in enumerate(flat):
            if id(thing) in empty or id(thing) in known or id(thing) in met:
                continue
            if type(thing) in ATOMS:
                atoms.append(thing)
            elif self._is_earlier(thing):
                if id(thing) in self.earlier_gradients:
                    raise NoRecheck("a gradient of an earlier segment's tensor: another object each time")
            elif type(thing) in CONTAINERS and self.look.number_of(thing) is not None:
                met.add(id(thing))
                inner.append(place)
            else:
                raise NoRecheck("something that is met in another way")
        return inner

    def _is_earlier(self, thing: Any) -> bool:
        number = self.look.number_of(thing)
        return number is not None and number < self.nodes_at
