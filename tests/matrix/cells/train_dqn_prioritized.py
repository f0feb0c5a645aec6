"""Double DQN with prioritised replay (a SumTree in numpy), n-step deque of namedtuples, env generator with np_random, target sync by polyak with zip, epsilon as generator."""
# needs: torch, numpy
# unit: 0
# %% setup
import collections, random, time
import numpy as np, torch, torch.nn as nn
from typing import NamedTuple
random.seed(0); np.random.seed(0); torch.manual_seed(0)
class Step(NamedTuple):
    s: np.ndarray; a: int; r: float; s2: np.ndarray; done: bool
class SumTree:
    write = 0
    def __init__(self, cap): self.cap, self.tree, self.data, self.n = cap, np.zeros(2 * cap - 1), np.zeros(cap, dtype=object), 0
    def _prop(self, i, d):
        p = (i - 1) // 2; self.tree[p] += d
        if p: self._prop(p, d)
    def add(self, p, d):
        i = self.write + self.cap - 1; self.data[self.write] = d; self.update(i, p)
        self.write = (self.write + 1) % self.cap; self.n = min(self.n + 1, self.cap)
    def update(self, i, p): d = p - self.tree[i]; self.tree[i] = p; self._prop(i, d)
    def get(self, s):
        i = 0
        while (l := 2 * i + 1) < len(self.tree): i, s = (l, s) if s <= self.tree[l] else (l + 1, s - self.tree[l])
        return i, self.tree[i], self.data[i - self.cap + 1]
class Env:
    metadata = {"render_modes": ["ansi"]}
    def __init__(self): self.np_random = np.random.RandomState(7)
    def reset(self): self.x = self.np_random.uniform(-.5, .5, 2).astype("f4"); self.t = 0; return self.x.copy(), {}
    def step(self, a):
        self.x[1] += (a - 1) * .2; self.x[0] += .1 * self.x[1]; self.t += 1
        return self.x.copy(), -float(abs(self.x[0])), bool(abs(self.x[0]) > 1.5), self.t >= 15, {"t": self.t}
    def render(self): return "." * int(10 + 5 * self.x[0])
# %% cell
class Dueling(nn.Module):
    def __init__(self):
        super().__init__(); self.b = nn.Sequential(nn.Linear(2, 16), nn.ReLU()); self.v, self.a = nn.Linear(16, 1), nn.Linear(16, 3)
    def forward(self, x): h = self.b(x); a = self.a(h); return self.v(h) + a - a.mean(-1, keepdim=True)
def eps_schedule(hi=1., lo=.05, decay=.97):
    e = hi
    while True:
        yield e
        e = max(lo, e * decay)
env, mem, q, tq = Env(), SumTree(64), Dueling(), Dueling()
tq.load_state_dict(q.state_dict()); tq.requires_grad_(False)
opt = torch.optim.RMSprop(q.parameters(), 1e-3, centered=True); eps = eps_schedule(); nstep = collections.deque(maxlen=3)
scores, rets, frames = [], collections.defaultdict(float), []
s, _ = env.reset(); ep = 0
for frame in range(150):
    e = next(eps)
    a = random.randrange(3) if random.random() < e else q(torch.as_tensor(s)).argmax().item()
    s2, r, term, trunc, info = env.step(a)
    rets[ep] += r
    nstep.append(Step(s, a, r, s2, term))
    if len(nstep) == 3: mem.add(1.0, Step(nstep[0].s, nstep[0].a, sum(.9 ** i * t.r for i, t in enumerate(nstep)), s2, term))
    s = s2
    if term or trunc:
        s, _ = env.reset(); scores.append(rets[ep]); ep += 1; nstep.clear(); frames.append(env.render())
    if mem.n >= 16:
        seg = mem.tree[0] / 8
        idx, pr, batch = zip(*[mem.get(random.uniform(seg * i, seg * (i + 1))) for i in range(8)])
        B = Step(*map(np.array, zip(*batch)))
        qs = q(torch.from_numpy(B.s)).gather(1, torch.from_numpy(B.a)[:, None])[:, 0]
        with torch.no_grad():
            s2t = torch.from_numpy(B.s2); best = q(s2t).argmax(1, keepdim=True)
            tgt = torch.from_numpy(B.r).float() + .9 ** 3 * tq(s2t).gather(1, best)[:, 0] * ~torch.from_numpy(B.done)
        td = (tgt - qs); w = (mem.n * torch.tensor(pr) / mem.tree[0]).float() ** -.4
        loss = (w * td.pow(2)).mean(); opt.zero_grad(); loss.backward(); nn.utils.clip_grad_value_(q.parameters(), 1.); opt.step()
        for i, d in zip(idx, td.detach().abs().numpy()): mem.update(i, float(d) + 1e-3)
        for p, tp in zip(q.parameters(), tq.parameters()): tp.data.mul_(.99).add_(p.data, alpha=.01)
    tick(); time.sleep(.006)
ep, scores[-2:], round(e, 6), frames[-1], mem.write
