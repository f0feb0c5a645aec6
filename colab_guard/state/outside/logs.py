"""Loggers: their levels, and the handlers that the cell added to them."""

from __future__ import annotations

import logging
import operator
import sys
from collections.abc import Mapping
from typing import Any

Level = tuple[int, bool, bool]
LEVEL = operator.attrgetter("level", "disabled", "propagate")
HANDLERS = operator.attrgetter("handlers")
FRESH: Level = (logging.NOTSET, False, True)


class Loggers:
    """All loggers by name, the root one as ""; there are hundreds, so that they are listed anew only when there are others."""

    def __init__(self) -> None:
        self._listed: list[Any] = []
        self._by_name: dict[str, logging.Logger] = {}

    def all(self) -> dict[str, logging.Logger]:
        listed = list(logging.root.manager.loggerDict.values())
        if listed != self._listed:
            self._listed = listed
            named = logging.root.manager.loggerDict.items()
            self._by_name = {name: logger for name, logger in named if isinstance(logger, logging.Logger)} | {"": logging.root}
        return self._by_name


class LogLevels:
    """Levels of loggers, and whether they are on, as far as the cell changed them."""

    name = "log levels"

    def __init__(self, loggers: Loggers) -> None:
        self._loggers = loggers
        self._carried: set[str] = set()
        self._start = self._levels()
        self._unchanged: tuple[Any, list[Level]] = loggers.all(), list(self._start.values())
        """Loggers and their levels of which is known that nothing changed."""

    def available(self) -> bool:
        return True

    def get(self) -> dict[str, Level] | None:
        loggers, levels = self._unchanged
        if not self._carried and self._loggers.all() is loggers and list(map(LEVEL, loggers.values())) == levels:
            return None
        here = self._levels()
        found = {name: now for name, now in here.items() if now != self._start.get(name, FRESH) or name in self._carried}
        if not found:
            self._unchanged = self._loggers.all(), list(here.values())
        return found or None

    def set(self, value: Mapping[str, Level] | None) -> None:
        self._carried |= set(value or ())
        for name, (level, disabled, propagate) in (self._start | dict(value or {})).items():
            logger = _logger(name)
            if logger.level != level:
                logger.setLevel(level)
            logger.disabled, logger.propagate = disabled, propagate

    def _levels(self) -> dict[str, Level]:
        loggers = self._loggers.all()
        return dict(zip(loggers, map(LEVEL, loggers.values()), strict=True))


class Handlers:
    """Handlers that the cell added: to the root logger, and to loggers that are not a library's own."""

    name = "log handlers"

    def __init__(self, loggers: Loggers) -> None:
        self._loggers = loggers
        self._carried: set[str] = set()
        self._start = self._handlers()
        self._unchanged: tuple[Any, list[list[Any]]] = loggers.all(), self._in_a_row()
        """Loggers and their handlers of which is known that nothing changed."""

    def available(self) -> bool:
        return True

    def get(self) -> dict[str, list[Any]] | None:
        """Of each logger whose handlers are others than at the start, all of them."""
        loggers, handlers = self._unchanged
        if not self._carried and self._loggers.all() is loggers and list(map(HANDLERS, loggers.values())) == handlers:
            return None
        here = self._handlers()
        found = {
            name: here.get(name, [])
            for name in here.keys() | self._start.keys()
            if name in self._carried or (here.get(name) != self._start.get(name) and not _is_a_librarys(name))
        }
        if not found:
            self._unchanged = self._loggers.all(), self._in_a_row()
        return found or None

    def set(self, value: Mapping[str, list[Any]] | None) -> None:
        self._carried |= set(value or ())
        before = {name: self._start.get(name, []) for name in self._carried}
        for name, handlers in {**before, **(value or {})}.items():
            _logger(name).handlers[:] = [handler for handler in handlers if isinstance(handler, logging.Handler)]

    def _in_a_row(self) -> list[list[Any]]:
        return list(map(list, map(HANDLERS, self._loggers.all().values())))

    def _handlers(self) -> dict[str, list[Any]]:
        loggers = self._loggers.all()
        return {name: list(held) for name, held in zip(loggers, map(HANDLERS, loggers.values()), strict=True) if held}


def _logger(name: str) -> logging.Logger:
    return logging.getLogger(name) if name else logging.root


def _is_a_librarys(name: str) -> bool:
    """Libraries put up their own handlers when they are imported."""
    return bool(name) and name.split(".")[0] in sys.modules
