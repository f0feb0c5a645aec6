"""What a record gives to be shown again, and how much of it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from colab_guard.session.output.bundles import Bundle


@dataclass(frozen=True, slots=True)
class Limits:
    """Of one segment, of what is kept of the beginning, and of the end; bytes of text, bytes and number of blobs."""

    segment: tuple[int, int, int] = (64 * 2**10, 2**20, 16)
    head: tuple[int, int, int] = (256 * 2**10, 4 * 2**20, 48)
    tail: tuple[int, int, int] = (2**20, 12 * 2**20, 192)


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class LeftOut:
    """What is not kept between the beginning and the end."""

    bytes: int = 0
    displays: int = 0

    def __str__(self) -> str:
        displays = f" with {self.displays} display{'s' * (self.displays != 1)}" if self.displays else ""
        return f"... {size_words(self.bytes)} of output{displays} left out ..."


@dataclass(frozen=True, slots=True)
class Printed:
    """To be shown again: text of a stream."""

    stream: str
    text: str


@dataclass(frozen=True, slots=True)
class Displayed:
    """To be shown again: a display, or (`update`) the new content of one that another cell made."""

    bundle: Bundle
    display_id: str | None = None
    update: bool = False


@dataclass(frozen=True, slots=True)
class ClearNext:
    """The next output will clear all others."""


def size_words(count: int) -> str:
    if count < 10**6:
        return f"{count / 1000:.1f} kB"
    return f"{count / 10**6:.1f} MB"
