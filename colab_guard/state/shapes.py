"""Tokens of services by their shape (`hf_…`, `sk-…`, `ghp_…`, `AKIA…`, a private key's block), in texts and in bytes.

A token begins where no letter or digit stands before it: `task-…` is none of those that begin with `sk-`. A letter that
ends an escape is no letter of a word: a new line is `\\n` in JSON and in what `repr` gives, a colour ends with `m`, and `=`
is `%3D` in an address.

Pickles are searched before these are stored, so that must cost little beside pickling: bytes that no shape can do without
are found by numpy, a few tenths of a nanosecond for each byte, and only what is near them is looked at closely.
"""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from typing import Any

BLOCK = 2**19
SMALL, WORTH_AN_IMPORT = 2**14, 2**20
SHAPES: tuple[tuple[str, str], ...] = (
    ("a Hugging Face token", r"hf_[A-Za-z0-9]{24,}"),
    ("an API key (sk-)", r"sk-(?:or-v1-)?[0-9a-f]{32,}|sk-(?=[\w-]*\d)(?=[\w-]*[A-Z])(?=[\w-]*[A-Za-z0-9]{12})[A-Za-z0-9_-]{20,}"),
    ("a GitHub token", r"gh[pousr]_[A-Za-z0-9]{30,}|github_pat_[A-Za-z0-9_]{22,}"),
    ("a GitLab token", r"glpat-[A-Za-z0-9_-]{20,}"),
    ("an AWS access key", r"A[KS]IA[0-9A-Z]{16}(?![0-9A-Za-z])"),
    ("a Google API key", r"AIza[0-9A-Za-z_-]{35}"),
    ("a Slack token", r"xox[abeoprs]-(?=[A-Za-z-]*\d)[0-9A-Za-z-]{10,}"),
    ("a signed web token", r"eyJ[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{10,}\.[A-Za-z0-9_-]{5,}"),
    ("a private key", r"-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[\s\S]{0,16384}?-----END [A-Z ]{0,20}PRIVATE KEY-----|[\s\S]{0,4096})"),
)
_ANY = "|".join(f"(?:{shape})" for _, shape in SHAPES)
LOOSE = re.compile(_ANY.encode())
"""Anywhere in bytes: what stands before a token in a pickle may look like a letter of it."""
ESCAPES = (r"\\[abfnrtv]", r"\\x[0-9a-f]{2}", r"\\u[0-9a-f]{4}", r"%[0-9a-fA-F]{2}", r"\[m", r"[\[;]\dm", r"[\[;]\d\dm", r"[\[;]\d{3}m")
"""What may stand before a token and ends with a letter or a digit that is none of a word's."""
_BEFORE = "|".join(["(?<![A-Za-z0-9])", *(f"(?<={escape})" for escape in ESCAPES)])
STRICT = re.compile(f"(?=[-Aeghsx])(?:{_BEFORE})(?:{_ANY})")
"""Where a word begins."""
STRICT_BYTES = re.compile(STRICT.pattern.encode())

NEEDLES = (b"hf_", b"gh?_", b"pat_", b"sk-", b"xox?-", b"lpat-", b"-BEGIN ", b"KIA", b"SIA", b"AIz", b"eyJ")
"""What every shape has; `?` is any byte."""
ANCHORS = (2, 3, 3, 2, 4, 4, 0, 1, 1, 1, 2)
"""For each needle, which of its bytes is looked for first: one that is rare in texts, shared by several."""
Step = tuple[int, int]


def _around() -> dict[int, list[tuple[bytes, Step, list[Step]]]]:
    """By anchor: its needles, what stands beside it in each, and what else."""
    found: dict[int, list[tuple[bytes, Step, list[Step]]]] = {}
    for needle, at in zip(NEEDLES, ANCHORS, strict=True):
        steps = [(number - at, byte) for number, byte in enumerate(needle) if number != at and byte != ord("?")]
        nearest, *rest = sorted(steps, key=lambda step: abs(step[0]))
        found.setdefault(needle[at], []).append((needle, nearest, rest))
    return found


AROUND = _around()
EDGE = 64
FARTHEST = 12
"""Bytes from the beginning of a token to what is looked for first, at most."""


def what_is(token: str) -> str:
    """What a token of a known shape is, in words."""
    return next((what for what, shape in SHAPES if re.match(shape, token)), "a secret")


def matches(data: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, bytes]]:
    """Where `pattern`, one of those above, is in `data`, and what is there."""
    at = 0
    for place in _places(data):
        tries = (pattern.match(data, start) for start in range(max(place - FARTHEST, at), place + 1))
        match = next(filter(None, tries), None)
        if match is not None:
            at = match.end()
            yield match.start(), match[0]


def _places(data: bytes) -> list[int]:
    """Where the bytes stand that every shape has, in order."""
    numpy = numpy_for(len(data))
    if numpy is None:
        return sorted(_plainly(data))
    last = len(data) - EDGE
    found = {*_plainly(data[:EDGE]), *(last + place for place in _plainly(data[last:]))}
    array = numpy.frombuffer(data, numpy.uint8)
    for begin in range(0, len(array), BLOCK):
        block = array[begin : begin + BLOCK]
        for anchor in AROUND:
            hits = numpy.flatnonzero(block == anchor)
            if len(hits):
                found.update(_near(numpy, array, hits + begin, anchor))
    return sorted(found)


def _plainly(data: bytes) -> Iterator[int]:
    for needle in NEEDLES:
        yield from (match for match in _all(data, needle.partition(b"?")[0]))


def numpy_for(size: int) -> Any:
    """numpy, where that is the faster way for `size` bytes and it is installed."""
    if size < SMALL:
        return None
    if "numpy" not in sys.modules and size >= WORTH_AN_IMPORT and importlib.util.find_spec("numpy") is not None:
        importlib.import_module("numpy")
    return sys.modules.get("numpy")


def _near(numpy: Any, array: Any, hits: Any, anchor: int) -> Iterator[int]:
    """Of places where `anchor` stands, those around which one of its needles does; the array's edges are looked at plainly."""
    hits = hits[numpy.searchsorted(hits, EDGE // 2) : numpy.searchsorted(hits, len(array) - EDGE // 2)]
    beside = {step: array[hits + step] for step in {step for _, (step, _), _ in AROUND[anchor]}}
    for _, (step, byte), rest in AROUND[anchor]:
        left = hits[beside[step] == byte]
        for step, byte in rest:
            if len(left):
                left = left[array[left + step] == byte]
        yield from left.tolist()


def _all(data: bytes, needle: bytes) -> Iterator[int]:
    at = data.find(needle)
    while at >= 0:
        yield at
        at = data.find(needle, at + 1)
