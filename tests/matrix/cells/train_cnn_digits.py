"""A convolutional net on digits: own Dataset with random augmentation, `train_one_epoch`, early stopping, best weights."""
# needs: torch, sklearn, numpy
# depth: 2
# %% setup
import copy
import random

import numpy as np
import torch
import torch.nn as nn
from sklearn.datasets import load_digits
from torch.utils.data import DataLoader, Dataset, random_split


def seed_everything(seed):
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


seed_everything(13)


class Digits(Dataset):
    def __init__(self, n, train=True):
        bunch = load_digits()
        self.x = torch.tensor(bunch.images[:n] / 16, dtype=torch.float32).unsqueeze(1)
        self.y = torch.tensor(bunch.target[:n])
        self.train = train

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        x = self.x[i]
        if self.train and random.random() < 0.5:
            x = torch.roll(x, int(np.random.randint(-1, 2)), dims=2)
        if self.train:
            x = x + 0.05 * torch.randn_like(x)
        return x, self.y[i]


class CNN(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(96, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


class AverageMeter:
    def __init__(self):
        self.reset()

    def reset(self):
        self.sum, self.count = 0.0, 0

    def update(self, value, n=1):
        self.sum += value * n
        self.count += n

    @property
    def avg(self):
        return self.sum / max(1, self.count)
# %% cell
train_set, val_set = random_split(Digits(160), [128, 32], generator=torch.Generator().manual_seed(0))
train_loader = DataLoader(train_set, batch_size=16, shuffle=True, drop_last=True)
val_loader = DataLoader(val_set, batch_size=16)
model = CNN()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=1e-4)
scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=3, gamma=0.5)


def train_one_epoch(model, loader, meter):
    model.train()
    for images, labels in loader:
        outputs = model(images)
        loss = nn.functional.cross_entropy(outputs, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        meter.update(loss.item(), len(labels))
        tick()


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    correct = 0
    for images, labels in loader:
        correct += (model(images).argmax(1) == labels).sum().item()
        tick()
    return correct / len(loader.dataset)


best_acc, best_state, patience, history = 0.0, None, 4, []
meter = AverageMeter()
for epoch in range(14):
    meter.reset()
    train_one_epoch(model, train_loader, meter)
    acc = evaluate(model, val_loader)
    scheduler.step()
    history.append({"epoch": epoch, "loss": meter.avg, "acc": acc, "lr": scheduler.get_last_lr()[0]})
    if acc > best_acc:
        best_acc, best_state, patience = acc, copy.deepcopy(model.state_dict()), 4
    else:
        patience -= 1
        if patience == 0:
            break
model.load_state_dict(best_state)
best_acc, len(history), round(history[-1]["loss"], 6)
