"""K-fold cross-validation with a new net for each fold, SubsetRandomSampler, the best state of each fold kept."""
# needs: torch, sklearn, numpy
# %% setup
import copy

import numpy as np
import torch
import torch.nn as nn
from sklearn.model_selection import KFold

torch.manual_seed(15)
dataset = torch.utils.data.TensorDataset(torch.randn(60, 6), torch.randn(60, 1))


def reset_weights(m):
    for layer in m.children():
        if hasattr(layer, "reset_parameters"):
            layer.reset_parameters()
# %% cell
k_folds, num_epochs = 4, 6
results, states = {}, []
kfold = KFold(n_splits=k_folds, shuffle=True, random_state=3)
for fold, (train_ids, test_ids) in enumerate(kfold.split(dataset)):
    trainloader = torch.utils.data.DataLoader(dataset, batch_size=9, sampler=torch.utils.data.SubsetRandomSampler(train_ids))
    testloader = torch.utils.data.DataLoader(dataset, batch_size=9, sampler=torch.utils.data.SubsetRandomSampler(test_ids))
    network = nn.Sequential(nn.Linear(6, 12), nn.ReLU(), nn.Linear(12, 1))
    network.apply(reset_weights)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    best, best_state = np.inf, None
    for epoch in range(num_epochs):
        current_loss = 0.0
        for i, data in enumerate(trainloader, 0):
            inputs, targets = data
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(network(inputs), targets)
            loss.backward()
            optimizer.step()
            current_loss += loss.item()
            tick()
        with torch.no_grad():
            total = sum(nn.functional.mse_loss(network(a), b).item() for a, b in testloader)
        if total < best:
            best, best_state = total, copy.deepcopy(network.state_dict())
    results[fold] = best
    states.append(best_state)
mean = sum(results.values()) / len(results)
round(mean, 6)
