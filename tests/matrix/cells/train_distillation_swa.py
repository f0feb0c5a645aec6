"""Teacher and student with SWA and EMA by AveragedModel, GradScaler(enabled=False), accumulation, SequentialLR, IterableDataset, torch.compile(disable=True), a meter with slots."""
# needs: torch, numpy
# depth: 2
# unit: 0
# %% setup
import itertools, time, torch, torch.nn as nn, torch.nn.functional as F
from torch.optim.swa_utils import AveragedModel, SWALR, update_bn, get_ema_multi_avg_fn
from torch.optim.lr_scheduler import SequentialLR, LinearLR, CosineAnnealingLR, ReduceLROnPlateau
torch.manual_seed(6)
class Stream(torch.utils.data.IterableDataset):
    def __init__(self, n): self.n, self.epoch = n, 0
    def set_epoch(self, e): self.epoch = e
    def __iter__(self):
        g = torch.Generator().manual_seed(100 + self.epoch)
        for i in range(self.n):
            x = torch.randn(6, generator=g)
            yield x, (x[0] * x[1] > 0).long()
class AverageMeter:
    __slots__ = ("name", "sum", "count", "_hist")
    def __init__(self, name): self.name, self._hist = name, []; self.reset()
    def reset(self): self.sum = self.count = 0
    def update(self, v, n=1): self.sum += v * n; self.count += n; self._hist.append(v)
    @property
    def avg(self): return self.sum / max(self.count, 1)
    def __format__(self, spec): return f"{self.name}={format(self.avg, spec or '.4f')}"
mlp = lambda h: nn.Sequential(nn.Linear(6, h), nn.BatchNorm1d(h), nn.GELU(), nn.Dropout(.1), nn.Linear(h, 2))
# %% cell
teacher, student = mlp(32), mlp(8)
ds = Stream(64)
def train(model, epochs, teacher=None, T=3., alpha=.5, accum=2):
    opt = torch.optim.AdamW(model.parameters(), 1e-2); scaler = torch.amp.GradScaler("cpu", enabled=False)
    sched = SequentialLR(opt, [LinearLR(opt, .1, total_iters=4), CosineAnnealingLR(opt, 20)], milestones=[4])
    swa, ema, swalr = AveragedModel(model), AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(.9)), SWALR(opt, .005, anneal_epochs=2)
    fwd = torch.compile(model, disable=True)
    meter = AverageMeter("loss")
    for epoch in range(epochs):
        ds.set_epoch(epoch); meter.reset()
        loader = torch.utils.data.DataLoader(ds, batch_size=8)
        for i, (x, y) in enumerate(loader):
            with torch.autocast("cpu", enabled=False):
                out = fwd(x); loss = F.cross_entropy(out, y, label_smoothing=.05)
                if teacher is not None:
                    with torch.no_grad(): t = teacher(x)
                    loss = alpha * loss + (1 - alpha) * T * T * F.kl_div(F.log_softmax(out / T, 1), F.softmax(t / T, 1), reduction="batchmean")
            scaler.scale(loss / accum).backward()
            meter.update(loss.item(), len(x))
            if (i + 1) % accum == 0:
                scaler.unscale_(opt); nn.utils.clip_grad_norm_(model.parameters(), 1.)
                scaler.step(opt); scaler.update(); opt.zero_grad(); ema.update_parameters(model)
                if epoch < 3: sched.step()
            tick(); time.sleep(.01)
        if epoch >= 3: swa.update_parameters(model); swalr.step()
        print(f"epoch {epoch} {meter} lr {opt.param_groups[0]['lr']:.2e}")
    update_bn(loader, swa)
    return swa, ema, meter
t_swa, t_ema, m1 = train(teacher, 5)
s_swa, s_ema, m2 = train(student, 5, teacher=t_swa.module.eval())
m2.avg, int(s_swa.n_averaged), s_swa.module[1].running_mean.sum().item()
