"""A print of a value that a cell reads: enough to tell later whether it is the same, and to say what changed.

Four kinds, by what a person would call them. `typed`: what people write into cells (numbers, strings, flags, containers
and configurations of these), with its parts in words. `code`: functions and classes of the notebook. `data`: arrays,
tensors, tables, long containers and texts. `object`: everything else, by its structure. What cannot be told has no
hash, and `why` says so; it is never taken for a change.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import fractions
import os
import re
import socket
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import PurePath
from typing import Any, Literal

from colab_guard.state import codes, tokens
from colab_guard.state.described import describe, is_data
from colab_guard.state.fingerprints import ATOMS
from colab_guard.state.memory import CannotTell
from colab_guard.state.structure import Structure

PrintKind = Literal["typed", "code", "data", "object"]
MOST_PARTS = 1000
"""Parts of a container above which nobody has typed it."""
PARTS_IN_WORDS = 64
LONGEST_WORDS = 80
LONG_TEXT = 2000
DEEPEST = 12
VALUES: tuple[type, ...] = (
    *ATOMS,
    range,
    slice,
    enum.Enum,
    PurePath,
    datetime.date,
    datetime.time,
    datetime.timedelta,
    decimal.Decimal,
    fractions.Fraction,
    re.Pattern,
)
SECRET_NAME = re.compile(r"(?i)(key|token|secret|passw|credential|auth)")
SECRET_VALUE = re.compile(r"^(hf_|sk-|ghp_|gho_|github_pat_|AKIA|AIza|xox[abp]-|eyJ)")
HIDDEN = "(not shown)"
SECRET_DIGITS = 8
"""Of the hash of a secret: enough to notice another one, too few to find it by trying."""
LAMBDA = "a lambda"


@dataclass(frozen=True, slots=True)
class Print:
    """`words` describe the value; `parts` (typed values) say each part, `classes` and `functions` are met inside."""

    kind: PrintKind
    hash: str | None
    words: str
    parts: Mapping[str, str] = field(default_factory=dict)
    sampled: bool = False
    why: str = ""
    classes: Mapping[str, type] = field(default_factory=dict)
    functions: Mapping[str, types.FunctionType] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        found: dict[str, Any] = {"kind": self.kind, "hash": self.hash, "words": self.words}
        if self.parts:
            found["parts"] = dict(self.parts)
        if self.sampled:
            found["sampled"] = True
        return found

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Print:
        return cls(data["kind"], data["hash"], data["words"], data.get("parts", {}), bool(data.get("sampled")))

    def same_as(self, other: Print) -> bool:
        """Whether both may be prints of equal values; what cannot be told is not taken for a change."""
        if self.hash is None or other.hash is None:
            return True
        if self.kind == other.kind == "code":
            mine, theirs = self.hash.split("+"), other.hash.split("+")
            return len(mine) == len(theirs) and all(map(codes.same_code, mine, theirs))
        return self.hash == other.hash

    def grew_into(self, other: Print) -> bool:
        """Whether both are tables with keys, and the other has these entries and more of them at its end."""
        if not (self.kind == other.kind and self.parts and self.words.startswith("dict of")):
            return False
        old, new = list(self.parts.items()), list(other.parts.items())
        keys = {path.partition("]")[0] for path in self.parts}
        return old == new[: len(old)] and all(path.partition("]")[0] not in keys for path, _ in new[len(old) :])

    def same_parts(self, other: Print) -> bool:
        """Whether all parts are equal, as far as both know them (a function brought back has lost its source)."""
        equal = all(text == other.parts.get(path) or LAMBDA in (text, other.parts.get(path)) for path, text in self.parts.items())
        return bool(self.parts) and list(self.parts) == list(other.parts) and equal


class _NotTyped(Exception):
    """A part is not what people type."""


def take_print(name: str, value: Any, until: float = float("inf")) -> Print:
    """The print of `value`, called `name` in the notebook; looking ends at `until` (of `time.monotonic`)."""
    try:
        return _print(name, value, until)
    except Exception as error:  # attributes of foreign objects may do anything; no print is no harm
        return Print("object", None, type(value).__name__, why=f"{type(error).__name__}: {error}".split("\n")[0])


def _print(name: str, value: Any, until: float) -> Print:
    definition = _definition(value)
    if definition is not None:
        return definition
    looked = Structure(until)
    try:
        parts = dict(_parts(value, "", looked, 0))
    except _NotTyped:
        parts = None
    if parts is not None and len(parts) <= MOST_PARTS and not (isinstance(value, (str, bytes)) and len(value) > LONG_TEXT):
        return _typed(name, value, parts, looked)
    looked = Structure(until)
    parts = {}
    try:
        if type(value) is dict and len(value) <= PARTS_IN_WORDS:
            parts = {f"[{key!r}]": f"#{looked.entry(key, part)}" for key, part in value.items()}
        found: str | None = looked.look_at(value)
        why = ""
    except CannotTell as reason:
        found, why, parts = None, str(reason), {}
    kind: PrintKind = "data" if is_data(value) else "object"
    return Print(kind, found, describe(value), _few(parts), looked.sampled, why, looked.classes, looked.functions)


# code


def _definition(value: Any) -> Print | None:
    if isinstance(value, (types.FunctionType, type)) and codes.is_local(value) and not codes.is_notebooks(value):
        module = sys.modules[value.__module__]
        return Print("code", codes.local_module_hash(module), f"{module.__name__}.py")
    functions = list(codes.functions_of(value))
    if isinstance(value, type) and codes.is_notebooks(value):
        return _class(value, functions)
    if not functions:
        return None
    held: dict[str, str] = {}
    hashes = []
    for function in functions:
        hashes.append(codes.code_hash(function))
        whose = "" if function is functions[0] else f" {function.__name__}"
        held.update(_typed_parts({f"{whose}({word})": default for word, default in codes.made_with(function).items()}))
    hashes.append(_hash_of(held))
    return Print("code", "+".join(hashes), f"{getattr(value, '__name__', functions[0].__name__)}()", _few(held))


def _class(cls: type, functions: list[types.FunctionType]) -> Print:
    data = {name: value for name, value in codes.class_data(cls).items() if not list(codes.functions_of(value))}
    held = dict(_typed_parts({f".{name}": value for name, value in data.items()}))
    held["bases"] = ", ".join(base.__qualname__ for base in cls.__bases__)
    hashes = [*(codes.code_hash(function) for function in functions), _hash_of(held)]
    return Print("code", "+".join(hashes), f"class {cls.__name__}", _few(held))


def _typed_parts(values: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """What of `values`, by their paths, was typed; the rest is left out."""
    for name, value in values.items():
        try:
            yield from list(_parts(value, name, Structure(), 0))
        except _NotTyped:
            continue


# what people type


def _typed(name: str, value: Any, parts: dict[str, str], looked: Structure) -> Print:
    secret = SECRET_NAME.search(name) is not None and isinstance(value, (str, bytes))
    shown = {path: HIDDEN if secret or _looks_secret(path, text) else _clip(text) for path, text in parts.items()}
    words = shown[""] if set(shown) == {""} else describe(value)
    found = _hash_of(parts, type(value).__qualname__)
    if HIDDEN in shown.values():
        found = found[:SECRET_DIGITS]
    return Print("typed", found, words, _few(shown), False, "", looked.classes, looked.functions)


def _looks_secret(path: str, text: str) -> bool:
    if tokens.holds(text.encode("utf-8", "surrogatepass")):
        return True
    return SECRET_VALUE.match(text.strip("'\"")) is not None or (SECRET_NAME.search(path) is not None and text[:1] in "'\"")


def _parts(value: Any, path: str, looked: Structure, depth: int) -> Iterator[tuple[str, str]]:
    """Every part of a typed value by its path, as text; raises _NotTyped at the first part that is something else."""
    if depth > DEEPEST:
        raise _NotTyped
    if isinstance(value, VALUES) or _is_small_value(value):
        yield path, repr(value.item() if _is_number(value) else value)
        return
    text = _definition_words(value, looked)
    if text is not None:
        yield path, text
        return
    inside = _inside(value, looked)
    if inside is None:
        raise _NotTyped
    if not inside:
        yield path, f"{type(value).__name__}()"
    for step, part in inside.items():
        yield from _parts(part, f"{path}{step}", looked, depth + 1)


def _inside(value: Any, looked: Structure) -> dict[str, Any] | None:
    kind = type(value)
    if isinstance(value, (list, tuple, dict, set, frozenset)) and len(value) > MOST_PARTS:
        return None
    if kind in (list, tuple) or (isinstance(value, tuple) and hasattr(value, "_fields")):
        return {f"[{number}]": part for number, part in enumerate(value)}
    if isinstance(value, dict) and kind.__module__ in ("builtins", "collections"):
        return {f"[{key!r}]": part for key, part in value.items()}
    if kind in (set, frozenset):
        plain = all(isinstance(part, VALUES) for part in value)
        return {f"{{{part!r}}}": part for part in sorted(value, key=repr)} if plain else None
    if dataclasses.is_dataclass(value) and not codes.is_notebooks(kind):
        return _library_configuration(value)
    if kind.__name__ in ("SimpleNamespace", "Namespace") or (codes.is_notebooks(kind) and hasattr(value, "__dict__")):
        if codes.is_notebooks(kind):
            looked.classes[kind.__qualname__] = kind
        return {f".{name}": part for name, part in vars(value).items()} if not isinstance(value, (list, dict, tuple)) else None
    return None


def _library_configuration(value: Any) -> dict[str, Any]:
    """A library's dataclass by its fields. Names of this host and of this moment stand in some; they are no setting."""
    found = {f".{f.name}": getattr(value, f.name, None) for f in dataclasses.fields(value) if f.init and f.repr}
    return {path: part for path, part in found.items() if not (isinstance(part, str) and _host() in part)}


def _definition_words(value: Any, looked: Structure) -> str | None:
    """A class or function inside a container: its name; the notebook's own are compared on their own."""
    if isinstance(value, types.ModuleType):
        return value.__name__
    if isinstance(value, type):
        if codes.is_notebooks(value):
            looked.classes[value.__qualname__] = value
        return f"{value.__module__}.{value.__qualname__}"
    if isinstance(value, types.FunctionType) and value.__closure__ is None:
        if not codes.is_notebooks(value):
            return f"{value.__module__}.{value.__qualname__}"
        if value.__name__ == "<lambda>":
            return codes.source(value) or LAMBDA
        looked.functions[value.__qualname__] = value
        return f"{value.__qualname__}()"
    if isinstance(value, types.BuiltinFunctionType) and isinstance(value.__self__, (types.ModuleType, type(None))):
        return f"{value.__module__}.{value.__qualname__}"
    return None


def _is_number(value: Any) -> bool:
    """A number of numpy: versions of it write those in different ways."""
    numpy = sys.modules.get("numpy")
    return numpy is not None and isinstance(value, (numpy.number, numpy.bool_))


def _is_small_value(value: Any) -> bool:
    numpy, torch = sys.modules.get("numpy"), sys.modules.get("torch")
    if _is_number(value) or (numpy is not None and isinstance(value, (numpy.str_, numpy.dtype))):
        return True
    return torch is not None and isinstance(value, (torch.device, torch.dtype, torch.Size))


def _clip(text: str) -> str:
    return text if len(text) <= LONGEST_WORDS else f"{text[: LONGEST_WORDS - 1]}…"


def _few(parts: Mapping[str, str]) -> dict[str, str]:
    return {path: _clip(text) for path, text in parts.items()} if len(parts) <= PARTS_IN_WORDS else {}


def _hash_of(parts: Mapping[str, str], kind: str = "") -> str:
    return Structure().look_at([kind, *parts.items()])


@lru_cache
def _host() -> str:
    return socket.gethostname() or os.uname().nodename
