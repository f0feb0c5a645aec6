"""A translation toy: a Transformer with masks, a label smoothing class, Noam schedule by LambdaLR, greedy decoding, positional buffers, nn.ModuleDict, ParameterList."""
# needs: torch, numpy
# depth: 2
# unit: 0
# %% setup
import math, time
import torch, torch.nn as nn, torch.nn.functional as F
torch.manual_seed(1)
PAD, BOS, EOS, V = 0, 1, 2, 14
class LabelSmoothing(nn.Module):
    def __init__(self, size, pad, smoothing=0.1):
        super().__init__()
        self.criterion = nn.KLDivLoss(reduction="sum")
        self.size, self.pad, self.smoothing, self.true_dist = size, pad, smoothing, None
    def forward(self, x, target):
        t = x.data.clone().fill_(self.smoothing / (self.size - 2))
        t.scatter_(1, target.data.unsqueeze(1), 1 - self.smoothing)
        t[:, self.pad] = 0
        mask = torch.nonzero(target.data == self.pad)
        if mask.dim() > 0: t.index_fill_(0, mask.squeeze(), 0.0)
        self.true_dist = t
        return self.criterion(x, t.clone().detach())
class Pos(nn.Module):
    def __init__(self, d, n=20):
        super().__init__()
        pe = torch.zeros(n, d); p = torch.arange(n).unsqueeze(1)
        div = torch.exp(torch.arange(0, d, 2) * -(math.log(1e4) / d))
        pe[:, 0::2], pe[:, 1::2] = torch.sin(p * div), torch.cos(p * div)
        self.register_buffer("pe", pe.unsqueeze(0), persistent=False)
    def forward(self, x): return x + self.pe[:, :x.size(1)]
# %% cell
class Seq2Seq(nn.Module):
    def __init__(self, d=16):
        super().__init__()
        self.emb = nn.ModuleDict({"src": nn.Embedding(V, d, padding_idx=PAD), "tgt": nn.Embedding(V, d, padding_idx=PAD)})
        self.pos = Pos(d)
        self.core = nn.Transformer(d, 2, 1, 1, 32, dropout=0.1, batch_first=True)
        self.scale = nn.ParameterList([nn.Parameter(torch.ones(d)) for _ in range(2)])
        self.out = nn.Linear(d, V, bias=False)
        self.out.weight = self.emb["tgt"].weight
    def forward(self, s, t):
        m = nn.Transformer.generate_square_subsequent_mask(t.size(1))
        h = self.core(self.pos(self.emb["src"](s)) * self.scale[0], self.pos(self.emb["tgt"](t)) * self.scale[1], tgt_mask=m, src_key_padding_mask=s == PAD, tgt_key_padding_mask=(t == PAD))
        return F.log_softmax(self.out(h), -1)
def data_gen(n, bs):
    for _ in range(n):
        L = int(torch.randint(3, 7, ()))
        s = torch.randint(3, V, (bs, L)); s[0, -1] = PAD
        t = torch.cat([torch.full((bs, 1), BOS), s.flip(1), torch.full((bs, 1), EOS)], 1)
        yield s, t
model = Seq2Seq()
crit = LabelSmoothing(V, PAD, .1)
opt = torch.optim.Adam(model.parameters(), lr=1.0, betas=(.9, .98), eps=1e-9)
sched = torch.optim.lr_scheduler.LambdaLR(opt, lambda s: 16 ** -.5 * min(max(s, 1) ** -.5, max(s, 1) * 20 ** -1.5))
def run_epoch(it, train=True):
    total, n = 0, 0
    model.train(train)
    for i, (s, t) in enumerate(it):
        out = model(s, t[:, :-1])
        ntok = (t[:, 1:] != PAD).sum()
        loss = crit(out.reshape(-1, V), t[:, 1:].reshape(-1)) / ntok
        if train:
            loss.backward(); opt.step(); opt.zero_grad(set_to_none=False); sched.step()
        total += loss.item() * ntok.item(); n += ntok.item()
        tick(); time.sleep(.01)
    return total / n
hist = []
for epoch in range(3):
    hist.append((run_epoch(data_gen(18, 8)), ))
    with torch.no_grad():
        hist[-1] += (run_epoch(data_gen(4, 8), train=False),)
@torch.inference_mode()
def greedy(s, n=8):
    model.eval(); ys = torch.full((1, 1), BOS)
    while ys.size(1) < n:
        nxt = model(s, ys)[:, -1].argmax(-1, keepdim=True)
        ys = torch.cat([ys, nxt], 1); tick()
        if nxt.item() == EOS: break
    return ys
pred = greedy(torch.tensor([[5, 6, 7]])).tolist()
hist, pred, model.out.weight is model.emb["tgt"].weight, crit.true_dist.shape
