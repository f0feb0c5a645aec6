"""What functions of the notebook remember under `functools.lru_cache` and `cache`: captured, and remembered again.

1. A cache's keys, results and their order are what the garbage collector is told of by the C object; the places are
   checked against the keys that its table holds. Where they do not fit, the cache is named as one that is not kept.
2. Nobody can write into a cache but by calling it. On a restore the function that it wraps runs other code for a moment,
   which gives the kept results in their order; calls that fail, and calls for the newest key, bring the counts to what they were.
3. Caches come back at the end of a restore, when whatever their keys are hashed by is there.

Caches of libraries' functions belong to their process and are left alone.
"""

from __future__ import annotations

import functools
import gc
import types
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat, starmap
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from colab_guard.state.pickler import Reducing

CACHED = type(functools.lru_cache(None)(len))
WORDS_OF_ENTRY = 3
"""The collector is told of a bounded cache's key, its result and their type, one after the other, the oldest first."""
MOST_MISSES = 1_000_000
"""Calls that were forgotten again, which are counted by as many that fail: half a second."""


class NotTold(Exception):
    """This Python's caches are not what this module takes them for, or what is wrapped is not written in Python."""


def of_class(cls: type) -> list[Any]:
    """The caches among a class's methods."""
    values = vars(cls).values()
    parts = [v.__func__ if isinstance(v, (staticmethod, classmethod)) else v.fget if isinstance(v, property) else v for v in values]
    return [part for part in parts if isinstance(part, CACHED)]


def data(pickler: Reducing, cached: Any) -> dict[str, Any]:
    """What a restore needs to fill `cached` again; empty where it cannot be told, which is named then."""
    info = cached.cache_info()
    try:
        entries = _entries(cached)
        if (over := info.misses - len(entries) - MOST_MISSES) > 0:
            pickler.note_loss(cached, f"{over:,} misses are not in its cache_info() any more after a resume", _said(cached))
    except NotTold as reason:
        pickler.note_loss(cached, f"what it remembered is computed again: {reason}", _said(cached))
        return {}
    return {"cached": cached, "entries": entries, "hits": info.hits, "misses": info.misses}


def _said(cached: Any) -> str:
    return f"the cache of {getattr(cached, '__qualname__', cached)}()"


def _entries(cached: Any) -> list[tuple[tuple[Any, ...], dict[str, Any], Any]]:
    """Arguments, keyword arguments and result of each call that is remembered, in order."""
    size, bounded = cached.cache_info().currsize, cached.cache_info().maxsize is not None
    if not size:
        return []
    referents = gc.get_referents(cached)
    at = 1 + WORDS_OF_ENTRY * size if bounded else 1
    table, function, mark = (*referents[at : at + 3], None, None, None)[:3]
    fits = type(table) is dict and len(table) == size and type(mark) is object
    if fits and isinstance(table, dict):
        pairs = list(zip(referents[1:at:WORDS_OF_ENTRY], referents[2:at:WORDS_OF_ENTRY], strict=True)) if bounded else list(table.items())
        fits = not bounded or set(map(id, table)) == {id(key) for key, _ in pairs}
    if not fits:
        raise NotTold("this Python lays caches out in an unknown way")
    if function is not cached.__wrapped__ or _plain(function) is None:
        raise NotTold("what it wraps is not written in Python")
    typed = cached.cache_parameters()["typed"]
    return [(*_arguments(key, mark, typed=typed), result) for key, result in pairs]


def _plain(function: Any) -> types.FunctionType | None:
    """The function that a call of `function` runs."""
    while isinstance(function, (types.MethodType, functools.partial)):
        function = function.__func__ if isinstance(function, types.MethodType) else function.func
    return function if isinstance(function, types.FunctionType) else None


def _arguments(key: Any, mark: object, *, typed: bool) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a call was given, by the key that `functools` made of it."""
    if type(key) is not tuple:
        return (key,), {}
    count = next((number for number, part in enumerate(key) if part is mark), None)
    if count is None:
        return key[: len(key) // 2] if typed else key, {}
    words = (len(key) - 1 - 2 * count) // 3 if typed else (len(key) - 1 - count) // 2
    named = key[count + 1 : count + 1 + 2 * words]
    return key[:count], dict(zip(named[::2], named[1::2], strict=True))


def fill(kept: dict[str, Any], lost: type) -> None:
    """Let the cache remember what it did; what is `lost` is computed again."""
    cached = kept["cached"]
    entries = [entry for entry in kept["entries"] if not any(isinstance(part, lost) for part in _parts(*entry))]
    cached.cache_clear()
    misses, hits = min(kept["misses"] - len(entries), MOST_MISSES), kept["hits"]
    function = _plain(cached.__wrapped__)
    if function is None:
        return  # it was empty
    with _answering(function, _fail):
        for _ in range(misses):
            with suppress(_Failing):
                cached()
    results = iter([result for _, _, result in entries])
    with _answering(function, results.__next__):
        for arguments, named, _ in entries:
            cached(*arguments, **named)
        if entries:
            deque(starmap(functools.partial(cached, *entries[-1][0], **entries[-1][1]), repeat((), hits)), 0)


def _parts(arguments: tuple[Any, ...], named: dict[str, Any], result: Any) -> Iterator[Any]:
    yield from arguments
    yield from named.values()
    yield result


class _Failing(Exception):
    pass


def _fail() -> NoReturn:
    raise _Failing


def _stand_in(*arguments: Any, _colab_guard_answer: Any, **named: Any) -> Any:
    return _colab_guard_answer()


@contextmanager
def _answering(function: types.FunctionType, answer: Callable[[], Any]) -> Iterator[None]:
    """Meanwhile, `function` gives what `answer` gives, whatever it is called with."""
    code, by_word = function.__code__, function.__kwdefaults__
    function.__code__ = _stand_in.__code__.replace(co_freevars=code.co_freevars)
    function.__kwdefaults__ = {"_colab_guard_answer": answer}
    try:
        yield
    finally:
        function.__code__, function.__kwdefaults__ = code, by_word
