"""A PEFT model with LoRA adapters, trained by hand with a schedule of transformers' and gradient clipping, then merged."""
# needs: torch, transformers, peft
# depth: 2
# %% setup
import torch
from peft import LoraConfig, get_peft_model
from torch.utils.data import DataLoader
from transformers import GPT2Config, GPT2LMHeadModel, get_linear_schedule_with_warmup

torch.manual_seed(5)
tokens = torch.randint(0, 50, (64, 12))
base_config = GPT2Config(vocab_size=50, n_positions=16, n_embd=16, n_layer=2, n_head=2, resid_pdrop=0.1)
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
model = get_peft_model(
    GPT2LMHeadModel(base_config), LoraConfig(r=4, lora_alpha=8, lora_dropout=0.05, target_modules=["c_attn"], task_type="CAUSAL_LM", fan_in_fan_out=True)
)
loader = DataLoader(tokens, batch_size=4, shuffle=True)
optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-3)
num_epochs = 6
lr_scheduler = get_linear_schedule_with_warmup(optimizer, num_warmup_steps=10, num_training_steps=len(loader) * num_epochs)
history = {"loss": [], "lr": []}
for epoch in range(num_epochs):
    model.train()
    total_loss = 0
    for step, batch in enumerate(loader):
        outputs = model(input_ids=batch, labels=batch)
        loss = outputs.loss
        total_loss += loss.detach().float()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        lr_scheduler.step()
        optimizer.zero_grad()
        history["lr"].append(lr_scheduler.get_last_lr()[0])
        tick()
    history["loss"].append((total_loss / len(loader)).item())
    model.eval()
    with torch.no_grad():
        sample = model.generate(tokens[:2, :4], max_new_tokens=4, do_sample=True, pad_token_id=0)
adapters = {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}
merged = model.merge_and_unload()
logits = merged(tokens[:1]).logits.detach()
del model, merged, outputs, loss
history["loss"], sample.tolist()
