"""What an estimate is asked for: one training step in words and numbers, checked when it is made."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from colab_guard.errors import BadOption

DTYPES = ("fp32", "fp16", "bf16")
METHODS = ("lora", "full")
ATTENTION = ("sdpa", "eager")
LOOPS = ("trainer", "plain")
OPTIMIZERS = ("adamw", "adamw_fused", "adamw_8bit", "sgd", "sgd_momentum", "adafactor")
TASKS = {
    "causal-lm": "AutoModelForCausalLM",
    "masked-lm": "AutoModelForMaskedLM",
    "seq2seq-lm": "AutoModelForSeq2SeqLM",
    "sequence-classification": "AutoModelForSequenceClassification",
    "token-classification": "AutoModelForTokenClassification",
    "image-classification": "AutoModelForImageClassification",
}
SEQUENCE = 512
"""Tokens of a sample where nobody says how many; a model that takes fewer gets what it takes."""
SHORTEST = 64
"""Tokens to which sequences are cut at most, where that is allowed: below, little is left of them to learn from."""


@dataclass(frozen=True, slots=True)
class Step:
    """A training step.

    batch           samples in a micro-batch
    sequence        tokens of a sample (models of texts)
    method          "lora" (the base frozen) or "full"
    weights         dtype of the base's weights; adapters are float32, as PEFT makes them
    autocast        dtype of the computation, or None: that of the weights
    checkpointing   activations computed again in the backward pass (not reentrant, as transformers does)
    attention       "sdpa" or "eager"
    optimizer       "adamw" is torch's own default: all parameters at once ("foreach") on CUDA, one by one on a CPU
    four_bit        base weights in NF4 with doubly quantized scales, as bitsandbytes stores them: from sizes
    accumulation    whether gradients are summed up over several micro-batches
    padded          whether samples differ in length, so that a mask is computed
    loop            "trainer": what transformers' Trainer keeps alive; "plain": `out = model(...)` lives until the next one
    """

    batch: int = 2
    sequence: int = SEQUENCE
    task: str | None = None
    method: str = "lora"
    weights: str = "fp16"
    autocast: str | None = None
    checkpointing: bool = False
    attention: str = "sdpa"
    optimizer: str = "adamw"
    lora_rank: int = 4
    lora_targets: Sequence[str] | str = "all-linear"
    lora_dropout: float = 0.0
    four_bit: bool = False
    accumulation: bool = False
    padded: bool = False
    loop: str = "trainer"

    def __post_init__(self) -> None:
        for name, known in (
            ("method", METHODS),
            ("weights", DTYPES),
            ("attention", ATTENTION),
            ("loop", LOOPS),
            ("optimizer", OPTIMIZERS),
            ("autocast", (None, *DTYPES[1:])),
            ("task", (None, *TASKS)),
        ):
            value = getattr(self, name)
            if value not in known:
                raise BadOption(f"{name}={value!r} means nothing; use {', '.join(str(word) for word in known)}")
        for name in ("batch", "sequence", "lora_rank"):
            if getattr(self, name) < 1:
                raise BadOption(f"{name}={getattr(self, name)} means nothing; give 1 or more")
        if self.four_bit and self.method == "full":
            raise BadOption("four_bit needs method='lora': weights in 4 bits cannot be trained themselves")

    def to_dict(self) -> dict[str, Any]:
        targets = self.lora_targets
        return {**asdict(self), "lora_targets": targets if isinstance(targets, str) else list(targets)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Step:
        return cls(**data)
