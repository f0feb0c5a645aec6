"""A colab_guard Sweep over a grid, results and saved files per run, and the best at the end."""
# needs: torch, sklearn
# depth: 2
# %% setup
import torch
from sklearn.datasets import load_wine

from colab_guard import Sweep, grid

torch.manual_seed(21)
wine = load_wine()
data = torch.tensor(wine.data, dtype=torch.float32)
data = (data - data.mean(0)) / data.std(0)
target = torch.tensor(wine.target)
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
sweep = Sweep("wine", grid(lr=[0.01, 0.1], width=[4, 8]))
accuracies = {}
for run in sweep:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(13, run.params["width"]), torch.nn.ReLU(), torch.nn.Linear(run.params["width"], 3))
    opt = torch.optim.SGD(net.parameters(), lr=run.params["lr"], momentum=0.9)
    for epoch in range(5):
        order = torch.randperm(len(data))
        for k in range(0, len(data), 30):
            rows = order[k : k + 30]
            loss = torch.nn.functional.cross_entropy(net(data[rows]), target[rows])
            opt.zero_grad()
            loss.backward()
            opt.step()
            tick()
    accuracies[run.label] = float((net(data).argmax(1) == target).float().mean())
    run.log(accuracy=accuracies[run.label])
    run.save({name: value.tolist() for name, value in net.state_dict().items()}, "weights")
best = max(accuracies, key=accuracies.get)
metrics = [(run.params, dict(run.metrics)) for run in sweep.runs]
del sweep, run, net, opt, loss
accuracies, best, metrics
