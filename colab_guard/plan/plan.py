"""A training plan: what to train with on the device found, and why."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """Choices for one training run; `reasons` tells why, by the name of the choice. `memory_budget` and `expected_peak` in bytes.

    `weights` is the dtype in which a model's weights are loaded (`dtype` is computed in), `sequence` the tokens of a sample;
    `cut_from` is how many there were before, where the user has allowed shorter ones and nothing else would have fit.
    """

    device: str
    device_name: str
    dtype: str
    batch_size: int
    gradient_accumulation: int
    effective_batch: int
    lora_rank: int
    lora_alpha: int
    gradient_checkpointing: bool
    memory_budget: int
    reasons: Mapping[str, str] = field(default_factory=dict)
    method: str = "lora"
    weights: str = ""
    sequence: int | None = None
    expected_peak: int | None = None
    four_bit: bool = False
    cut_from: int | None = None

    def training_arguments(self, output_dir: str, **more: Any) -> dict[str, Any]:
        """Arguments for `transformers.TrainingArguments`; what is given in `more` wins."""
        return {
            "output_dir": output_dir,
            "per_device_train_batch_size": self.batch_size,
            "gradient_accumulation_steps": self.gradient_accumulation,
            "gradient_checkpointing": self.gradient_checkpointing,
            "fp16": self.dtype == "fp16",
            "bf16": self.dtype == "bf16",
            "use_cpu": self.device == "cpu",
            **more,
        }

    def lora(self, **more: Any) -> dict[str, Any]:
        """Arguments for `peft.LoraConfig`; what is given in `more` wins."""
        return {"r": self.lora_rank, "lora_alpha": self.lora_alpha, **more}

    def quantization(self, **more: Any) -> dict[str, Any]:
        """Arguments for `transformers.BitsAndBytesConfig`, with which the base is to be loaded; none without `four_bit`."""
        if not self.four_bit:
            return {}
        chosen = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_use_double_quant": True}
        return {**chosen, "bnb_4bit_compute_dtype": {"fp16": "float16", "bf16": "bfloat16"}.get(self.dtype, "float32"), **more}

    @property
    def changes(self) -> list[str]:
        """What is not as it was asked for, so that it fits: it makes a result another one."""
        shorter = [f"plan: sequences of {self.sequence} tokens, not {self.cut_from}"] if self.cut_from is not None else []
        chosen = self.reasons.get("four_bit", "") != "given"
        return [*shorter, *(["plan: the base's weights in 4 bits"] if self.four_bit and chosen else [])]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, for records."""
        return {**asdict(self), "reasons": dict(self.reasons)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        return cls(**data)

    def rows(self) -> list[tuple[str, str, str]]:
        """(choice, value, reason) for each choice."""
        unsaid = {"reasons", "memory_budget", "expected_peak", "cut_from"}
        unsaid |= {"lora_rank", "lora_alpha"} if self.method == "full" else set()
        unsaid |= set() if "four_bit" in self.reasons else {"four_bit"}
        shown = {name: str(value) for name, value in asdict(self).items() if name not in unsaid}
        peak = "n/a" if self.expected_peak is None else f"{self.expected_peak / 2**30:.2f} GiB"
        shown |= {"expected_peak": peak, "memory_budget": f"{self.memory_budget / 2**30:.2f} GiB"}
        return [(name, value, self.reasons.get(name, "")) for name, value in shown.items()]

    def __str__(self) -> str:
        rows = self.rows()
        first, second = (max(len(row[n]) for row in rows) for n in (0, 1))
        return "\n".join(f"{name:<{first}}  {value:<{second}}  {reason}".rstrip() for name, value, reason in rows)

    def _repr_html_(self) -> str:
        body = "".join(
            "<tr>" + "".join(f"<td style='text-align:left'>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self.rows()
        )
        return f"<table>{body}</table>"
