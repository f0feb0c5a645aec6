"""A training plan: what to train with on the device found, and why."""

from __future__ import annotations

import html
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Plan:
    """Choices for one training run; `reasons` tells why, by the name of the choice. `memory_budget` in bytes."""

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

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, for records."""
        return {**asdict(self), "reasons": dict(self.reasons)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Plan:
        return cls(**data)

    def rows(self) -> list[tuple[str, str, str]]:
        """(choice, value, reason) for each choice."""
        shown = {name: str(value) for name, value in asdict(self).items() if name not in ("reasons", "memory_budget")}
        shown["memory_budget"] = f"{self.memory_budget / 2**30:.1f} GiB"
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
