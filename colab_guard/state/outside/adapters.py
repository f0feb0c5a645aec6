"""What an adapter is: the keeper of one piece of state that lies outside the user's names."""

from __future__ import annotations

from typing import Any, Final, Protocol


class _Unknown:
    """Equal to nothing: what is compared with it has changed."""

    __slots__ = ()

    def __eq__(self, other: object) -> bool:
        return False

    __hash__ = None  # type: ignore[assignment]


UNKNOWN: Final = _Unknown()


class Adapter(Protocol):
    """Made at a cell's start, whose state it remembers as far as it needs to tell what the cell changed.

    An adapter imports nothing to look, and what it gives may refer to live objects: they are captured with the user's
    names as one graph, so that `fig` and pyplot's figure stay one.
    """

    name: str

    def available(self) -> bool:
        """Whether its library is imported; reads `sys.modules` only."""

    def get(self) -> Any:
        """What is to be kept now; None for nothing."""

    def set(self, value: Any) -> None:
        """Put back what `get` gave; None means as it was at the cell's start. What was set is kept from now on."""
