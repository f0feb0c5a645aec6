"""LBFGS with a closure on a sine, predictions for a plot kept at every step, an inner function that counts calls."""
# needs: torch, numpy
# %% setup
import numpy as np
import torch
import torch.nn as nn

np.random.seed(18)
torch.manual_seed(18)
x = (np.arange(60)[None, :] + np.random.randint(-8, 8, (5, 1))) / 8.0
data = np.sin(x).astype("float32")
source, target = torch.from_numpy(data[2:, :-1]), torch.from_numpy(data[2:, 1:])
test_input = torch.from_numpy(data[:2, :-1])


class Sequence(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm1, self.linear = nn.LSTMCell(1, 8), nn.Linear(8, 1)

    def forward(self, input, future=0):
        outputs = []
        h, c = torch.zeros(len(input), 8), torch.zeros(len(input), 8)
        for part in input.split(1, dim=1):
            h, c = self.lstm1(part, (h, c))
            output = self.linear(h)
            outputs += [output]
        for _ in range(future):
            h, c = self.lstm1(output, (h, c))
            output = self.linear(h)
            outputs += [output]
        return torch.cat(outputs, dim=1)
# %% cell
seq = Sequence()
criterion = nn.MSELoss()
optimizer = torch.optim.LBFGS(seq.parameters(), lr=0.6, max_iter=4)
curves, calls, losses = [], 0, []
for i in range(14):
    def closure():
        global calls
        optimizer.zero_grad()
        out = seq(source)
        loss = criterion(out, target)
        calls += 1
        tick()
        loss.backward()
        return loss

    losses.append(optimizer.step(closure).item())
    with torch.no_grad():
        pred = seq(test_input, future=10)
        curves.append(pred.numpy()[:, -10:])
        tick()
calls, round(losses[-1], 7)
