"""SparseAdam beside Adam, EmbeddingBag, packed LSTM over lengths, weight_norm and orthogonal parametrizations, complex tensors with an FFT layer."""
# needs: torch, numpy
# depth: 2
# unit: 0
# %% setup
import time, torch, torch.nn as nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence, pack_sequence
from torch.nn.utils import parametrizations, parametrize
torch.manual_seed(12)
class Sym(nn.Module):
    def forward(self, X): return X.triu() + X.triu(1).transpose(-1, -2)
class Spectral(nn.Module):
    def __init__(self, d): super().__init__(); self.w = nn.Parameter(torch.randn(d // 2 + 1, dtype=torch.cfloat) * .1 + 1)
    def forward(self, x): return torch.fft.irfft(torch.fft.rfft(x, dim=-1) * self.w, n=x.size(-1))
# %% cell
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(40, 8, sparse=True); self.bag = nn.EmbeddingBag(40, 8, mode="mean", sparse=True)
        self.rnn = nn.LSTM(8, 8, num_layers=2, batch_first=True, bidirectional=True, dropout=.1)
        self.fft = Spectral(16); self.a = parametrizations.weight_norm(nn.Linear(16, 8)); self.o = parametrizations.orthogonal(nn.Linear(8, 8)); self.s = nn.Linear(8, 8)
        parametrize.register_parametrization(self.s, "weight", Sym()); self.h = nn.Linear(8, 1)
    def forward(self, seqs):
        L = torch.tensor([len(s) for s in seqs]); x = self.emb(pad_sequence(seqs, batch_first=True))
        out, (h, c) = self.rnn(pack_padded_sequence(x, L, batch_first=True, enforce_sorted=False))
        out, _ = pad_packed_sequence(out, batch_first=True)
        z = self.fft(out[torch.arange(len(L)), L - 1]); off = torch.cat([torch.zeros(1, dtype=torch.long), L.cumsum(0)[:-1]])
        return self.h(torch.tanh(self.s(self.o(torch.relu(self.a(z)))) + self.bag(torch.cat(seqs), off))).squeeze(-1)
net = Net()
sparse = [*net.emb.parameters(), *net.bag.parameters()]; _ids = {id(p) for p in sparse}
opts = [torch.optim.SparseAdam(sparse, 1e-2), torch.optim.NAdam([p for p in net.parameters() if id(p) not in _ids], 1e-2)]
pool = [torch.randint(0, 40, (int(torch.randint(2, 9, ())),)) for _ in range(48)]
target = torch.stack([p.float().mean() / 40 for p in pool])
last = None
def epoch(seen=[]):
    tot = 0
    for rows in torch.randperm(48).split(8):
        loss = nn.functional.huber_loss(net([pool[i] for i in rows]), target[rows])
        for o in opts: o.zero_grad()
        loss.backward()
        for o in opts: o.step()
        tot += loss.item(); seen.append(rows[0].item()); tick(); time.sleep(.015)
    return tot
curve = []
for e in range(9):
    curve.append(epoch())
    if e == 3: parametrize.remove_parametrizations(net.s, "weight")
    last = pack_sequence(sorted(pool[:3], key=len, reverse=True)); z = torch.view_as_real(net.fft.w.detach())
(zc := torch.polar(torch.ones(3), torch.arange(3.))).conj().sum().item(), curve[-1], last.batch_sizes.tolist(), len(epoch.__defaults__[0]), net.emb.weight.grad.is_sparse
