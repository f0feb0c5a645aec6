"""PPO on an environment of the notebook's: rollout buffers, advantages, minibatch epochs, an entropy bonus, clipped updates."""
# needs: torch, numpy
# depth: 3
# %% setup
from collections import deque, namedtuple

import numpy as np
import torch
from torch import nn
from torch.distributions import Categorical

Transition = namedtuple("Transition", "state action logp reward value done")


class Corridor:
    def __init__(self, length=6, seed=0):
        self.length, self.rng = length, np.random.default_rng(seed)

    def reset(self):
        self.at, self.left = int(self.rng.integers(self.length)), 20
        return self.observe()

    def observe(self):
        return np.eye(self.length, dtype=np.float32)[self.at]

    def step(self, action):
        self.left -= 1
        self.at = int(np.clip(self.at + (1 if action else -1), 0, self.length - 1))
        done = self.at == self.length - 1 or self.left == 0
        return self.observe(), 1.0 if self.at == self.length - 1 else -0.05, done


torch.manual_seed(17)
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
class ActorCritic(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(n, 16), nn.Tanh())
        self.pi, self.v = nn.Linear(16, 2), nn.Linear(16, 1)

    def forward(self, x):
        h = self.body(x)
        return Categorical(logits=self.pi(h)), self.v(h).squeeze(-1)


def rollout(env, net, steps, state, episode, returns):
    buffer = []
    for _ in range(steps):
        with torch.no_grad():
            dist, value = net(torch.from_numpy(state))
            action = dist.sample()
        following, reward, done = env.step(action.item())
        buffer.append(Transition(state, action.item(), dist.log_prob(action).item(), reward, value.item(), done))
        episode += reward
        state = following
        if done:
            returns.append(episode)
            state, episode = env.reset(), 0.0
        tick()
    return buffer, state, episode


def advantages(buffer, last, gamma=0.97, lam=0.9):
    out, running = np.zeros(len(buffer), np.float32), 0.0
    for t in reversed(range(len(buffer))):
        following = last if t == len(buffer) - 1 else buffer[t + 1].value
        delta = buffer[t].reward + gamma * following * (not buffer[t].done) - buffer[t].value
        running = delta + gamma * lam * (not buffer[t].done) * running
        out[t] = running
    return out


env, net = Corridor(seed=4), ActorCritic(6)
optimizer = torch.optim.Adam(net.parameters(), lr=3e-3, eps=1e-5)
returns, losses = deque(maxlen=30), []
state, episode = env.reset(), 0.0
for update in range(6):
    buffer, state, episode = rollout(env, net, 24, state, episode, returns)
    with torch.no_grad():
        last = net(torch.from_numpy(state))[1].item()
    adv = torch.from_numpy(advantages(buffer, last))
    batch = Transition(*zip(*buffer))
    states, actions = torch.from_numpy(np.stack(batch.state)), torch.tensor(batch.action)
    old, target = torch.tensor(batch.logp), adv + torch.tensor(batch.value)
    adv = (adv - adv.mean()) / (adv.std() + 1e-8)
    for epoch in range(3):
        for rows in torch.randperm(len(buffer)).split(8):
            dist, value = net(states[rows])
            ratio = torch.exp(dist.log_prob(actions[rows]) - old[rows])
            surrogate = torch.min(ratio * adv[rows], ratio.clamp(0.8, 1.2) * adv[rows]).mean()
            loss = -surrogate + 0.5 * (value - target[rows]).pow(2).mean() - 0.01 * dist.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(net.parameters(), 0.5)
            optimizer.step()
            losses.append(loss.item())
            tick()
list(returns)[-3:], round(losses[-1], 6)
