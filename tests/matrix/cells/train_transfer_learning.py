"""Transfer learning: phases in a dictionary of loaders, frozen layers thawed on the way, best weights on the disk."""
# needs: torch
# depth: 2
# %% setup
import os
import time
from tempfile import TemporaryDirectory

import torch
import torch.nn as nn
from torch.optim import lr_scheduler

torch.manual_seed(14)
X = torch.randn(96, 10)
y = (X[:, :3].sum(1) > 0).long()
datasets = {"train": torch.utils.data.TensorDataset(X[:64], y[:64]), "val": torch.utils.data.TensorDataset(X[64:], y[64:])}
backbone = nn.Sequential(nn.Linear(10, 16), nn.ReLU(), nn.Linear(16, 12), nn.ReLU())
# %% cell
dataloaders = {x: torch.utils.data.DataLoader(datasets[x], batch_size=8, shuffle=x == "train") for x in ["train", "val"]}
dataset_sizes = {x: len(datasets[x]) for x in ["train", "val"]}


def train_model(model, criterion, optimizer, scheduler, num_epochs):
    best_path = "best_model_params.pt"
    torch.save(model.state_dict(), best_path)
    best_acc, log = 0.0, []
    for epoch in range(num_epochs):
        if epoch == 5:
            for param in model[0].parameters():
                param.requires_grad = True
            optimizer.add_param_group({"params": model[0].parameters(), "lr": 1e-3})
        for phase in ["train", "val"]:
            if phase == "train":
                model.train()
            else:
                model.eval()
            running_loss, running_corrects = 0.0, 0
            for inputs, labels in dataloaders[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    outputs = model(inputs)
                    _, preds = torch.max(outputs, 1)
                    loss = criterion(outputs, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                running_loss += loss.item() * inputs.size(0)
                running_corrects += torch.sum(preds == labels.data)
                tick()
            if phase == "train":
                scheduler.step()
            epoch_loss = running_loss / dataset_sizes[phase]
            epoch_acc = running_corrects.double() / dataset_sizes[phase]
            log.append((phase, epoch_loss, epoch_acc.item()))
            if phase == "val" and epoch_acc > best_acc:
                best_acc = epoch_acc
                torch.save(model.state_dict(), best_path)
    model.load_state_dict(torch.load(best_path))
    return model, log


model_ft = nn.Sequential(backbone, nn.Linear(12, 2))
for param in model_ft[0].parameters():
    param.requires_grad = False
optimizer_ft = torch.optim.SGD(model_ft[1].parameters(), lr=0.05, momentum=0.9)
exp_lr_scheduler = lr_scheduler.StepLR(optimizer_ft, step_size=7, gamma=0.1)
model_ft, log = train_model(model_ft, nn.CrossEntropyLoss(), optimizer_ft, exp_lr_scheduler, num_epochs=10)
round(log[-1][1], 6), round(log[-1][2], 4)
