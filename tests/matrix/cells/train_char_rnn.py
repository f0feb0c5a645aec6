"""A character model with a recurrent net: hidden state carried over, sampling while training."""
# needs: torch, numpy
# %% setup
import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(1)
np.random.seed(1)
text = "the quick brown fox jumps over the lazy dog and runs away from the angry bear. " * 6
chars = sorted(set(text))
stoi = {c: i for i, c in enumerate(chars)}
itos = dict(enumerate(chars))
data = torch.tensor([stoi[c] for c in text])


class CharRNN(nn.Module):
    def __init__(self, vocab, hidden=24):
        super().__init__()
        self.embed = nn.Embedding(vocab, 12)
        self.rnn = nn.GRU(12, hidden, num_layers=2, dropout=0.1, batch_first=True)
        self.out = nn.Linear(hidden, vocab)

    def forward(self, x, h=None):
        y, h = self.rnn(self.embed(x), h)
        return self.out(y), h


def sample(model, start, n):
    model.eval()
    h, out = None, [stoi[start]]
    with torch.no_grad():
        for _ in range(n):
            logits, h = model(torch.tensor([[out[-1]]]), h)
            probs = torch.softmax(logits[0, -1], -1)
            out.append(int(torch.multinomial(probs, 1)))
    model.train()
    return "".join(itos[i] for i in out)
# %% cell
model = CharRNN(len(chars))
optimizer = torch.optim.RMSprop(model.parameters(), lr=3e-3)
criterion = nn.CrossEntropyLoss()
seq, epochs = 12, 3
losses, samples = [], []
smooth = -np.log(1.0 / len(chars)) * seq
for epoch in range(epochs):
    hidden = None
    p = 0
    while p + seq + 1 < len(data):
        x, y = data[None, p : p + seq], data[None, p + 1 : p + seq + 1]
        if hidden is not None:
            hidden = hidden.detach()
        logits, hidden = model(x, hidden)
        loss = criterion(logits.view(-1, len(chars)), y.view(-1))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        smooth = smooth * 0.99 + loss.item() * 0.01
        p += seq
        tick()
    losses.append(round(smooth, 6))
    samples.append(sample(model, "t", 20))
losses, samples[-1]
