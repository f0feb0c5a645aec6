"""The real thing: a model from its config, real weights, real steps. Knows nothing of estimates but the words of a `Step`."""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from typing import Any

import torch

from tests.benchmarks.estimates.cases import Case

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
STEPS = 3


def train(case: Case, device: str) -> None:
    """Make the model, and train it for a few steps."""
    step = case.step
    model = make(case).to(device)
    if step.loop == "trainer":
        by_trainer(case, model)
        return
    optimizer = optimizer_of(step.optimizer, [p for p in model.parameters() if p.requires_grad])
    lower = torch.autocast(device, dtype=DTYPES[step.autocast]) if step.autocast else nullcontext()
    for _ in range(STEPS):
        for _ in range(2 if step.accumulation else 1):
            batch = {name: value.to(device) for name, value in collate([sample(case, n) for n in range(step.batch)]).items()}
            with lower:
                out = model(**batch)
            out.loss.backward()
        optimizer.step()
        optimizer.zero_grad()


def make(case: Case) -> Any:
    import peft
    import transformers

    step, config = case.step, case.config()
    config.use_cache = False
    name = (config.architectures or [None])[0]
    ways = {"dtype": DTYPES[step.weights], "attn_implementation": step.attention}
    if name is None:
        model = transformers.AutoModelForCausalLM.from_config(config, **ways)
    else:
        model = getattr(transformers, name)._from_config(config, **ways)
    if step.method == "lora":
        lora = peft.LoraConfig(
            r=step.lora_rank,
            lora_dropout=step.lora_dropout,
            target_modules=step.lora_targets,
            task_type="CAUSAL_LM" if name is None else None,
        )
        model = peft.get_peft_model(model, lora)
    if step.checkpointing:
        model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        if step.method == "lora":
            model.enable_input_require_grads()
    return model.train()


def optimizer_of(name: str, parameters: list[Any]) -> Any:
    if name == "adamw":
        return torch.optim.AdamW(parameters, lr=1e-4)
    if name == "adamw_fused":
        return torch.optim.AdamW(parameters, lr=1e-4, fused=True)
    if name in ("sgd", "sgd_momentum"):
        return torch.optim.SGD(parameters, lr=1e-4, momentum=0.9 if name == "sgd_momentum" else 0.0)
    from transformers.optimization import Adafactor

    return Adafactor(parameters, lr=1e-4, scale_parameter=False, relative_step=False)


def sample(case: Case, n: int) -> dict[str, Any]:
    step, config = case.step, case.config()
    name = (config.architectures or [""])[0]
    if "Image" in name:
        pixels = torch.rand(config.num_channels, config.image_size, config.image_size)
        return {"pixel_values": pixels, "labels": torch.tensor(n % 2)}
    ids = torch.randint(0, config.vocab_size, (step.sequence,))
    found = {"input_ids": ids, "labels": torch.tensor(n % 2) if "Sequence" in name else ids.clone()}
    if step.padded:
        found["attention_mask"] = torch.ones_like(ids)
        found["attention_mask"][step.sequence - 1 - n :] = 0
    return found


def collate(found: list[dict[str, Any]]) -> dict[str, Any]:
    return {name: torch.stack([sample[name] for sample in found]) for name in found[0]}


def by_trainer(case: Case, model: Any) -> None:
    from transformers import Trainer, TrainingArguments

    step = case.step
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            folder,
            per_device_train_batch_size=step.batch,
            gradient_accumulation_steps=2 if step.accumulation else 1,
            max_steps=STEPS,
            bf16=step.autocast == "bf16",
            fp16=step.autocast == "fp16",
            use_cpu=not torch.cuda.is_available(),
            optim={"adamw": "adamw_torch", "adamw_fused": "adamw_torch_fused"}[step.optimizer],
            save_strategy="no",
            logging_strategy="no",
            report_to=[],
            disable_tqdm=True,
            dataloader_pin_memory=False,
        )
        Trainer(model, arguments, train_dataset=Data(case), data_collator=collate).train()


class Data(torch.utils.data.Dataset):
    """Samples made when they are asked for: a data set in memory is not the training's."""

    def __init__(self, case: Case) -> None:
        self.case = case

    def __len__(self) -> int:
        return self.case.step.batch * (STEPS + 1) * 2

    def __getitem__(self, index: int) -> dict[str, Any]:
        return sample(self.case, index % self.case.step.batch)
