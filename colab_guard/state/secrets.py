"""Secrets in the graph: referred to by where the same value is found again, never stored.

A pickle that may hold a secret (`tokens` tells) is made once more by a pickler that looks at every text. One that is a
secret, or holds one, travels as a reference: to an environment variable, to a variable that an earlier cell makes, to a
text that the guarded cell or an earlier function itself holds, or to Colab's user data, whichever had that value when the
cell began. Where there is none, the snapshot is refused and says so; where no code will read it again, it is named as
not kept. On a resume the reference is bound again; that the value is the one of then is told by a short print of it:
32 bits from scrypt, enough to notice another token and too few to find one by trying.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import types
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from colab_guard import hosts
from colab_guard.errors import CannotResume, SnapshotRefused
from colab_guard.state import tokens
from colab_guard.state.named_values import named_values
from colab_guard.state.secret_names import LONGEST, SHORTEST, is_secret_variable_of_notebook, no_plain_word, password_in
from colab_guard.state.shapes import STRICT

SECRETS = "secrets"
"""The part of a snapshot that lists its references."""
PASSWORD = " password"
ENDINGS = tokens.NAME_ENDINGS
NUMBERS = frozenset({int, float, bool, type(None)})
PRINT_BYTES = 4
CONSTANTS_DEEP = 50_000
"""Texts in code that are compared with a secret at most."""


@dataclass(frozen=True, slots=True)
class Reference:
    """Where a secret's value is found again: `kind` is "environ", "name", "code" or "userdata".

    With " password" behind it, it is the password in the address that is found there.
    """

    kind: str
    name: str
    salt: str
    print: str

    def words(self) -> str:
        """What a person calls it."""
        where = {"environ": f"os.environ[{self.name!r}]", "name": f"the variable {self.name}", "userdata": f"Colab's secret {self.name}"}
        kind, _, part = self.kind.partition(" ")
        found = where.get(kind, f"a text in {self.name}() of the notebook" if self.name else "a text in the cell")
        return f"the {part} in {found}" if part else found

    def matches(self, value: str) -> bool:
        """Whether `value` is the one of then."""
        return _print(value, self.salt) == self.print


class Secrets:
    """The secrets of one piece of guarded work. `start` is the namespace when it began, `code` the cell's.

    What was captured with references is in `used`.
    """

    def __init__(self, start: Mapping[str, Any], code: types.CodeType | None = None) -> None:
        self._start = start
        self._code = code
        self._environment = dict(os.environ)
        self._salt = os.urandom(8).hex()
        self._references: dict[str, Reference | None] = {}
        self.used: dict[Reference, str] = {}
        """References in what was captured, with what each stands for, in words."""
        self.watching = False
        """Whether the last capture held secrets, so that the next one looks at all texts at once."""
        self._clean: tuple[bytes, ...] = ()
        tokens.known()
        for name, value in start.items():
            if isinstance(value, (str, bytes)) and is_secret_variable_of_notebook(name, value):
                tokens.remember_variable(value, f"the variable {name}")

    # capture

    def is_clean(self, data: bytes) -> bool:
        """Whether `data` is the very object that the last capture had found to hold no secret."""
        return any(data is one for one in self._clean)

    def note_clean(self, parts: Iterable[bytes]) -> None:
        self._clean = tuple(parts)

    def reference(self, value: str) -> Reference | None:
        """Where `value` will be found again; None where it is nowhere to be found."""
        if value not in self._references:
            found = next(self._places(value), None)
            made = None if found is None else Reference(*found, self._salt, _print(value, self._salt))
            if made is None:
                return None  # it may come to be somewhere
            self._references[value] = made
        return self._references[value]

    def said(self) -> dict[str, str]:
        """What a person is told of the references: what is not stored, and that it is bound again."""
        why = "{}; no snapshot stores it, and a resume binds it again: it has to be there then"
        return {reference.words(): why.format(what) for reference, what in self.used.items()}

    def _places(self, value: str) -> Iterator[tuple[str, str]]:
        for kind, name, text in self._texts():
            if text == value:
                yield kind, name
            elif value in text and password_in(text) == value:
                yield kind + PASSWORD, name

    def _texts(self) -> Iterator[tuple[str, str, str]]:
        """All that a reference can lead to: kind, name and text."""
        yield from (("environ", name, text) for name, text in self._environment.items())
        for name, held in self._start.items():
            if type(held) in (str, bytes) and not name.startswith("_"):
                yield "name", name, _text(held)
        yield from (("userdata", name, text) for name, text in USER_DATA.items())
        for name, code in self._codes():
            yield from (("code", name, text) for text in _texts(code))

    def _codes(self) -> Iterator[tuple[str, types.CodeType]]:
        if self._code is not None:
            yield "", self._code
        for name, held in self._start.items():
            if isinstance(held, types.FunctionType) and held.__module__ == "__main__":
                yield name, held.__code__

    # restore

    def value_of(self, reference: Reference) -> str | None:
        """What `reference` stands for here; None where it is not here."""
        kind, _, part = reference.kind.partition(" ")
        read = password_in if part else str
        if kind == "environ":
            held = self._environment.get(reference.name)
            return None if held is None else read(held)
        if kind == "name":
            held = self._start.get(reference.name)
            return read(_text(held)) if isinstance(held, (str, bytes)) else None
        if kind == "userdata":
            held = _read_user_data(reference.name)
            return None if held is None else read(held)
        texts = (read(text) for name, code in self._codes() if name == reference.name for text in _texts(code))
        return next((text for text in texts if _may_be(text) and reference.matches(text)), None)


USER_DATA: dict[str, str] = {}
"""What was read of Colab's user data in this kernel."""


def remember_user_data(name: str, value: str) -> None:
    """`value` was read as Colab's secret `name`, where it will be found again."""
    USER_DATA[name] = value
    tokens.remember(value, f"Colab's secret {name}")


def _read_user_data(name: str) -> str | None:
    try:
        return hosts.user_data(name)
    except hosts.NoAnswer:
        return None


def references(parts: Mapping[str, bytes]) -> list[Reference]:
    """The references of a snapshot; nothing is unpickled."""
    return [Reference(**told) for told in json.loads(bytes(parts[SECRETS]))] if SECRETS in parts else []


def listed(secrets: Secrets) -> dict[str, bytes]:
    """The part that lists them; none where nothing was replaced."""
    return {SECRETS: json.dumps([asdict(one) for one in secrets.used]).encode()} if secrets.used else {}


class Watching:
    """Mixed into a pickler: looks at every text, and replaces secrets. `begin` has been called with a `live` that has secrets."""

    live: Any
    lost_secrets: dict[str, str]
    _before: Any = None
    _quick: Any = None

    def persistent_id(self, thing: Any) -> str | None:
        before, self._before = self._before, thing
        kind = type(thing)
        if kind is not str and kind is not bytes:
            # most are numbers and containers, of which nothing is to be asked
            if kind in NUMBERS or (kind is dict and "key" not in thing):
                return None
            if (kind is tuple or kind is list) and (type(before) is not str or before[-3:].lower() not in ENDINGS):
                return None
            if not _is_text_of_numpy(kind):
                self._look_inside(before, thing)
                return None
        if len(thing) < SHORTEST:
            return None
        text = _text(thing)
        if self._quick is None:
            self._quick = tokens.quick_look()
        if self._quick(text) is None and (type(before) is not str or before[-3:].lower() not in ENDINGS):
            return None
        found = tokens.spans(text, under=before if type(before) is str else None)
        return self._reference(thing, text, found) if found else None

    def _look_inside(self, before: Any, thing: Any) -> None:
        """What `thing` holds under a secret's name is known from now on, and replaced when the pickler comes to it."""
        for name, value in named_values(before, thing):
            if tokens.remember_under(value, name):
                self._quick = None

    def _reference(self: Any, thing: Any, text: str, found: list[tuple[int, int, str]]) -> str:
        secrets: Secrets = self.live.secrets
        pieces: list[Any] = []
        at = 0
        for start, end, what in found:
            reference = secrets.reference(text[start:end])
            if reference is None:
                return self._without(thing, what)
            secrets.used.setdefault(reference, what)
            pieces += [text[at:start], asdict(reference)]
            at = end
        return json.dumps([type(thing).__name__, *pieces, text[at:]])

    def _without(self: Any, thing: Any, what: str) -> str:
        """A secret that will not be found again: refused, or lost where nothing needs it."""
        reason = f"it is or holds {what}, which no snapshot stores, and nothing of before this cell has that value"
        if self._refusing:
            path = self.path_of(thing)
            raise SnapshotRefused(
                f"{path}: {reason}; set it as an environment variable or a variable in a cell above this one, and run both"
            )
        placeholder = self.note_loss(thing, reason)
        return json.dumps(["lost", asdict(placeholder)])


def rebuilt(told: str, secrets: Secrets, lost: Callable[..., Any]) -> Any:
    """What a reference in a pickle stands for, here; CannotResume names what is not here."""
    kind, *pieces = json.loads(told)
    if kind == "lost":
        return lost(**pieces[0])
    texts = []
    for piece in pieces:
        if isinstance(piece, str):
            texts.append(piece)
            continue
        reference = Reference(**piece)
        value = secrets.value_of(reference)
        if value is None:
            raise CannotResume(f"the snapshot needs the value of {reference.words()}, which is not here; set it in a cell above this one")
        texts.append(value)
    text = "".join(texts)
    if kind == "str_":
        return sys.modules["numpy"].str_(text)
    return text.encode("latin1") if kind == "bytes" else text


def _text(thing: Any) -> str:
    """A text, or bytes as one with the same tokens in it."""
    return thing.decode("latin1") if isinstance(thing, bytes) else str(thing)


def _is_text_of_numpy(kind: type) -> bool:
    """Whether a text of this kind is pickled as bytes, in which none is found: an item of an array of texts is one."""
    return kind.__name__ == "str_" and kind.__module__ == "numpy"


def _may_be(text: str) -> bool:
    return SHORTEST <= len(text) <= 4 * LONGEST and (STRICT.search(text) is not None or no_plain_word(text))


def _texts(code: types.CodeType) -> Iterator[str]:
    """Texts that `code`, and code nested in it, holds."""
    todo: list[Any] = [code]
    for _ in range(CONSTANTS_DEEP):
        if not todo:
            return
        thing = todo.pop()
        if isinstance(thing, types.CodeType):
            todo += thing.co_consts
        elif isinstance(thing, (tuple, frozenset)):
            todo += thing
        elif isinstance(thing, (str, bytes)):
            yield _text(thing)


_prints: dict[tuple[str, str], str] = {}


def _print(value: str, salt: str) -> str:
    key = (value, salt)
    if key not in _prints:
        made = hashlib.scrypt(value.encode("utf-8", "surrogatepass"), salt=bytes.fromhex(salt), n=2**14, r=8, p=1, dklen=PRINT_BYTES)
        _prints[key] = made.hex()
    return _prints[key]
