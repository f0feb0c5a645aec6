"""Skip-gram with negative sampling: a Counter, subsampling with `random`, sparse embeddings, nearest words at the end."""
# needs: torch, numpy
# %% setup
import random
from collections import Counter

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F

random.seed(11)
np.random.seed(11)
torch.manual_seed(11)
corpus = "the king rules the land the queen rules the sea a man and a woman walk the land and the sea " * 5
words = corpus.split()
# %% cell
counts = Counter(words)
vocab = [w for w, _ in counts.most_common()]
index = {w: i for i, w in enumerate(vocab)}
freq = np.array([counts[w] for w in vocab]) ** 0.75
freq /= freq.sum()
pairs = []
for i, w in enumerate(words):
    if random.random() < 0.3:
        continue
    for j in range(max(0, i - 2), min(len(words), i + 3)):
        if j != i:
            pairs.append((index[w], index[words[j]]))
centre, context = nn.Embedding(len(vocab), 10, sparse=True), nn.Embedding(len(vocab), 10, sparse=True)
optimizer = torch.optim.SparseAdam([*centre.parameters(), *context.parameters()], lr=0.02)
losses = []
for epoch in range(4):
    random.shuffle(pairs)
    running = 0.0
    for start in range(0, len(pairs), 8):
        batch = torch.tensor(pairs[start : start + 8])
        negative = torch.from_numpy(np.random.choice(len(vocab), (len(batch), 5), p=freq))
        v, u, n = centre(batch[:, 0]), context(batch[:, 1]), context(negative)
        loss = -(F.logsigmoid((v * u).sum(1)) + F.logsigmoid(-(n @ v.unsqueeze(2)).squeeze(2)).sum(1)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        running += loss.item()
        tick()
    losses.append(running)
vectors = F.normalize(centre.weight.detach(), dim=1)
nearest = {w: vocab[int((vectors @ vectors[index[w]]).topk(2).indices[1])] for w in ("king", "sea")}
round(losses[-1], 5), nearest
