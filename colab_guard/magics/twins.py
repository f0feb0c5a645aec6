"""What the magics call: the Python twin of each, with the same words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol


class Twins(Protocol):
    """The object that users know as `colab_guard.guard`. What it gives back prints as its message."""

    def keepalive(
        self,
        word: str = "",
        *,
        every: float | str | None = None,
        release: bool = False,
        notify: str | None = None,
        page_script: bool = False,
        touch: bool = False,
    ) -> object:
        """`%keepalive`."""

    def memguard(
        self,
        limit: float | str | None = None,
        *,
        soft: float | str | None = None,
        hard: float | str | None = None,
        allow: str | None = None,
    ) -> object:
        """`%memguard`."""

    def checkpointed(
        self,
        name: str,
        source: str,
        *,
        to: str | None = None,
        every: float | str = "60s",
        mirror_every: float | str | None = None,
        budget: float | str = "1%",
        fresh: bool = False,
        resume: bool = False,
        take_over: bool = False,
        keep: Iterable[str] = (),
        skip: Iterable[str] = (),
        files: Iterable[str] = (),
        overlap: str = "params",
        explain: bool = False,
    ) -> object:
        """`%%checkpointed`: runs `source`, gives the value of its last expression."""

    def status(self) -> object:
        """`%guard status`."""

    def stop(self) -> object:
        """`%guard stop`."""

    def commit(self) -> object:
        """`%guard commit`."""

    def checkpoints(self, name: str | None = None) -> object:
        """`%guard checkpoints [NAME]`."""

    def panel(self) -> object:
        """`%guard panel`."""

    def off(self) -> object:
        """`%guard off`."""

    def names(self) -> list[str]:
        """The NAMEs that have a store here; for completion."""
