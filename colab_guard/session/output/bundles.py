"""A displayed value as data that a commit can hold: small representations as JSON, large ones and images as bytes.

Images come as base64 text or as bytes, depending on the version of IPython; they are stored as bytes, and given back as
the text that a kernel sends. A representation that is no JSON (which no kernel could send) is left out.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from colab_guard.session.output.scrubbing import scrubbed, scrubbed_data

INLINE_BYTES = 4096
"""Representations that are not longer stand in the lines of the record; the others are bytes of their own."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """`inline`: mime type → JSON text; `blobs`: mime type → (how the bytes are to be read, name, bytes)."""

    inline: Mapping[str, str]
    blobs: Mapping[str, tuple[str, str, bytes]]
    metadata: str = "{}"

    @property
    def size(self) -> int:
        return sum(len(text) for text in self.inline.values()) + sum(len(blob[2]) for blob in self.blobs.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "data": {mime: json.loads(text) for mime, text in self.inline.items()},
            "blobs": {mime: [how, name] for mime, (how, name, _) in self.blobs.items()},
            "metadata": json.loads(self.metadata),
        }

    @classmethod
    def from_json(cls, told: Mapping[str, Any], blob: Callable[[str], bytes]) -> Bundle:
        return cls(
            {mime: _json(value) for mime, value in told["data"].items()},
            {mime: (how, name, blob(name)) for mime, (how, name) in told["blobs"].items()},
            _json(told["metadata"]),
        )

    def data(self) -> dict[str, Any]:
        """The representations as a kernel sends them."""
        found = {mime: json.loads(text) for mime, text in self.inline.items()}
        return found | {mime: _READ[how](blob) for mime, (how, _, blob) in self.blobs.items()}


def bundled(data: Mapping[str, Any], metadata: Mapping[str, Any] | None) -> Bundle:
    """What was displayed, copied: nothing that happens to `data` later changes it."""
    inline: dict[str, str] = {}
    blobs: dict[str, tuple[str, str, bytes]] = {}
    for mime, value in data.items():
        try:
            how, content = _content(mime, value)
        except (TypeError, ValueError, RecursionError):
            continue
        if how == "json" and len(content) <= INLINE_BYTES:
            inline[mime] = content.decode("utf-8", "surrogatepass")
        else:
            name = hashlib.blake2b(content, digest_size=16).hexdigest()
            blobs[mime] = (how, name, content)
    try:
        told = _json(scrubbed_data(dict(metadata or {})))
    except (TypeError, ValueError, RecursionError):
        told = "{}"
    return Bundle(inline, blobs, told)


def _content(mime: str, value: Any) -> tuple[str, bytes]:
    if isinstance(value, bytes):
        return "image", value
    if isinstance(value, str) and mime.startswith("image/") and not mime.endswith("xml"):
        try:
            content = base64.b64decode(value, validate=False)
        except binascii.Error:
            content = b""
        written = base64.b64encode(content).decode()
        if written == value:
            return "image", content
        if written + "\n" == value:
            return "image line", content
    text = scrubbed(value) if isinstance(value, str) else scrubbed_data(value)
    return "json", _json(text).encode("utf-8", "surrogatepass")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


_READ: dict[str, Callable[[bytes], Any]] = {
    "json": lambda blob: json.loads(blob.decode("utf-8", "surrogatepass")),
    "image": lambda blob: base64.b64encode(blob).decode(),
    "image line": lambda blob: base64.b64encode(blob).decode() + "\n",
}
