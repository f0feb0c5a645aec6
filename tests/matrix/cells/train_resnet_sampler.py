"""ResNet, custom Dataset / BatchSampler / collate, augmentation by random and numpy, mixup and cutmix with np.random.beta, WeightedRandomSampler, random_split, hooks by handle."""
# needs: torch, numpy
# depth: 2
# unit: 0
# %% setup
import random, time
import numpy as np, torch
from torch import nn
from torch.utils.data import Dataset, DataLoader, Sampler, WeightedRandomSampler, random_split, Subset
def seed_everything(s):
    random.seed(s); np.random.seed(s); torch.manual_seed(s)
seed_everything(42)
class Toy(Dataset):
    def __init__(self, n=96, train=True):
        g = np.random.RandomState(1)
        self.x = g.rand(n, 3, 8, 8).astype("float32"); self.y = g.randint(0, 3, n); self.train = train; self.seen = 0
    def __len__(self): return len(self.x)
    def __getitem__(self, i):
        img = self.x[i]
        if self.train:
            if random.random() < .5: img = img[:, :, ::-1]
            k = np.random.randint(4); img = np.rot90(img, k, axes=(1, 2)); self.seen += 1
        return torch.from_numpy(img.copy()), int(self.y[i])
class ClassBalanced(Sampler):
    def __init__(self, ys, bs): self.by = {int(c): np.flatnonzero(ys == c).tolist() for c in np.unique(ys)}; self.bs = bs
    def __len__(self): return 6
    def __iter__(self):
        for _ in range(len(self)):
            yield [random.choice(self.by[random.choice(list(self.by))]) for _ in range(self.bs)]
class Block(nn.Module):
    def __init__(self, i, o, s=1):
        super().__init__()
        self.f = nn.Sequential(nn.Conv2d(i, o, 3, s, 1, bias=False), nn.BatchNorm2d(o), nn.ReLU(inplace=True), nn.Conv2d(o, o, 3, 1, 1, bias=False), nn.BatchNorm2d(o))
        self.sc = nn.Sequential() if i == o and s == 1 else nn.Conv2d(i, o, 1, s)
    def forward(self, x): return torch.relu(self.f(x) + self.sc(x))
# %% cell
def collate(batch, alpha=0.4):
    x, y = zip(*batch)
    x, y = torch.stack(x), nn.functional.one_hot(torch.tensor(y), 3).float()
    lam = np.random.beta(alpha, alpha); p = torch.randperm(len(x))
    if random.random() < .5:
        x = lam * x + (1 - lam) * x[p]
    else:
        w = int(8 * np.sqrt(1 - lam)); cx = np.random.randint(8 - w + 1)
        x[:, :, :, cx:cx + w] = x[p][:, :, :, cx:cx + w]; lam = 1 - w / 8
    return x, lam * y + (1 - lam) * y[p]
ds = Toy()
tr, va = random_split(ds, [80, 16], generator=torch.Generator().manual_seed(3))
ys = ds.y[tr.indices]
wgen = torch.Generator().manual_seed(9)
wrs = WeightedRandomSampler((1 / np.bincount(ys))[ys], 48, generator=wgen)
loaders = {"balanced": DataLoader(tr, batch_sampler=ClassBalanced(ys, 8), collate_fn=collate), "weighted": DataLoader(tr, 8, sampler=wrs, collate_fn=lambda b: collate(b, alpha=1.0))}
net = nn.Sequential(Block(3, 8), Block(8, 8, 2), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(.2), nn.Linear(8, 3))
feats = {}
def grab(name): return lambda m, i, o: feats.__setitem__(name, o.detach().mean().item())
handles = [b.register_forward_hook(grab(f"b{i}")) for i, b in enumerate(net[:2])]
opt = torch.optim.SGD([{"params": [p for n, p in net.named_parameters() if p.ndim > 1], "weight_decay": 1e-3}, {"params": [p for p in net.parameters() if p.ndim <= 1], "weight_decay": 0}], .05, momentum=.9, nesterov=True)
sched = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(opt, T_0=4, T_mult=2)
best = 0.; log = []
for ep in range(4):
    name = ("balanced", "weighted")[ep % 2]
    net.train()
    for it, (x, y) in enumerate(loader := loaders[name]):
        out = net(x); loss = -(y * out.log_softmax(1)).sum(1).mean()
        opt.zero_grad(); loss.backward(); opt.step(); sched.step(ep + it / len(loader)); tick(); time.sleep(.02)
    net.eval(); ds.train = False; correct = 0
    with torch.no_grad():
        for x, y in DataLoader(va, 4, collate_fn=None): correct += (net(x).argmax(1) == y).sum().item(); tick()
    ds.train = True
    log.append((ep, correct / len(va), opt.param_groups[0]["lr"], feats["b1"]))
    if correct >= best: best, path = correct, f"best_{ep}.pt"; torch.save({"net": net.state_dict(), "ep": ep}, path)
handles.pop().remove()
net.load_state_dict(torch.load(path)["net"])
log[-1], ds.seen, len(net[1]._forward_hooks)
