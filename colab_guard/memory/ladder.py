"""What is tried when memory runs out, in this order, at a fixed effective batch; and what has worked.

    the same again      memory may have been full of what nothing needed any more
    half the rows       in one pass, down to one; as many passes more, so that the optimizer's step is of all rows
    checkpointing       activations are computed again in the backward pass; with all rows in one pass first
    shorter sequences   only where the user has allowed it: half of the tokens, down to `SHORTEST`

A rung that worked is tried again when it fails later, but not for ever. What worked is known by the model and the device,
for rows of that width and wider ones, and is JSON, for commits.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

AGAIN_TIMES = 2
LEFT_OUT = frozenset(
    {"_name_or_path", "transformers_version", "architectures", "dtype", "torch_dtype", "use_cache"}
    | {"problem_type", "id2label", "label2id"}
)
"""Entries of a model's configuration that do not change what it takes; some are set when it first runs."""


@dataclass(slots=True)
class Rung:
    """What holds for one model on one device. `sizes`: rows in one pass, by the width of a row from which that holds."""

    sizes: dict[int, int] = field(default_factory=dict)
    checkpointing: bool = False
    whole: bool = False
    """Whether its loss over all rows is not the sum of its losses over parts, so that they stay together."""
    longest: int | None = None
    """Tokens of a row at most; it holds where, and as long as, shorter sequences are allowed."""
    again: int = 0
    worked: bool = True

    def size(self, width: int, rows: int) -> int:
        """Rows in one pass, of `rows` that are `width` wide."""
        return min([rows, *(size for wide, size in self.sizes.items() if wide <= width)])

    @property
    def changed(self) -> bool:
        return bool(self.sizes) or self.checkpointing or self.longest is not None

    def down(self, width: int, rows: int, *, can_checkpoint: bool, again: bool = True, whole: bool = False) -> str | None:
        """Go one rung down after a failure at this one; what is tried now, in words, or None where nothing is left.

        Without `again` the same is not tried once more. `whole`: this batch stays together, whatever holds for others.
        """
        if again and self.worked and self.again < AGAIN_TIMES:
            self.again += 1
            self.worked = False
            return "the same again"
        self.again, self.worked = 0, False
        size = self.size(width, rows)
        if size > 1 and not (self.whole or whole):
            half = (size + 1) // 2
            # what is narrower is left as it was, and what is wider cannot take more
            self.sizes = {wide: min(had, half) if wide > width else had for wide, had in self.sizes.items()} | {width: half}
            return f"{told_split(size, rows)} → {told_split(half, rows)}"
        if can_checkpoint and not self.checkpointing:
            self.checkpointing, self.sizes = True, {}
            return "gradient checkpointing switched on"
        return None

    def shorten(self, longest: int, width: int, rows: int | None) -> None:
        """The last rung: rows are cut to `longest` tokens, so that they are `width` wide, and no more of them fit than before.

        `rows`: how many went in one pass; None for all. Where others are cut further already, that stays.
        """
        further = self.longest is not None and self.longest <= longest
        known = self.sizes if further else {}
        self.longest = self.longest if further else longest
        self.sizes = known if rows is None else known | {width: rows}
        self.worked = False

    def told(self, *, shorter: bool = True, split: bool = True) -> str:
        """What has changed, for people; without `split` nothing of fewer rows, without `shorter` nothing of shorter ones."""
        words = [f"at most {size} rows in one pass" for size in [min(self.sizes.values(), default=0)] if size and split]
        words += ["gradient checkpointing"] if self.checkpointing else []
        words += [f"sequences of at most {self.longest} tokens"] if shorter and self.longest is not None else []
        return " and ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)

    def to_json(self) -> dict[str, Any]:
        sizes = {str(width): size for width, size in self.sizes.items()}
        return {"sizes": sizes, "checkpointing": self.checkpointing, "whole": self.whole, "longest": self.longest}

    @classmethod
    def from_json(cls, known: Mapping[str, Any]) -> Rung:
        sizes = {int(width): int(size) for width, size in known["sizes"].items()}
        # what was committed before there was the last rung has no `longest`
        return cls(sizes, bool(known["checkpointing"]), bool(known["whole"]), known.get("longest"))


def told_split(size: int, rows: int) -> str:
    passes = -(-rows // size)
    return f"{size} rows in one pass" if passes == 1 else f"{size} rows in each of {passes}"


def kind_of(models: Sequence[Any]) -> str:
    """What runs of the same shape have in common: the models' configuration and parameters, and the device."""
    told: list[Any] = []
    device = "none"
    for model in models:
        config = getattr(model, "config", None)
        entries: Mapping[str, Any] = config.to_dict() if config is not None and hasattr(config, "to_dict") else {}
        told.append(type(model).__qualname__)
        told.append({name: value for name, value in entries.items() if name not in LEFT_OUT})
        for parameter in model.parameters():
            told.append([list(parameter.shape), str(parameter.dtype), parameter.requires_grad])
            device = _device(parameter)
    digest = hashlib.sha256(json.dumps(told, sort_keys=True, default=repr).encode()).hexdigest()[:16]
    return f"{digest} on {device}"


def _device(parameter: Any) -> str:
    if parameter.device.type != "cuda":
        return str(parameter.device.type)
    import torch

    properties = torch.cuda.get_device_properties(parameter.device)
    return f"{properties.name}, {properties.total_memory / 2**30:.0f} GiB"


def can_checkpoint(model: Any) -> bool:
    """Whether `switch_on_checkpointing` would change something."""
    if _enabler(model) is None or not getattr(model, "supports_gradient_checkpointing", False):
        return False
    on = "is_activation_checkpointing" if hasattr(model, "is_activation_checkpointing") else "is_gradient_checkpointing"
    return not getattr(model, on, False)


def switch_on_checkpointing(model: Any) -> None:
    """Compute activations again in the backward pass (Chen et al. 2016), by transformers' own switch."""
    name = _enabler(model)
    assert name is not None
    word = "activation" if name.startswith("activation") else "gradient"
    getattr(model, name)(**{f"{word}_checkpointing_kwargs": {"use_reentrant": False}})


def _enabler(model: Any) -> str | None:
    names = ("activation_checkpointing_enable", "gradient_checkpointing_enable")
    return next((name for name in names if hasattr(model, name)), None)
