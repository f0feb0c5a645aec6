"""Mixed precision on the CPU with a scaler, gradients gathered over micro-batches, a bar with a postfix, clipping."""
# needs: torch, tqdm
# %% setup
import torch
import torch.nn as nn
from tqdm.auto import tqdm

torch.manual_seed(17)
X, y = torch.randn(128, 12), torch.randint(0, 3, (128,))


class GradStats:
    """Keeps the norms that hooks see."""

    def __init__(self, model):
        self.norms = {}
        self.handles = [p.register_hook(self.hook(n)) for n, p in model.named_parameters() if p.dim() > 1]

    def hook(self, name):
        def inner(grad):
            self.norms.setdefault(name, []).append(grad.norm().item())
            return grad.clamp(-1, 1)

        return inner
# %% cell
model = nn.Sequential(nn.Linear(12, 24), nn.GELU(), nn.LayerNorm(24), nn.Linear(24, 3))
stats = GradStats(model)
optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3)
scaler = torch.amp.GradScaler("cpu", init_scale=256.0, growth_interval=5)
loader = torch.utils.data.DataLoader(torch.utils.data.TensorDataset(X, y), batch_size=8, shuffle=True)
accumulation_steps, history = 4, []
for epoch in range(8):
    progress = tqdm(loader, desc=f"epoch {epoch}", leave=False, disable=None)
    running = torch.zeros(())
    optimizer.zero_grad(set_to_none=True)
    for step, (xb, yb) in enumerate(progress):
        with torch.autocast(device_type="cpu", dtype=torch.bfloat16):
            logits = model(xb)
            loss = nn.functional.cross_entropy(logits.float(), yb, label_smoothing=0.1) / accumulation_steps
        scaler.scale(loss).backward()
        running += loss.detach()
        if (step + 1) % accumulation_steps == 0:
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            scaler.step(optimizer)
            scaler.update()
            optimizer.zero_grad(set_to_none=True)
        progress.set_postfix(loss=f"{loss.item():.3f}")
        tick()
    history.append((running.item(), scaler.get_scale()))
for handle in stats.handles:
    handle.remove()
del progress
round(history[-1][0], 6), history[-1][1]
