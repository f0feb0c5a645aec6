"""Handlers of loggers that the cell added: to the root logger, and to loggers that are not a library's own."""

from __future__ import annotations

import logging
import sys
from collections.abc import Mapping
from typing import Any


class Handlers:
    """Loggers' handlers from the cell's start on."""

    name = "log handlers"

    def __init__(self) -> None:
        self._start = {name: list(logger.handlers) for name, logger in _loggers()}
        self._carried: set[str] = set()

    def available(self) -> bool:
        return True

    def get(self) -> dict[str, list[Any]] | None:
        """Of each logger whose handlers are others than at the start, all of them."""
        found = {
            name: list(logger.handlers)
            for name, logger in _loggers()
            if name in self._carried or (logger.handlers != self._start.get(name, []) and not _is_a_librarys(name))
        }
        return found or None

    def set(self, value: Mapping[str, list[Any]] | None) -> None:
        self._carried |= set(value or ())
        for name, handlers in {**{name: self._start.get(name, []) for name in self._carried}, **(value or {})}.items():
            logger = logging.getLogger(name) if name else logging.root
            logger.handlers[:] = [handler for handler in handlers if isinstance(handler, logging.Handler)]


def _loggers() -> list[tuple[str, logging.Logger]]:
    """The root logger, and every other that has handlers."""
    named = list(logging.root.manager.loggerDict.items())
    found = [(name, logger) for name, logger in named if isinstance(logger, logging.Logger) and logger.handlers]
    return [("", logging.root), *found]


def _is_a_librarys(name: str) -> bool:
    """Libraries put up their own handlers when they are imported."""
    return bool(name) and name.split(".")[0] in sys.modules
