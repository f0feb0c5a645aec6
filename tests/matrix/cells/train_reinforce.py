"""REINFORCE on an own environment: log probabilities with their graph, returns, a baseline, episodes of random length."""
# needs: torch, numpy
# %% setup
from collections import deque

import numpy as np
import torch
import torch.nn as nn
from torch.distributions import Categorical

torch.manual_seed(6)


class Walk:
    """Reach the right end of a line; the wind blows."""

    def __init__(self, size=5, seed=0):
        self.size, self.rng = size, np.random.default_rng(seed)

    def reset(self):
        self.at, self.steps = self.size // 2, 0
        return self.state()

    def state(self):
        return np.eye(self.size, dtype=np.float32)[self.at]

    def step(self, action):
        wind = self.rng.random() < 0.2
        self.at = int(np.clip(self.at + (1 if action == 1 else -1) * (-1 if wind else 1), 0, self.size - 1))
        self.steps += 1
        done = self.at in (0, self.size - 1) or self.steps >= 12
        return self.state(), float(self.at == self.size - 1), done, {}


class Policy(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(size, 16), nn.Tanh(), nn.Linear(16, 2))
        self.saved_log_probs, self.rewards = [], []

    def forward(self, x):
        return torch.softmax(self.net(x), -1)
# %% cell
env = Walk()
policy = Policy(env.size)
optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
running_reward, scores = 0.0, deque(maxlen=20)
eps = np.finfo(np.float32).eps.item()
for episode in range(40):
    state, ep_reward = env.reset(), 0
    while True:
        probs = policy(torch.from_numpy(state).unsqueeze(0))
        m = Categorical(probs)
        action = m.sample()
        policy.saved_log_probs.append(m.log_prob(action))
        state, reward, done, _ = env.step(action.item())
        policy.rewards.append(reward)
        ep_reward += reward
        tick()
        if done:
            break
    running_reward = 0.05 * ep_reward + 0.95 * running_reward
    scores.append(ep_reward)
    R, returns = 0, deque()
    for r in policy.rewards[::-1]:
        R = r + 0.95 * R
        returns.appendleft(R)
    returns = torch.tensor(returns)
    returns = (returns - returns.mean()) / (returns.std(unbiased=False) + eps)
    policy_loss = [-log_prob * R for log_prob, R in zip(policy.saved_log_probs, returns)]
    optimizer.zero_grad()
    policy_loss = torch.cat(policy_loss).sum()
    policy_loss.backward()
    optimizer.step()
    del policy.rewards[:]
    del policy.saved_log_probs[:]
round(running_reward, 6), sum(scores)
