"""A small transformer on characters: `while True`, get_batch, estimate_loss under a decorator, a cosine schedule by hand."""
# needs: torch
# %% setup
import math
from dataclasses import dataclass

import torch
import torch.nn as nn
from torch.nn import functional as F

torch.manual_seed(1337)
text = "to be or not to be that is the question whether it is nobler in the mind to suffer " * 4
chars = sorted(set(text))
encode = {c: i for i, c in enumerate(chars)}
ids = torch.tensor([encode[c] for c in text])
n = int(0.9 * len(ids))
splits = {"train": ids[:n], "val": ids[n:]}


@dataclass
class GPTConfig:
    block_size: int = 8
    vocab_size: int = len(chars)
    n_layer: int = 2
    n_head: int = 2
    n_embd: int = 16
    dropout: float = 0.1


class Block(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.ln1, self.ln2 = nn.LayerNorm(config.n_embd), nn.LayerNorm(config.n_embd)
        self.attn = nn.MultiheadAttention(config.n_embd, config.n_head, config.dropout, batch_first=True)
        self.mlp = nn.Sequential(nn.Linear(config.n_embd, 32), nn.GELU(), nn.Linear(32, config.n_embd), nn.Dropout(config.dropout))
        self.register_buffer("mask", torch.triu(torch.full((config.block_size, config.block_size), float("-inf")), 1))

    def forward(self, x):
        t = x.shape[1]
        h = self.ln1(x)
        x = x + self.attn(h, h, h, attn_mask=self.mask[:t, :t], need_weights=False)[0]
        return x + self.mlp(self.ln2(x))


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.config = config
        self.wte = nn.Embedding(config.vocab_size, config.n_embd)
        self.wpe = nn.Embedding(config.block_size, config.n_embd)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.n_layer))
        self.head = nn.Linear(config.n_embd, config.vocab_size, bias=False)
        self.wte.weight = self.head.weight

    def forward(self, idx, targets=None):
        x = self.wte(idx) + self.wpe(torch.arange(idx.shape[1]))
        for block in self.blocks:
            x = block(x)
        logits = self.head(x)
        loss = None if targets is None else F.cross_entropy(logits.flatten(0, 1), targets.flatten())
        return logits, loss


def get_batch(split, config, batch_size=6):
    data = splits[split]
    ix = torch.randint(len(data) - config.block_size, (batch_size,))
    x = torch.stack([data[i : i + config.block_size] for i in ix])
    y = torch.stack([data[i + 1 : i + 1 + config.block_size] for i in ix])
    return x, y


@torch.no_grad()
def estimate_loss(model, config, iters=3):
    out = {}
    model.eval()
    for split in ["train", "val"]:
        losses = torch.zeros(iters)
        for k in range(iters):
            x, y = get_batch(split, config)
            _, loss = model(x, y)
            losses[k] = loss.item()
        out[split] = losses.mean()
    model.train()
    return out
# %% cell
config = GPTConfig()
model = GPT(config)
decay = [p for p in model.parameters() if p.dim() >= 2]
other = [p for p in model.parameters() if p.dim() < 2]
optimizer = torch.optim.AdamW([{"params": decay, "weight_decay": 0.1}, {"params": other, "weight_decay": 0.0}], lr=1e-2, betas=(0.9, 0.95))
max_iters, warmup, eval_interval, accumulation = 60, 10, 15, 2
iter_num, best_val_loss, checkpoint, log = 0, 1e9, None, []


def get_lr(it):
    if it < warmup:
        return 1e-2 * (it + 1) / warmup
    ratio = (it - warmup) / (max_iters - warmup)
    return 1e-3 + 0.5 * (1.0 + math.cos(math.pi * ratio)) * 9e-3


X, Y = get_batch("train", config)
while True:
    lr = get_lr(iter_num)
    for group in optimizer.param_groups:
        group["lr"] = lr
    if iter_num % eval_interval == 0:
        losses = estimate_loss(model, config)
        log.append((iter_num, round(losses["train"].item(), 6), round(losses["val"].item(), 6)))
        if losses["val"] < best_val_loss:
            best_val_loss = losses["val"]
            checkpoint = {"model": {k: v.clone() for k, v in model.state_dict().items()}, "iter": iter_num}
    for micro_step in range(accumulation):
        logits, loss = model(X, Y)
        loss = loss / accumulation
        X, Y = get_batch("train", config)
        loss.backward()
        tick()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    optimizer.zero_grad(set_to_none=True)
    iter_num += 1
    if iter_num > max_iters:
        break
log[-1]
# %% after
tied = model.wte.weight is model.head.weight
