"""Arrays of texts are memory, which is not rewritten: no snapshot is taken where one holds a secret.

numpy's texts have a fixed width, in bytes or in characters of four bytes each, at any place of a record. One that fills
its width is followed by the next one at once: what may be a token by what stands before it is looked at text by text.
"""

from __future__ import annotations

import ctypes
import re
import sys
from collections.abc import Iterator
from typing import Any

from colab_guard.errors import SnapshotRefused
from colab_guard.state import tokens
from colab_guard.state.blocks import Block, Blocks
from colab_guard.state.shapes import LOOSE

OF_TEXTS = re.compile(r"(?:^|['<>|=])(?:[SU]\d|str|bytes)")
"""In the name of a dtype, also one of records: that there are texts."""
CHARACTER_BYTES = 4


def check_texts(small: bytes, blocks: Blocks) -> None:
    """SnapshotRefused where an array among `blocks`, or what all small ones have in a row, holds a secret."""
    of_texts = {kind for kind in {block.dtype for block in blocks.by_place.values()} if OF_TEXTS.search(kind)}
    texts = [block for block in blocks.by_place.values() if block.dtype in of_texts] if of_texts else []
    for label, what in [("a small array", tokens.holds(small)), *((block.label or "an array", _held_by(block)) for block in texts)]:
        if what:
            raise SnapshotRefused(f"{label} holds {what}, which no snapshot stores; keep it as a text in os.environ or a variable")


def _held_by(block: Block) -> str:
    data = ctypes.string_at(block.address, block.nbytes)
    ways = [way for way in (data, *(data[first::CHARACTER_BYTES] for first in range(CHARACTER_BYTES))) if tokens.holds(way, LOOSE)]
    return next(filter(None, map(tokens.holds, [*ways, *(_texts(block.owner) if ways else ())])), "")


def _texts(array: Any) -> Iterator[bytes]:
    """The texts in `array`, with something between each two; those of records field by field."""
    numpy = sys.modules["numpy"]
    if not isinstance(array, numpy.ndarray):
        return
    plain = array.view(numpy.ndarray)
    for name in plain.dtype.names or ():
        yield from _texts(plain[name])
    if plain.dtype.kind in "SU":
        texts = plain.ravel().tolist()
        yield b"\n".join(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass") for text in texts)
