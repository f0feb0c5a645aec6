"""What a plan is asked for: words checked, the run's parameters heard, a name looked up, and the question's own name."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from colab_guard.errors import BadOption
from colab_guard.plan import kept

CHOICES = ("batch_size", "dtype", "lora_rank", "lora_alpha", "gradient_checkpointing")
"""Chosen unless they are given."""
ASSUMED = ("method", "sequence", "task", "attention", "optimizer", "four_bit", "lora_targets", "lora_dropout", "padded", "loop")
"""Taken as `Step` has them unless they are given."""
NUMBERS = {"effective_batch": 16, "batch_size": 2, "lora_rank": 4, "lora_alpha": 8, "sequence": 512}
"""Choices that are whole numbers, each with an example."""
ALLOWED = ("shorter", "4bit")
"""What may be permitted where nothing fits: shorter sequences, the base's weights in 4 bits."""


@dataclass(frozen=True, slots=True)
class Given:
    """What was given, and who said so, by the name of the choice."""

    values: dict[str, Any]
    sources: dict[str, str]

    def take(self, name: str, reasons: dict[str, str], default: Any, why: str) -> Any:
        """The value given, or the default, with its reason."""
        reasons[name] = self.sources.get(name, why)
        return self.values.get(name, default)

    def why(self, name: str) -> str | None:
        return self.sources.get(name)


def checked(options: Mapping[str, Any], said: Mapping[str, tuple[Any, str]]) -> Given:
    """Options by name, those of the run's parameters where none is given. Raises BadOption for words that mean nothing."""
    known = ("effective_batch", *CHOICES, *ASSUMED)
    unknown = sorted(set(options) - set(known))
    if unknown:
        raise BadOption(f"autoconfig does not know {', '.join(unknown)}; it takes {', '.join(known)}")
    values = {name: value for name, (value, _) in said.items()}
    sources = {name: f"the run's parameters say {parameter}={value}" for name, (value, parameter) in said.items()}
    for name, value in options.items():
        values[name] = _number(name, value) if name in NUMBERS else value
        sources[name] = "given"
    return Given(values, sources)


def _number(name: str, value: Any) -> int:
    """A whole number, be it written as a text."""
    try:
        found = int(value)
        if isinstance(value, bool) or (not isinstance(value, str) and found != value):
            raise ValueError
    except (TypeError, ValueError, OverflowError):
        raise BadOption(f"{name}={value!r} is no whole number; leave it out, or give e.g. {name}={NUMBERS[name]}") from None
    return found


def share(fraction: Any) -> float:
    """The share of a device's memory that may be used."""
    if isinstance(fraction, bool) or not isinstance(fraction, (int, float)) or not 0 < fraction <= 1:
        raise BadOption(f"fraction={fraction!r} is no share of memory; give one above 0 and up to 1, e.g. 0.85")
    return fraction


def allowed(words: str | Iterable[str] | None) -> frozenset[str]:
    """The permissions given; BadOption for others."""
    found = frozenset({words} if isinstance(words, str) else words or ())
    unknown = sorted(str(word) for word in found if word not in ALLOWED)
    if unknown:
        raise BadOption(f"allow={unknown[0]!r} means nothing; use {' or '.join(map(repr, ALLOWED))}")
    return found


def known(model: Any) -> tuple[Any, str]:
    """The model, or its config where only a name or folder is given and its config lies on this machine; and words about that.

    Nothing is downloaded.
    """
    if isinstance(model, type):
        raise BadOption(f"{model.__name__} is a class; give one of it: {model.__name__}()")
    if isinstance(model, float) and model.is_integer():
        model = int(model)  # 7e9
    if isinstance(model, (bool, float)) or (isinstance(model, int) and model < 1):
        raise BadOption(f"{model!r} is no number of parameters; give a whole number, or better the model's config")
    if not isinstance(model, str):
        return model, ""
    if not _lies_here(model):
        return model, f"the config of {model!r} is not on this machine (give AutoConfig.from_pretrained({model!r})), "
    from transformers import AutoConfig

    try:
        return AutoConfig.from_pretrained(model, local_files_only=True), ""
    except (OSError, ValueError) as error:
        return model, f"the config of {model!r} cannot be read ({str(error).splitlines()[0]}), "


def name_of(model: Any, values: Mapping[str, Any]) -> str:
    """The same for the same question: of the model and what was given with it."""
    told = json.dumps([kept.of_model(model), sorted(values.items())], sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def _lies_here(name: str) -> bool:
    """Whether a folder or transformers' cache has it; without importing transformers, which takes seconds."""
    if (Path(name) / "config.json").is_file():
        return True
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    cache = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    return bool(name) and (cache / f"models--{name.replace('/', '--')}").is_dir()
