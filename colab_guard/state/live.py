"""The user's namespace as a restore sees it: what was there before the cell is kept by name, not by value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import CodeType
from typing import TYPE_CHECKING, Any, Protocol

from colab_guard.state.secrets import Secrets

if TYPE_CHECKING:
    from colab_guard.state.classes import Begun


class Generators(Protocol):
    """Takes waiting generators apart, and makes them again."""

    def parts(self, generator: Any) -> tuple[Any, Any]:
        """What `make` is to be given, and what `fill`; CannotKeep with the reason where that is not possible."""

    def make(self, what: Any) -> Any:
        """A generator that has not begun."""

    def fill(self, generator: Any, place: Any) -> None:
        """Let it stand where the other stood, once everything is restored."""


@dataclass(frozen=True, slots=True)
class Live:
    """`namespace` is the live `__main__`; `start` is what it held when the cell began.

    `code_id` and `code_for` let functions whose code is known elsewhere travel by an id instead of by their code.
    `generators` knows how a waiting generator is taken apart and made again. `differentiates`: whether any code to come
    may run a backward pass. `reaches_moments`: whether any may write into an optimizer's state unseen,
    `writes_unseen`: into any tensor. `secrets`: what must not be stored; None looks for none.
    `classes` says what was in the classes of `start` (`classes_of`), without which changes of their code are not noticed.
    """

    namespace: dict[str, Any]
    start: Mapping[str, Any]
    code_id: Callable[[CodeType], str | None] | None = None
    code_for: Callable[[str], CodeType | None] | None = None
    generators: Generators | None = None
    differentiates: bool = True
    secrets: Secrets | None = None
    reaches_moments: bool = False
    writes_unseen: bool = False
    classes: Mapping[int, Begun] = field(default_factory=dict)

    def is_by_name(self, thing: Any) -> bool:
        """Whether `thing` (a function or class) is what `start` holds under its qualified name."""
        return self.look_up(thing.__qualname__, self.start) is thing

    @staticmethod
    def look_up(qualified: str, names: Mapping[str, Any]) -> Any:
        """The object called `qualified` ("Outer.method") in `names`, or None."""
        first, *rest = qualified.split(".")
        found = names.get(first)
        for part in rest:
            found = getattr(found, part, None) if found is not None else None
        return found
