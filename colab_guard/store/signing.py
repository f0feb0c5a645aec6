"""Signatures, where the user has a key: HMAC-SHA256 over what a commit record or a lease says.

A commit is loaded by unpickling, which runs code, so who can write a commit can run code here. With a key (the
environment's `COLAB_GUARD_KEY`, or Colab's user data of that name) only what was signed with it counts: a record, a
lease or a mark that is unsigned, signed with another key, or was signed for another NAME is passed over and said. Packs
need no signature: a signed record names them, and each of its chunks, by their hashes.

What a key cannot tell: whether something is missing. Who can write to a mirror can remove newer commits and leases, so
that an older signed commit of the same NAME is taken up; where the local store still is, it is compared with and wins.
He can also damage or delete everything, and make writers stand back by a lease of a higher generation; it does not count
for what is read. And nothing is encrypted: what lies on a mirror can be read there.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from typing import Any

from colab_guard.errors import StoreDamaged

KEY_VARIABLE = "COLAB_GUARD_KEY"
_from_user_data: list[str] = []


def use_key(key: str | None) -> None:
    """Sign, and ask for signatures, with `key` where the environment has none; None takes that back."""
    _from_user_data[:] = [key] if key else []


def the_key() -> bytes | None:
    """The key in force; None where the user has none."""
    key = os.environ.get(KEY_VARIABLE) or "".join(_from_user_data)
    return key.encode() if key else None


def signed(content: Mapping[str, Any]) -> bytes:
    """`content` as JSON in its order, with an HMAC-SHA256 of the rest where there is a key."""
    body = _canonical(content)
    key = the_key()
    return body if key is None else _canonical({**content, "hmac": hmac.new(key, body, hashlib.sha256).hexdigest()})


def opened(data: bytes, what: str) -> dict[str, Any]:
    """The content; StoreDamaged where it is no JSON object, or where there is a key and the signature is missing or wrong."""
    try:
        content = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise StoreDamaged(f"{what} is no JSON") from error
    if not isinstance(content, dict):
        raise StoreDamaged(f"{what} is no JSON object")
    signature = content.pop("hmac", None)
    key = the_key()
    if key is not None and not (isinstance(signature, str) and signature.isascii() and _proves(signature, key, data, content)):
        raise StoreDamaged(f"{what} is {'not signed' if signature is None else 'signed with another key'}")
    return content


def _proves(signature: str, key: bytes, data: bytes, content: Mapping[str, Any]) -> bool:
    """Whether `signature` is that of the rest of `data`: of its very bytes where it stands last, as `signed` puts it."""
    ending = f',"hmac":"{signature}"}}'.encode()
    body = data.removesuffix(ending) + b"}" if data.endswith(ending) else _canonical(content)
    return hmac.compare_digest(signature, hmac.new(key, body, hashlib.sha256).hexdigest())


def mark(text: str) -> str:
    """What proves `text`, a line of its own: an HMAC where there is a key, else a hash against damage; 16 digits."""
    key = the_key()
    made = hashlib.sha256(text.encode()) if key is None else hmac.new(key, text.encode(), hashlib.sha256)
    return made.hexdigest()[:16]


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
