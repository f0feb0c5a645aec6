"""What is trained: a model, its optimizer, and a step, which is the same text in a plain loop and in a cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import peft
import torch
import transformers

STEP = """loss = model(input_ids=ids, labels=ids).loss
loss.backward()
optimizer.step()
optimizer.zero_grad()
"""


@dataclass
class Case:
    name: str
    model: Any
    optimizer: Any
    ids: Any

    @property
    def names(self) -> dict[str, Any]:
        return {"model": self.model, "optimizer": self.optimizer, "ids": self.ids}

    def step(self) -> None:
        exec(STEP, dict(self.names))

    def weights(self) -> dict[str, Any]:
        """What a checkpoint keeps of the model: all of it, or what is trained of one with adapters."""
        if hasattr(self.model, "peft_config"):
            return dict(peft.get_peft_model_state_dict(self.model))
        return dict(self.model.state_dict())

    def state(self) -> dict[str, Any]:
        return {"model": self.weights(), "optimizer": self.optimizer.state_dict()}

    def tensors(self) -> dict[str, Any]:
        """`state` as tensors by name, none twice."""
        found: dict[str, Any] = {}
        seen: set[int] = set()
        for name, tensor in _flat(self.state(), ""):
            if tensor.data_ptr() not in seen:
                seen.add(tensor.data_ptr())
                found[name] = tensor.detach()
        return found

    def bytes(self) -> int:
        return sum(tensor.numel() * tensor.element_size() for tensor in self.tensors().values())


def _flat(value: Any, name: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, torch.Tensor):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _flat(item, f"{name}/{key}")


def full() -> Case:
    """60.5 M parameters, all trained."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=33_000, hidden_size=480, num_hidden_layers=16, num_attention_heads=8, intermediate_size=1920, max_position_embeddings=128
    )
    return _begun("full fine-tune", transformers.BertForMaskedLM(config), (1, 16))


def lora() -> Case:
    """320 k of 45 M parameters are trained."""
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=5_000, hidden_size=640, num_hidden_layers=7, num_attention_heads=8, intermediate_size=2560, max_position_embeddings=128
    )
    layers = ["query", "key", "value", "attention.output.dense", "intermediate.dense", "output.dense"]
    model = peft.get_peft_model(transformers.BertForMaskedLM(config), peft.LoraConfig(r=4, target_modules=layers))
    return _begun("LoRA r=4", model, (2, 32))


def _begun(name: str, model: Any, shape: tuple[int, int]) -> Case:
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-4)
    case = Case(name, model, optimizer, torch.randint(0, 5_000, shape))
    case.step()
    return case
