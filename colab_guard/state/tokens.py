"""What looks like a secret: tokens by their shape, values under names that say so, and values known to be secret.

Three ways to tell. A token of a service has a shape of its own (`hf_…`, `sk-…`, `ghp_…`, `AKIA…`, a private key's block).
A value under a name such as `api_key` or `password` is one if it is no plain word. And the values of environment
variables, of the notebook's variables and of Colab's user data whose names say so are secrets wherever they are met.

Shapes are searched for in pickles before these are stored, so `may_hold` must cost little beside pickling: bytes that no
shape can do without are found by numpy, a few tenths of a nanosecond for each byte, and only what is near them is looked
at closely. Forty hexadecimal digits by themselves are no secret (data sets are full of them); under a name they are.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

HIDDEN = "(secret)"
"""Stands in texts for people where a secret was."""
SHORTEST, LONGEST = 8, 4096
SHORTEST_INSIDE, SHORTEST_TOKEN = 12, 20
"""Under a name inside a container, where names are less telling; a `token` may be a word of a text as well."""
UNBROKEN = re.compile(r"[A-Za-z0-9]{16}")
"""In a key under a name such as `my_key`, which may be that of a column or of a run (`lora-r4-lr1e-4`) as well."""
BLOCK = 2**19
SMALL, WORTH_AN_IMPORT = 2**14, 2**20
FILE_PIECE = 4 * 2**20
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
STRICT = re.compile(f"(?<![A-Za-z0-9])(?:{_ANY})")
STRICT_BYTES = re.compile(STRICT.pattern.encode())

NAMED = re.compile(
    r"(?i)(?:.*[^a-z])?(?:api_?-?key|secret|(?:secret|client|access|private|account|service|license|encryption)_?-?"
    r"(?:access_?-?)?key|passw(?:or)?d|passphrase|client_?secret|"
    r"(?:access|auth|refresh|bearer|api|hf|hub|github|gh|gitlab|wandb|openai|slack|session|user|bot|hugging_?face)_?-?token|"
    r"token|credentials?|authorization)\d?"
)
"""Names whose values are secrets, if these are no plain words."""
TOKEN_NAMED = re.compile(r"(?i)token(?:\d|_\w{1,3})?$")
TOKEN = re.compile(r"[\w.~+/=:%,;@!-]+", re.ASCII)
"""What tokens of services consist of: `<|endoftext|>`, `[PAD0000]` and `### End` are those of a tokenizer."""
ENDS_IN_JSON = tuple(
    f'{end}":' for end in ("key", "token", "secret", "password", "passwd", "passphrase", "credential", "credentials", "authorization")
)
"""What a secret's name ends with, as a key in JSON."""
ENVIRONMENT = re.compile(r"(?i)(?:.*_)?(?:[a-z]*key|[a-z]*token|secret|passw(?:or)?d|pass|passphrase|credentials?|pat|auth)(?:_\w{1,3})?")
NO_SECRETS = re.compile(r"(?i)^(?:/|\./|~|[a-z]+://|true$|false$)")
"""Paths and addresses: variables such as SSH_AUTH_SOCK and GOOGLE_APPLICATION_CREDENTIALS name where something is."""

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
NAME_ENDS = (b"key", b"ken", b"ret", b"ord", b"swd", b"ase", b"ial", b"als", b"ion")
NAME_ENDINGS = frozenset(end.decode() for end in NAME_ENDS)
SHORT_TEXT, MEMOIZE = 0x8C, 0x94
NUMBERS = b"KMJG\x8a"
"""Opcodes of pickle: a text of up to 255 bytes, its entry in the memo, and the numbers."""

_known: dict[str, str] = {}
"""Values known to be secret, and what they are called."""
_environment: dict[Any, Any] = {}


def remember(value: object, what: str) -> None:
    """`value` is a secret from now on, called `what`; too short a one cannot be told from other texts."""
    text = value.decode("utf-8", "ignore") if isinstance(value, bytes) else value
    if isinstance(text, str) and SHORTEST <= len(text) <= 4 * LONGEST:
        _known.setdefault(text, what)


def known() -> Mapping[str, str]:
    """Values known to be secret, with what they are called; the environment's as they are now."""
    raw = getattr(os.environ, "_data", os.environ)
    if raw != _environment:
        _environment.clear()
        _environment.update(raw)
        for name, value in os.environ.items():
            if is_secret_variable(name, value):
                remember(value, f"os.environ[{name!r}]")
    return _known


def is_secret_variable(name: str, value: str) -> bool:
    """Whether an environment variable's value is a secret."""
    if STRICT.search(value):
        return True
    return ENVIRONMENT.fullmatch(name) is not None and NO_SECRETS.match(value) is None and no_plain_word(value)


def is_secret_name(name: str) -> bool:
    return NAMED.fullmatch(name) is not None


def is_secret_variable_of_notebook(name: str, value: str | bytes) -> bool:
    """Whether a variable of the notebook is a secret: its name says so, or half says so and the value is like a key."""
    if _is_mark(name, value):
        return False
    if is_secret_name(name):
        return no_plain_word(value)
    text = value.decode("latin1") if isinstance(value, bytes) else value
    return ENVIRONMENT.fullmatch(name) is not None and UNBROKEN.search(text) is not None and no_plain_word(text, SHORTEST_INSIDE)


def is_secret_under(value: str, name: str) -> bool:
    """Whether `value` is a secret by the name that it stands under in a container."""
    shortest = SHORTEST_TOKEN if name.lower() == "token" else SHORTEST_INSIDE
    return is_secret_name(name) and no_plain_word(value, shortest) and not _is_mark(name, value)


def _is_mark(name: str, value: str | bytes) -> bool:
    """Whether `value` stands under the name of a token, and is one that marks a place in a text."""
    text = value.decode("latin1") if isinstance(value, bytes) else value
    return TOKEN_NAMED.search(name) is not None and TOKEN.fullmatch(text) is None


def no_plain_word(value: str | bytes, shortest: int = SHORTEST) -> bool:
    """Whether a value under a secret's name is one: not a word such as "accuracy", nor a sentence."""
    text = value.decode("latin1") if isinstance(value, bytes) else value
    if not shortest <= len(text) <= LONGEST or any(map(str.isspace, text)):
        return False
    mixed = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return mixed if shortest > SHORTEST else mixed or len(text) >= 20 or not text.isidentifier()


def spans(text: str, *, under: str | None = None) -> list[tuple[int, int, str]]:
    """Where secrets stand in `text`: start, end and what each is; `under` is the name that it stands under."""
    if under is not None and is_secret_under(text, under) and len(set(text)) >= 8:
        what = f"the value under {under!r}"
        remember(text, what)
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


def what_is(token: str) -> str:
    """What a token of a known shape is, in words."""
    return next((what for what, shape in SHAPES if re.match(shape, token)), "a secret")


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
    if holds(whole.encode("utf-8", "surrogatepass")) or any(secret in whole for secret in written):
        return _without(value)
    lowered = whole.lower()
    return _without(value) if any(end in lowered for end in ENDS_IN_JSON) else value


def _without(value: Any, under: str | None = None) -> Any:
    if isinstance(value, str):
        if under is not None and spans(value, under=under):
            return HIDDEN if is_secret_under(value, under) else scrubbed(value)
        return scrubbed(value)
    if isinstance(value, Mapping):
        found = {scrubbed(key) if isinstance(key, str) else key: _without(part, str(key)) for key, part in value.items()}
        return value if all(found.get(key, found) is part for key, part in value.items()) else found
    if isinstance(value, (list, tuple)):
        parts = [_without(part, under) for part in value]
        return value if all(new is old for new, old in zip(parts, value, strict=True)) else parts
    return value


def holds(data: bytes) -> str:
    """What secret stands in `data`, by shape or as a known value; "" for none."""
    for _, match in _shapes(data, STRICT_BYTES):
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
    if any(True for _ in _shapes(pickled, LOOSE)):
        return True
    if any(value.encode("utf-8", "surrogatepass") in pickled for value in known()):
        return True
    return _names_one(pickled)


def _shapes(data: bytes, pattern: re.Pattern[bytes]) -> Iterator[tuple[int, bytes]]:
    at = 0
    for place in _places(data):
        tries = (pattern.match(data, start) for start in range(max(place - FARTHEST, at), place + 1))
        match = next(filter(None, tries), None)
        if match is not None:
            at = match.end()
            yield match.start(), match[0]


def _places(data: bytes) -> list[int]:
    """Where the bytes stand that every shape has, in order."""
    numpy = _numpy(len(data))
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


def _numpy(size: int) -> Any:
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


def _names_one(pickled: bytes) -> bool:
    """Whether a text that is a secret's name stands in the pickle, and no number follows it."""
    for start, end in _names(pickled):
        after = pickled[end + 1 : end + 2] if pickled[end : end + 1] == bytes([MEMOIZE]) else pickled[end : end + 1]
        if after not in NUMBERS and is_secret_name(pickled[start:end].decode("utf-8", "replace")):
            return True
    return False


def _names(pickled: bytes) -> Iterator[tuple[int, int]]:
    """Short texts that end as secrets' names do."""
    numpy = _numpy(len(pickled))
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
