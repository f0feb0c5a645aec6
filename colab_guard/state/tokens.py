"""What looks like a secret: tokens by their shape, values under names that say so, and values known to be secret.

Three ways to tell. A token of a service has a shape of its own (`shapes`). A value under a name such as `api_key` or
`password` is one if it is no plain word (`secret_names`). And the values of environment variables, of the notebook's
variables and of Colab's user data whose names say so are secrets wherever they are met; so is the key that signs commits,
whatever it looks like. Forty hexadecimal digits by themselves are no secret (data sets are full of them); under a name
they are.

`may_hold` and `holds` look through all that is about to be stored: they must cost little beside pickling.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from colab_guard.state.secret_names import (
    ENDS_IN_JSON,
    LONGEST,
    SHORTEST,
    is_secret_name,
    is_secret_under,
    is_secret_variable,
    name_inside,
    password_in,
)
from colab_guard.state.shapes import BLOCK, LOOSE, NEEDLES, STRICT, STRICT_BYTES, matches, numpy_for, what_is
from colab_guard.store import the_key

HIDDEN = "(secret)"
"""Stands in texts for people where a secret was."""
LEAST_DIFFERENT = 8
"""A value under a name that has fewer different characters is a stand-in, as `xxxxxxxx1` is."""
FILE_PIECE = 4 * 2**20
NAME_ENDS = (b"key", b"ken", b"ret", b"ord", b"swd", b"ase", b"ial", b"als", b"ion")
NAME_ENDINGS = frozenset(end.decode() for end in NAME_ENDS)
SHORT_TEXT, MEMOIZE = 0x8C, 0x94
NUMBERS = b"KMJG\x8a"
"""Opcodes of pickle: a text of up to 255 bytes, its entry in the memo, and the numbers."""
SCALAR = b"\x8c\x06scalar"
OF_TEXT = re.compile(rb"\x8c[\x02-\x06]U\d")
WANDB, KEY = b"\x8c\x05wandb", b"\x8c\x03key"
"""Texts as pickles have them: what makes a scalar of numpy's, the dtype of its texts, and two that together are like `wandb_key`."""

_known: dict[str, str] = {}
"""Values known to be secret, and what they are called."""
_environment: dict[Any, Any] = {}


def remember(value: object, what: str) -> None:
    """`value` is a secret from now on, called `what`; too short a one cannot be told from other texts."""
    text = value.decode("utf-8", "ignore") if isinstance(value, bytes) else value
    if isinstance(text, str) and SHORTEST <= len(text) <= 4 * LONGEST:
        _known.setdefault(text, what)


def remember_variable(value: str | bytes, what: str) -> None:
    """The same for a variable called `what`; of an address, its password too."""
    remember(value, what)
    remember(password_in(value if isinstance(value, str) else value.decode("latin1")), f"the password in {what}")


def remember_under(value: object, name: str) -> str:
    """`value` is a secret from now on if it is one by the `name` that it stands under; what it is called, else ""."""
    if not isinstance(value, str) or not is_secret_under(value, name) or len(set(value)) < LEAST_DIFFERENT:
        return ""
    what = f"the value under {name!r}"
    remember(value, what)
    return what


def known() -> Mapping[str, str]:
    """Values known to be secret, with what they are called; the environment's as they are now."""
    raw = getattr(os.environ, "_data", os.environ)
    if raw != _environment:
        _environment.clear()
        _environment.update(raw)
        for name, value in os.environ.items():
            if is_secret_variable(name, value):
                remember_variable(value, f"os.environ[{name!r}]")
    if (key := the_key()) is not None:
        remember(key, "the key that signs commits")  # who reads it where commits lie could sign code
    return _known


def spans(text: str, *, under: str | None = None) -> list[tuple[int, int, str]]:
    """Where secrets stand in `text`: start, end and what each is; `under` is the name that it stands under."""
    if under is not None and (what := remember_under(text, under)):
        return [(0, len(text), what)]
    found = [(match.start(), match.end(), what_is(match[0])) for match in STRICT.finditer(text)]
    for value, what in known().items():
        at = text.find(value)
        while at >= 0:
            found.append((at, at + len(value), what))
            at = text.find(value, at + len(value))
    return _apart(found) if len(found) > 1 else found


def _apart(found: list[tuple[int, int, str]]) -> list[tuple[int, int, str]]:
    """Without those that lie in, or reach into, one that is longer."""
    chosen: list[tuple[int, int, str]] = []
    for span in sorted(found, key=lambda span: span[0] - span[1]):
        if all(span[1] <= other[0] or span[0] >= other[1] for other in chosen):
            chosen.append(span)
    return sorted(chosen)


def quick_look() -> Callable[[str], Any]:
    """What gives None for texts in which no secret is, as far as their shape and the values known now tell; for very many texts."""
    needles = [re.escape(needle.decode()).replace(r"\?", ".") for needle in NEEDLES]
    return re.compile("|".join([*needles, *map(re.escape, known())]), re.DOTALL).search


def scrubbed(text: str) -> str:
    """`text` with all secrets in it replaced by "(secret)"."""
    found = spans(text) if holds(text.encode("utf-8", "surrogatepass")) else []
    for start, end, _ in reversed(found):
        text = f"{text[:start]}{HIDDEN}{text[end:]}"
    return text


def scrubbed_json(value: Any) -> Any:
    """Data for JSON with all secrets in its texts replaced; the very `value` where it holds none."""
    whole = json.dumps(value, ensure_ascii=False)
    written = (json.dumps(secret, ensure_ascii=False)[1:-1] for secret in known())
    # what stands before a token in a text is another letter in JSON
    if holds(whole.encode("utf-8", "surrogatepass"), LOOSE) or any(secret in whole for secret in written):
        return _without(value)
    lowered = whole.lower()
    return _without(value) if any(end in lowered for end in ENDS_IN_JSON) else value


def _without(value: Any, under: str | None = None) -> Any:
    if isinstance(value, str):
        if under is not None and spans(value, under=under):
            return HIDDEN if is_secret_under(value, under) else scrubbed(value)
        return scrubbed(value)
    if isinstance(value, Mapping):
        parts = {key: _without(part, name_inside(under, str(key))) for key, part in value.items()}
        found = {scrubbed(key) if isinstance(key, str) else key: part for key, part in parts.items()}
        return value if all(found.get(key, found) is part for key, part in value.items()) else found
    if isinstance(value, (list, tuple)):
        items = [_without(item, under) for item in value]
        return value if all(new is old for new, old in zip(items, value, strict=True)) else items
    return value


def holds(data: bytes, pattern: re.Pattern[bytes] = STRICT_BYTES) -> str:
    """What secret stands in `data`, by shape or as a known value; "" for none."""
    for _, match in matches(data, pattern):
        return what_is(match.decode("latin1"))
    return next((what for value, what in known().items() if value.encode("utf-8", "surrogatepass") in data), "")


def file_holds(path: Path) -> str:
    """What secret stands in the file `path`; "" for none."""
    before = b""
    with path.open("rb") as file:
        while piece := file.read(FILE_PIECE):
            if what := holds(before + piece):
                return what
            before = piece[-4 * LONGEST :]
    return ""


def may_hold(pickled: bytes) -> bool:
    """Whether a pickle may hold a secret, also one that only its name tells; a closer look is worth its time."""
    if holds(pickled, LOOSE):
        return True
    if SCALAR in pickled and OF_TEXT.search(pickled) and any(holds(pickled[first::4], LOOSE) for first in range(4)):
        return True  # numpy's own kind of text, with four bytes a character
    return _names_one(pickled) or (WANDB in pickled and KEY in pickled)


def _names_one(pickled: bytes) -> bool:
    """Whether a text that is a secret's name stands in the pickle, and no number follows it."""
    for start, end in _names(pickled):
        after = pickled[end + 1 : end + 2] if pickled[end : end + 1] == bytes([MEMOIZE]) else pickled[end : end + 1]
        if after not in NUMBERS and is_secret_name(pickled[start:end].decode("utf-8", "replace")):
            return True
    return False


def _names(pickled: bytes) -> Iterator[tuple[int, int]]:
    """Short texts that end as secrets' names do."""
    numpy = numpy_for(len(pickled))
    if numpy is None:
        for match in re.finditer(rb"\x8c([\x05-\x28])", pickled, re.DOTALL):
            end = match.end() + match[1][0]
            if pickled[end - 3 : end].lower() in NAME_ENDS:
                yield match.end(), end
        return
    array = numpy.frombuffer(pickled, numpy.uint8)
    for begin in range(0, len(array), BLOCK):
        hits = numpy.flatnonzero(array[begin : begin + BLOCK] == SHORT_TEXT) + begin
        hits = hits[hits + 2 < len(array)]
        lengths = array[hits + 1].astype(numpy.int64)
        fits = (lengths >= 5) & (lengths <= 40) & (hits + 2 + lengths < len(array))
        starts, ends = (hits + 2)[fits], (hits + 2 + lengths)[fits]
        if not len(starts):
            continue
        last = array[ends - 1] | 0x20
        fits = numpy.isin(last, numpy.frombuffer(bytes({end[2] for end in NAME_ENDS}), numpy.uint8))
        fits &= numpy.isin(array[ends - 2] | 0x20, numpy.frombuffer(bytes({end[1] for end in NAME_ENDS}), numpy.uint8))
        for start, end in zip(starts[fits].tolist(), ends[fits].tolist(), strict=True):
            if pickled[end - 3 : end].lower() in NAME_ENDS:
                yield start, end


def forget_known(keep: Callable[[str], bool] = lambda value: False) -> None:
    """For tests: what was remembered of an earlier notebook."""
    for value in [value for value in _known if not keep(value)]:
        del _known[value]
    _environment.clear()
