"""The configurations: small models of several families, trained for real. Each differs from the others in something that costs memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from colab_guard.plan.step import Step


@dataclass(frozen=True)
class Case:
    """A model's config, made when it is needed, and the step that is estimated and run."""

    name: str
    config: Callable[[], Any]
    step: Step


def llama(**more: Any) -> Any:
    from transformers import LlamaConfig

    shape = {"hidden_size": 256, "intermediate_size": 688, "num_hidden_layers": 6, "num_attention_heads": 8, "num_key_value_heads": 4}
    return LlamaConfig(**{**shape, "vocab_size": 4000, "max_position_embeddings": 1024, **more})


def qwen() -> Any:
    from transformers import Qwen2Config

    shape = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 8, "num_attention_heads": 6, "num_key_value_heads": 2}
    return Qwen2Config(**shape, vocab_size=12000, tie_word_embeddings=True, max_position_embeddings=1024)


def gpt2() -> Any:
    from transformers import GPT2Config

    return GPT2Config(n_embd=256, n_layer=6, n_head=8, vocab_size=5000, n_positions=512)


def bert() -> Any:
    from transformers import BertConfig

    shape = {"hidden_size": 256, "intermediate_size": 1024, "num_hidden_layers": 6, "num_attention_heads": 8}
    return BertConfig(**shape, vocab_size=8000, architectures=["BertForSequenceClassification"])


def vit() -> Any:
    from transformers import ViTConfig

    shape = {"hidden_size": 192, "intermediate_size": 768, "num_hidden_layers": 8, "num_attention_heads": 6}
    return ViTConfig(**shape, image_size=96, patch_size=8, architectures=["ViTForImageClassification"])


def t5() -> Any:
    from transformers import T5Config

    return T5Config(d_model=192, d_ff=512, num_layers=4, num_heads=6, d_kv=32, vocab_size=6000, decoder_start_token_id=0, architectures=["T5ForConditionalGeneration"])


def _step(**more: Any) -> Step:
    return Step(**{"batch": 4, "sequence": 256, "weights": "fp32", "method": "full", "loop": "plain", **more})


ON_CPU = [
    Case("llama, full, fp32", llama, _step()),
    Case("llama, full, bf16 autocast", llama, _step(autocast="bf16")),
    Case("llama, full, checkpointing", llama, _step(checkpointing=True, batch=8)),
    Case("llama, full, bf16 autocast, checkpointing", llama, _step(autocast="bf16", checkpointing=True, batch=8)),
    Case("llama, LoRA 8, bf16 base, autocast", llama, _step(method="lora", lora_rank=8, weights="bf16", autocast="bf16")),
    Case("llama, LoRA 4, eager, dropout", llama, _step(method="lora", attention="eager", lora_dropout=0.1, batch=2)),
    Case("qwen2, LoRA 4, padded, checkpointing", qwen, _step(method="lora", padded=True, checkpointing=True)),
    Case("qwen2, full, SGD, accumulation", qwen, _step(optimizer="sgd", accumulation=True, batch=2)),
    Case("gpt2, full, eager, dropout", gpt2, _step(attention="eager", batch=2)),
    Case("gpt2, full, Adafactor, bf16 weights", gpt2, _step(optimizer="adafactor", weights="bf16", batch=2)),
    Case("bert, full, padded, Trainer", bert, _step(padded=True, loop="trainer", batch=8, sequence=128)),
    Case("t5, full, SGD with momentum", t5, _step(optimizer="sgd_momentum", batch=2)),
    Case("vit, LoRA 4, Trainer, bf16 autocast", vit, _step(method="lora", autocast="bf16", loop="trainer", batch=16)),
]


def llama_wide() -> Any:
    return llama(hidden_size=1024, intermediate_size=2816, num_hidden_layers=12, num_attention_heads=16, vocab_size=32000)


def gpt2_wide() -> Any:
    from transformers import GPT2Config

    return GPT2Config(n_embd=768, n_layer=12, n_head=12)


def vit_base() -> Any:
    from transformers import ViTConfig

    return ViTConfig(architectures=["ViTForImageClassification"])


def _lora(**more: Any) -> Step:
    return _step(method="lora", sequence=512, **more)


ON_GPU = [
    Case("llama, full, fp32", llama_wide, _step(sequence=512)),
    Case("llama, full, fp16 autocast, checkpointing", llama_wide, _step(sequence=512, autocast="fp16", checkpointing=True)),
    Case("llama, full, bf16 autocast, fused AdamW", llama_wide, _step(sequence=512, autocast="bf16", optimizer="adamw_fused")),
    Case("llama, LoRA, fp16", llama_wide, _lora(weights="fp16", autocast="fp16")),
    Case("llama, LoRA, fp16, eager", llama_wide, _lora(weights="fp16", autocast="fp16", attention="eager")),
    Case("llama, LoRA, bf16, checkpointing, padded", llama_wide, _lora(weights="bf16", autocast="bf16", checkpointing=True, padded=True)),
    Case("llama, LoRA, bf16, Trainer", llama_wide, _lora(weights="bf16", autocast="bf16", loop="trainer")),
    Case("gpt2, full, fp32, eager, dropout", gpt2_wide, _step(sequence=512, attention="eager")),
    Case("gpt2, full, fp16 autocast, SGD, accumulation", gpt2_wide, _step(sequence=512, autocast="fp16", optimizer="sgd", accumulation=True)),
    Case("vit, LoRA, fp16 autocast, Trainer", vit_base, _lora(autocast="fp16", loop="trainer", batch=16)),
]
