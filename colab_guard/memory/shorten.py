"""Sequences cut to fewer tokens, where the user has allowed it: which entries of a batch are cut, and where.

What is cut is told by shape, from `input_ids` (rows × tokens, or rows × choices × tokens): entries that begin with the
same dimensions have one value a token, and attention masks have the tokens in their last dimensions. What has no such
dimension stays as it is. The first tokens are kept; where the mask says that rows are padded at their beginning, the last.

Where that would be a guess, nothing is cut, and the entry is named: places in the sequence (`start_positions`), images
and sounds that tokens stand for, several texts packed into a row, dimensions that are about as long as the sequence, models
whose output has a length of its own.
"""

from __future__ import annotations

import copy
import re
from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import Any

from colab_guard.plan.step import SHORTEST

MASKS = re.compile(r"(?:^|_)attention_(?:mask|bias)$")
PLACES = re.compile(r"(?:^|_)(?:positions?|indices|index|offsets?|spans?|lengths?)$|_token_ids$|^cu_seq|^max_length_[qk]$")
PER_TOKEN = frozenset({"position_ids", "token_type_ids"})


def length_of(batch: Any) -> int | None:
    """Tokens in a row of the batch; None where it names no `input_ids`."""
    tokens = _tokens(batch)
    return None if tokens is None else int(tokens.shape[-1])


def halved(length: int) -> int | None:
    """The next shorter length; None at the shortest."""
    return max((length + 1) // 2, SHORTEST) if length > SHORTEST else None


def obstacle(batch: Any, models: Sequence[Any]) -> str | None:
    """Why the sequences of `batch` cannot be cut; None where they can."""
    tokens = _tokens(batch)
    if tokens is None:
        return "the batch is no mapping with input_ids of rows and tokens"
    if any(getattr(getattr(model, "config", None), "is_encoder_decoder", False) for model in models):
        return "the model's output has a length of its own"
    if halved(int(tokens.shape[-1])) is None:
        return f"{tokens.shape[-1]} tokens are short already"
    return next((f"{name} {why}" for name, value in batch.items() if (why := _unclear(name, value, tokens))), None)


def cut_to(batch: Any, longest: int) -> Any:
    """The batch with at most `longest` tokens a row, where `obstacle` says nothing against it; tensors are views."""
    tokens = _tokens(batch)
    length = int(tokens.shape[-1])
    if length <= longest:
        return batch
    span = slice(length - longest, None) if _padded_at_the_beginning(batch, length) else slice(longest)
    cut = {name: _cut(value, _dimensions(name, value, tokens), span) for name, value in batch.items()}
    if isinstance(batch, UserDict):  # BatchEncoding
        short = copy.copy(batch)
        short.data = cut
        return short
    return cut if type(batch) is dict else type(batch)(cut)  # type: ignore[call-arg]


def _tokens(batch: Any) -> Any:
    if not isinstance(batch, (Mapping, UserDict)):
        return None
    found: Any = batch.get("input_ids")
    return found if _is_tensor(found) and found.ndim in (2, 3) else None


def _is_tensor(thing: Any) -> bool:
    return hasattr(thing, "shape") and hasattr(thing, "ndim")


def _unclear(name: Any, value: Any, tokens: Any) -> str | None:
    """Why it is not known what becomes of this entry."""
    if not _is_tensor(value):
        listed = isinstance(value, (list, tuple, Mapping)) and len(value) > 0
        return "is a list, whose place in the sequence is not known" if listed and not _are_texts(value) else None
    if PLACES.search(str(name)) and str(name) not in PER_TOKEN and not _is_per_token(value, tokens):
        return "tells places in the sequence"
    long = [n for n in range(1, value.ndim) if value.shape[n] == tokens.shape[-1]]
    if long != _dimensions(name, value, tokens):
        return f"has a dimension as long as the sequence ({tokens.shape[-1]}), which may be another"
    if name == "position_ids" and bool(((value == 0).sum(-1) > 1).any()):
        return "begin anew within a row, which holds several texts then"
    if long or value.ndim < 2:
        return None
    if _is_floating(value) and name != "labels":
        return "may belong to certain tokens"
    wide = next((size for size in value.shape[1:] if size > (tokens.shape[-1] + 1) // 2), None)
    return f"has a dimension of {wide}, which may be the sequence's" if wide is not None else None


def _dimensions(name: Any, value: Any, tokens: Any) -> list[int]:
    """The dimensions of an entry that are the sequence."""
    if not _is_tensor(value):
        return []
    if _is_per_token(value, tokens):
        return [tokens.ndim - 1]
    if MASKS.search(str(name)):
        return [n for n in (value.ndim - 2, value.ndim - 1) if n > 0 and value.shape[n] == tokens.shape[-1]]
    return []


def _is_per_token(value: Any, tokens: Any) -> bool:
    shape = tuple(value.shape[: tokens.ndim])
    return shape == tuple(tokens.shape) or shape == (1, *tokens.shape[1:])


def _is_floating(value: Any) -> bool:
    return bool(value.is_floating_point()) if hasattr(value, "is_floating_point") else value.dtype.kind == "f"


def _are_texts(value: Any) -> bool:
    return all(isinstance(one, (str, int, float, type(None))) for one in value)


def _cut(value: Any, dimensions: Sequence[int], span: slice) -> Any:
    for dimension in dimensions:
        value = value[(slice(None),) * dimension + (span,)]
    return value


def _padded_at_the_beginning(batch: Any, length: int) -> bool:
    mask = batch.get("attention_mask")
    if not _is_tensor(mask) or mask.ndim != 2 or mask.shape[1] != length:
        return False
    return bool((mask[:, 0] == 0).any())
