"""A2C on a vectorised env of the notebook with an observation wrapper chain, GAE in numpy, a normaliser class with Welford updates, torch.distributions Normal+TanhTransform, env seeds from SeedSequence, log to a SummaryWriter-like class."""
# needs: torch, numpy
# depth: 2
# unit: 0
# %% setup
import time, json, numpy as np, torch, torch.nn as nn
from torch.distributions import Normal, TransformedDistribution, Independent
from torch.distributions.transforms import TanhTransform
torch.manual_seed(5); np.random.seed(5)
class Env:
    def __init__(self, seed): self.rng = np.random.default_rng(seed); self.reset()
    def reset(self): self.s = self.rng.uniform(-1, 1, 2); self.t = 0; return self.s.copy()
    def step(self, a):
        self.s = self.s * .95 + .1 * np.array([a, self.s[0]]) + self.rng.normal(0, .01, 2); self.t += 1
        return self.s.copy(), -float(self.s @ self.s), self.t % 12 == 0
    def __getattr__(self, n): raise AttributeError(f"no {n}")
class Wrapper:
    def __init__(self, env): self.env = env
    def __getattr__(self, n):
        if n == "env": raise AttributeError
        return getattr(self.env, n)
class NormObs(Wrapper):
    def __init__(self, env): super().__init__(env); self.mean, self.M2, self.n = np.zeros(2), np.ones(2), 1
    def _o(self, o): self.n += 1; d = o - self.mean; self.mean += d / self.n; self.M2 += d * (o - self.mean); return ((o - self.mean) / np.sqrt(self.M2 / self.n)).astype("f4")
    def reset(self): return self._o(self.env.reset())
    def step(self, a): o, r, d = self.env.step(a); return self._o(o), r, d
class Writer:
    def __init__(self, path): self.f = open(path, "a", buffering=1)
    def add_scalar(self, tag, v, i): self.f.write(json.dumps([tag, float(v), i]) + "\n")
# %% cell
class VecEnv:
    def __init__(self, fns): self.envs = [f() for f in fns]
    def reset(self): return np.stack([e.reset() for e in self.envs])
    def step(self, acts):
        o, r, d = map(np.stack, zip(*(e.step(float(a)) for e, a in zip(self.envs, acts))))
        for i in np.flatnonzero(d): o[i] = self.envs[i].reset()
        return o, r.astype("f4"), d
class AC(nn.Module):
    def __init__(self): super().__init__(); self.pi = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 1)); self.v = nn.Linear(2, 1); self.log_std = nn.Parameter(torch.zeros(1))
    def forward(self, o): return TransformedDistribution(Independent(Normal(self.pi(o), self.log_std.exp()), 1), [TanhTransform(cache_size=1)]), self.v(o).squeeze(-1)
venv = VecEnv([lambda s=s: NormObs(Env(s)) for s in np.random.SeedSequence(1).spawn(3)])
net = AC(); opt = torch.optim.RMSprop(net.parameters(), 7e-3, alpha=.99, eps=1e-5); w = Writer("tb.jsonl")
obs = venv.reset(); best = -np.inf
for it in range(12):
    buf = {k: [] for k in ("logp", "v", "r", "d", "ent")}
    for t in range(6):
        dist, v = net(torch.from_numpy(obs)); a = dist.sample(); logp = dist.log_prob(a)
        obs, r, d = venv.step(a.squeeze(-1).numpy())
        for k, x in zip(buf, (logp, v, torch.from_numpy(r), torch.from_numpy(d), net.log_std)): buf[k].append(x)
        tick(); time.sleep(.008)
    with torch.no_grad(): R = net(torch.from_numpy(obs))[1]
    rets = []
    for r, d in zip(buf["r"][::-1], buf["d"][::-1]): R = r + .95 * R * ~d; rets.insert(0, R)
    rets = torch.stack(rets); v = torch.stack(buf["v"]); adv = rets - v
    loss = -(torch.stack(buf["logp"]) * adv.detach()).mean() + .5 * adv.pow(2).mean() - .001 * net.log_std.sum()
    opt.zero_grad(); loss.backward(); nn.utils.clip_grad_norm_(net.parameters(), .5); opt.step()
    w.add_scalar("loss", loss, it); best = max(best, rets.mean().item())
    for g in opt.param_groups: g["lr"] *= .97
w.f.close()
best, net.log_std.item(), venv.envs[0].n, venv.envs[0].t, loss.item()
