"""Sequence to sequence with teacher forcing: two optimizers, a coin thrown per batch, greedy decoding for validation."""
# needs: torch
# depth: 2
# %% setup
import random

import torch
import torch.nn as nn

random.seed(12)
torch.manual_seed(12)
SOS, EOS, V = 0, 1, 9


def make_pair():
    n = random.randint(2, 5)
    x = [random.randint(2, V - 1) for _ in range(n)]
    return torch.tensor(x + [EOS]), torch.tensor(x[::-1] + [EOS])


pairs = [make_pair() for _ in range(30)]


class Encoder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.emb, self.gru = nn.Embedding(V, hidden), nn.GRU(hidden, hidden)

    def forward(self, x, h):
        return self.gru(self.emb(x).view(1, 1, -1), h)


class Decoder(nn.Module):
    def __init__(self, hidden):
        super().__init__()
        self.emb, self.gru, self.out = nn.Embedding(V, hidden), nn.GRU(hidden, hidden), nn.Linear(hidden, V)

    def forward(self, x, h):
        y, h = self.gru(torch.relu(self.emb(x)).view(1, 1, -1), h)
        return torch.log_softmax(self.out(y[0]), 1), h
# %% cell
encoder, decoder = Encoder(14), Decoder(14)
criterion = nn.NLLLoss()


def train(source, target, enc_opt, dec_opt, ratio=0.5):
    hidden = torch.zeros(1, 1, 14)
    enc_opt.zero_grad()
    dec_opt.zero_grad()
    loss = 0
    for i in range(len(source)):
        _, hidden = encoder(source[i], hidden)
    token = torch.tensor([[SOS]])
    teacher = random.random() < ratio
    for i in range(len(target)):
        output, hidden = decoder(token, hidden)
        loss += criterion(output, target[i].view(1))
        if teacher:
            token = target[i]
        else:
            token = output.topk(1)[1].squeeze().detach()
            if token.item() == EOS:
                break
    loss.backward()
    enc_opt.step()
    dec_opt.step()
    return loss.item() / len(target)


def train_iters(n_iters, print_every=20):
    enc_opt = torch.optim.SGD(encoder.parameters(), lr=0.05)
    dec_opt = torch.optim.SGD(decoder.parameters(), lr=0.05)
    plot_losses, print_total, plot_total = [], 0, 0
    training = [random.choice(pairs) for _ in range(n_iters)]
    for iteration in range(1, n_iters + 1):
        source, target = training[iteration - 1]
        loss = train(source, target, enc_opt, dec_opt)
        print_total += loss
        plot_total += loss
        if iteration % print_every == 0:
            print(f"{iteration} {print_total / print_every:.4f}")
            print_total = 0
            plot_losses.append(plot_total / print_every)
        tick()
    return plot_losses


curve = train_iters(110)
[round(c, 5) for c in curve]
