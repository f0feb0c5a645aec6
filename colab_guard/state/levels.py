"""What containers hold, depth by depth, and whether they still hold it: compared by address, or told by versions.

Of dictionaries with texts as keys (the attributes of instances are such) versions tell that they were not written to,
where Python counts these (`words`); where they were, and of all other containers, what is in them is compared.
"""

from __future__ import annotations

import operator
from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from colab_guard.state import modules, words
from colab_guard.state.pointers import Getter, addresses_of, getter
from colab_guard.state.words import Words

MAPPINGS = frozenset({dict, OrderedDict, defaultdict})
CONTAINERS = MAPPINGS | {list, tuple, set, frozenset}
ROWS = 3
"""References to the attributes of modules while they are compared: all containers found, those of this depth, those alike."""

_factory = operator.attrgetter("default_factory")
_values = operator.methodcaller("values")


class NoRecheck(Exception):
    """There is something here of which only a look can tell."""


@dataclass(slots=True)
class Alone:
    """Containers of modules that nobody else reaches, and in which nothing is: places in what the modules' attributes hold.

    `holders`: of the attributes those in which they are. The words tell the same without looking at each.
    """

    empty: Getter
    kinds: list[type]
    holders: Getter
    steady: Words | None
    versions: Words | None

    @classmethod
    def of(cls, tables: Sequence[dict[str, Any]], flat: tuple[Any, ...], nobodys: set[int]) -> Alone | None:
        places = [place for place, thing in enumerate(flat) if id(thing) in nobodys]
        if not places:
            return None
        empty = getter(places)(flat)
        holders = [place for place, held in enumerate(tables) if not nobodys.isdisjoint(map(id, held.values()))]
        counted = [one for one in empty if isinstance(one, dict)]
        told = (words.steady(empty), words.versions(counted))
        if any(empty):
            raise NoRecheck("something was put there meanwhile")
        return cls(getter(places), list(map(type, empty)), getter(holders), *told)

    def only_the_modules(self, tables: tuple[Any, ...]) -> bool:
        return modules.only_the_modules(self.holders(tables), held=ROWS)

    def by_words(self) -> bool:
        return self.steady is not None and self.versions is not None and self.steady.as_expected() and self.versions.as_expected()

    def by_looking(self, flat: tuple[Any, ...]) -> bool:
        now = None if self.versions is None else self.versions.now()
        if not modules.nobodys(self.empty(flat), self.kinds, held=1):  # `flat` holds them
            return False
        if self.versions is not None and now is not None:
            self.versions.expected = now
        return True


@dataclass(slots=True)
class Tables:
    """Dictionaries with texts as keys, and what was in them: `keys`, which are held, and the addresses of keys and values.

    `inner`: values that are containers met first here, by the dictionaries (`parents`) and the keys (`names`) that they stand at.
    """

    versions: Words | None
    lengths: list[int]
    keys: tuple[str, ...]
    key_places: bytes
    places: bytes
    alone: Alone | None
    parents: Getter = tuple
    names: tuple[str, ...] = ()
    inner_places: bytes = b""

    @classmethod
    def of(cls, tables: Sequence[dict[str, Any]], nobodys: set[int]) -> tuple[Tables, tuple[Any, ...]]:
        """The tables, and what is in them."""
        versions = words.versions(tables)  # first: what is written later is another version
        keys = tuple(chain.from_iterable(tables))
        flat = _values_of(tables)
        lengths = list(map(len, tables))
        return cls(versions, lengths, keys, addresses_of(keys), addresses_of(flat), Alone.of(tables, flat, nobodys)), flat

    def note(self, flat: tuple[Any, ...], inner: Sequence[int]) -> None:
        """Which of what is in them are containers met first here."""
        parents = [place for place, length in enumerate(self.lengths) for _ in range(length)]
        self.parents, self.names = getter([parents[place] for place in inner]), tuple(self.keys[place] for place in inner)
        self.inner_places = addresses_of(getter(inner)(flat))

    def inner_of(self, tables: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The containers in these that were met first here, if all that is in them is the same as ever; else None."""
        if not {dict}.issuperset(map(type, tables)) or (self.alone is not None and not self.alone.only_the_modules(tables)):
            return None
        versions = None if self.versions is None else self.versions.now()
        told = self.versions is not None and versions == self.versions.expected
        if not (told and (self.alone is None or self.alone.by_words())):
            if not self._hold_the_same(tables):
                return None
            if self.versions is not None and versions is not None:
                self.versions.expected = versions
        try:
            inner = tuple(map(operator.getitem, self.parents(tables), self.names))
        except KeyError:  # another thread's work
            return None
        return inner if addresses_of(inner) == self.inner_places else None

    def _hold_the_same(self, tables: tuple[Any, ...]) -> bool:
        if list(map(len, tables)) != self.lengths or addresses_of(tuple(chain.from_iterable(tables))) != self.key_places:
            return False
        flat = _values_of(tables)
        return addresses_of(flat) == self.places and (self.alone is None or self.alone.by_looking(flat))


@dataclass(slots=True)
class Others:
    """Containers of other kinds, and the addresses of what was in them; `inner` gives the containers met first here.

    `filled`, `mappings` and `factories`: those that hold anything, mappings among these, and those with a default.
    """

    kinds: list[type]
    lengths: list[int]
    filled: Getter
    mappings: Getter
    factories: Getter
    places: bytes = b""
    inner: Getter = tuple

    @classmethod
    def of(cls, containers: Sequence[Any]) -> tuple[Others, tuple[Any, ...]]:
        """The containers, and what is in them."""
        kinds, lengths = list(map(type, containers)), list(map(len, containers))
        filled = [place for place, length in enumerate(lengths) if length]
        mappings = [place for place in filled if kinds[place] in MAPPINGS]
        factories = [place for place, kind in enumerate(kinds) if kind is defaultdict]
        made = cls(kinds, lengths, getter(filled), getter(mappings), getter(factories))
        flat = made._flat(containers)
        made.places = addresses_of(flat)
        return made, flat

    def note(self, flat: tuple[Any, ...], inner: Sequence[int]) -> None:
        """Which of what is in them are containers met first here."""
        self.inner = getter(inner)

    def inner_of(self, containers: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """The containers in these that were met first here, if all that is in them is the same as ever; else None."""
        if list(map(type, containers)) != self.kinds or list(map(len, containers)) != self.lengths:
            return None
        flat = self._flat(containers)
        return self.inner(flat) if addresses_of(flat) == self.places else None

    def _flat(self, containers: Sequence[Any]) -> tuple[Any, ...]:
        """Keys and items, values, and what defaults are made by."""
        items, values = chain.from_iterable(self.filled(containers)), chain.from_iterable(map(_values, self.mappings(containers)))
        return tuple(chain(items, values, map(_factory, self.factories(containers))))


Level = tuple[Getter, Tables | Others]
"""Of the containers at one depth those alike, and what was in them."""


def _values_of(tables: Sequence[dict[str, Any]]) -> tuple[Any, ...]:
    return tuple(chain.from_iterable(map(dict.values, tables)))


def parted(containers: Sequence[Any]) -> dict[type[Tables | Others], list[int]]:
    """The places of dictionaries whose keys are all texts, of which versions tell what is in them; and of all others."""
    parts: dict[type[Tables | Others], list[int]] = {}
    for place, one in enumerate(containers):
        plain = type(one) is dict and {str}.issuperset(map(type, one))
        parts.setdefault(Tables if plain else Others, []).append(place)
    return parts
