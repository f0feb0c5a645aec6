"""A model without memory: its twin on the meta device, made from its config or from the live one, and a batch for it.

`Twin` holds what a training step needs. The weights' dtype, LoRA's adapters (by PEFT itself), weights in 4 bits and
checkpointing are put in place here; what a step then does is the library's own code.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
from torch import nn

from colab_guard.errors import BadOption
from colab_guard.plan.dry.kernels import AsOn
from colab_guard.plan.step import TASKS, Step

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
ABSMAX_BLOCK, SCALE_BLOCK = 64, 256
"""bitsandbytes: one scale for 64 weights, stored in 8 bits; one float32 for 256 of those."""


class Unknown(Exception):
    """The model cannot be made, or fed, without more being known; the text says what."""


class FourBitLinear(nn.Module):
    """Stands for `bitsandbytes.nn.Linear4bit`: packed weights, made whole for each product, forward and backward."""

    def __init__(self, linear: nn.Linear, dtype: torch.dtype) -> None:
        super().__init__()
        self.in_features, self.out_features, self.dtype = linear.in_features, linear.out_features, dtype
        count = linear.weight.numel()
        self.bias = linear.bias
        for name, size, kind in (
            ("packed", -(-count // 2), torch.uint8),
            ("scales", -(-count // ABSMAX_BLOCK), torch.uint8),
            ("scales_of_scales", -(-count // (ABSMAX_BLOCK * SCALE_BLOCK)), torch.float32),
        ):
            self.register_buffer(name, torch.empty(size, dtype=kind, device="meta"))

    def forward(self, x: Any) -> Any:
        out = _FourBitProduct.apply(x.to(self.dtype), self.out_features)
        return out if self.bias is None else out + self.bias.to(out.dtype)


class _FourBitProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Any, width: int) -> Any:
        ctx.shape = (width, x.shape[-1])
        return x @ torch.empty(ctx.shape, dtype=x.dtype, device=x.device).t()

    @staticmethod
    def backward(ctx: Any, grad: Any) -> Any:
        return grad @ torch.empty(ctx.shape, dtype=grad.dtype, device=grad.device), None


def twin(model: Any, step: Step, kernels: AsOn) -> nn.Module:
    """The model of `step` on the meta device, in training mode; what is computed again in the backward pass is computed by
    `kernels`. Raises Unknown or BadOption."""
    made = _copied(model) if isinstance(model, nn.Module) else _built(model, step)
    if step.method == "lora" and not hasattr(made, "peft_config"):
        made = _with_lora(made, step)
    if step.four_bit:
        _pack(made, DTYPES[step.autocast or step.weights])
    if not step.checkpointing and getattr(made, "is_gradient_checkpointing", False):
        made.gradient_checkpointing_disable()
    if step.checkpointing:
        if not hasattr(made, "gradient_checkpointing_enable"):
            raise Unknown(f"{type(made).__name__} has no gradient_checkpointing_enable()")

        # torch-function modes are not in force in the backward pass: this puts it in force while parts are computed again
        ways = {"use_reentrant": False, "context_fn": lambda: (nullcontext(), kernels.again())}
        made.gradient_checkpointing_enable(gradient_checkpointing_kwargs=ways)
        if step.method == "lora":
            made.enable_input_require_grads()
    return made.train()


def class_of(config: Any, task: str | None) -> type:
    """The class of transformers that a config is trained with: `task`'s, its own architecture, or the first that fits."""
    import transformers

    if task is None:
        for name in getattr(config, "architectures", None) or ():
            if "For" in name or name.endswith("LMHeadModel"):
                found = getattr(transformers, name, None)
                if found is not None:
                    return found
        likely = ["image-classification"] if hasattr(config, "image_size") else []
        likely += ["seq2seq-lm"] if getattr(config, "is_encoder_decoder", False) else []
        encoder = type(config) in transformers.AutoModelForMaskedLM._model_mapping
        likely += ["sequence-classification"] if encoder else ["causal-lm"]
    else:
        likely = [task]
    for word in likely:
        mapping = getattr(transformers, TASKS[word])._model_mapping
        if type(config) in mapping:
            return mapping[type(config)]
    raise Unknown(f"{type(config).__name__} has no model for {' or '.join(likely)}; name another task: {', '.join(TASKS)}")


def as_config(model: Any) -> Any:
    """The config of what was given: itself, that of a live model, or of a dict with `model_type`; None where there is none."""
    if isinstance(model, Mapping) and "model_type" in model:
        from transformers import AutoConfig

        rest = {key: value for key, value in model.items() if key != "model_type"}
        return AutoConfig.for_model(model["model_type"], **rest)
    if isinstance(model, nn.Module):
        model = getattr(model, "config", None)
    return model if hasattr(model, "to_dict") and hasattr(model, "model_type") else None


def batch_for(model: nn.Module, config: Any, step: Step, batch: int) -> dict[str, Any]:
    """A batch of `batch` samples on the meta device, labels included. Raises Unknown for inputs that it has no word for."""
    wanted = getattr(model, "main_input_name", "input_ids")
    kind = type(model.get_base_model() if hasattr(model, "get_base_model") else model).__name__

    def whole(*shape: int) -> Any:
        return torch.empty(shape, dtype=torch.int64, device="meta")

    if wanted == "pixel_values":
        size = getattr(config, "image_size", 224)
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        dtype = torch.float32 if step.autocast else DTYPES[step.weights]
        pixels = torch.empty(batch, getattr(config, "num_channels", 3), height, width, dtype=dtype, device="meta")
        return {"pixel_values": pixels, "labels": whole(batch)}
    if wanted != "input_ids":
        raise Unknown(f"{kind} takes {wanted}: only token ids and pixel values are known")
    length = min(step.sequence, getattr(config, "max_position_embeddings", None) or step.sequence)
    found = {"input_ids": whole(batch, length), "labels": whole(batch, length)}
    if kind.endswith(("ForSequenceClassification", "ForMultipleChoice")):
        found["labels"] = whole(batch)
    if step.padded:
        found["attention_mask"] = whole(batch, length)
    return found


@contextmanager
def quiet() -> Iterator[None]:
    """Random state, default dtype and the libraries' words are afterwards what they were."""
    import logging
    import random
    import warnings

    state, dtype = random.getstate(), torch.get_default_dtype()
    loggers = [logging.getLogger(name) for name in ("transformers", "peft")]
    levels = [logger.level for logger in loggers]
    with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for logger in loggers:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
            torch.set_default_dtype(dtype)
            random.setstate(state)


def _built(model: Any, step: Step) -> nn.Module:
    config = as_config(model)
    if config is None:
        raise Unknown(f"{type(model).__name__} is no model and no config of transformers")
    config = copy.deepcopy(config)
    config.use_cache = False
    made = class_of(config, step.task)

    def build(attention: str) -> nn.Module:
        with torch.device("meta"):
            found: nn.Module = made._from_config(config, dtype=DTYPES[step.weights], attn_implementation=attention)  # type: ignore[attr-defined]
            return found

    try:
        return build(step.attention)
    except ValueError as error:
        if "does not support an attention implementation" not in str(error):
            raise
        return build("eager")  # one of its own, or none, as a state-space model has


def _copied(model: nn.Module) -> nn.Module:
    """A copy of a live model that shares nothing with it and has no data: its tensors are replaced while it is copied."""
    memo: dict[int, Any] = {}
    for tensor in [*model.parameters(), *model.buffers()]:
        empty = torch.empty_like(tensor, device="meta")
        memo[id(tensor)] = nn.Parameter(empty, tensor.requires_grad) if isinstance(tensor, nn.Parameter) else empty
    copied: nn.Module = copy.deepcopy(model, memo)
    config = getattr(copied, "config", None)
    if config is not None and hasattr(config, "use_cache"):
        config.use_cache = False
    return copied


def _with_lora(model: nn.Module, step: Step) -> nn.Module:
    try:
        import peft
    except ImportError:
        raise BadOption("method='lora' needs peft; install colab_guard[train], or give method='full'") from None
    targets = step.lora_targets
    settings = peft.LoraConfig(
        r=step.lora_rank,
        lora_alpha=2 * step.lora_rank,
        lora_dropout=step.lora_dropout,
        target_modules=targets if isinstance(targets, str) else list(targets),
        # without a model type PEFT takes the output layer for one of the layers
        task_type="CAUSAL_LM" if type(model).__name__.endswith(("ForCausalLM", "LMHeadModel")) else None,
    )
    with torch.device("meta"):
        return peft.get_peft_model(model, settings)


def _pack(model: nn.Module, dtype: torch.dtype) -> None:
    """As a model loaded in 4 bits and prepared by PEFT for training: linear layers packed, all else in float32."""
    base = model.get_base_model() if hasattr(model, "get_base_model") else model
    head = base.get_output_embeddings() if hasattr(base, "get_output_embeddings") else None
    for module in list(model.modules()):
        for name, child in list(module.named_children()):
            if type(child) is nn.Linear and child is not head and not child.weight.requires_grad:
                setattr(module, name, FourBitLinear(child, dtype))
    for parameter in model.parameters():
        if parameter.dtype in (torch.float16, torch.bfloat16):
            parameter.data = parameter.data.float()
