"""Actor and critic in one model: saved actions as named tuples, losses summed up, an early end when it is solved."""
# needs: torch, numpy
# depth: 2
# %% setup
import random
from collections import namedtuple
from itertools import count

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(8)
random.seed(8)
SavedAction = namedtuple("SavedAction", ["log_prob", "value"])


class Balance:
    def reset(self):
        self.x, self.v, self.t = random.uniform(-0.1, 0.1), 0.0, 0
        return [self.x, self.v]

    def step(self, action):
        self.v += 0.05 * (1 if action else -1) + 0.1 * self.x
        self.x += self.v
        self.t += 1
        return [self.x, self.v], 1.0, abs(self.x) > 0.5 or self.t >= 25


class Policy(nn.Module):
    def __init__(self):
        super().__init__()
        self.affine = nn.Linear(2, 16)
        self.action_head, self.value_head = nn.Linear(16, 2), nn.Linear(16, 1)
        self.saved_actions, self.rewards = [], []

    def forward(self, x):
        x = F.relu(self.affine(x))
        return F.softmax(self.action_head(x), dim=-1), self.value_head(x)
# %% cell
env, model = Balance(), Policy()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-2)


def select_action(state):
    probs, value = model(torch.tensor(state))
    m = torch.distributions.Categorical(probs)
    action = m.sample()
    model.saved_actions.append(SavedAction(m.log_prob(action), value))
    return action.item()


def finish_episode():
    R, returns, policy_losses, value_losses = 0, [], [], []
    for r in model.rewards[::-1]:
        R = r + 0.9 * R
        returns.insert(0, R)
    returns = torch.tensor(returns)
    for (log_prob, value), R in zip(model.saved_actions, returns):
        policy_losses.append(-log_prob * (R - value.item()))
        value_losses.append(F.smooth_l1_loss(value, torch.tensor([R])))
    optimizer.zero_grad()
    loss = torch.stack(policy_losses).sum() + torch.stack(value_losses).sum()
    loss.backward()
    optimizer.step()
    del model.rewards[:]
    del model.saved_actions[:]


def main():
    running_reward, lengths = 5, []
    for i_episode in count(1):
        state, ep_reward = env.reset(), 0
        for t in range(1, 100):
            state, reward, done = env.step(select_action(state))
            model.rewards.append(reward)
            ep_reward += reward
            tick()
            if done:
                break
        running_reward = 0.05 * ep_reward + 0.95 * running_reward
        finish_episode()
        lengths.append(t)
        if running_reward > 9 or i_episode >= 20:
            break
    return running_reward, lengths


reward, lengths = main()
round(reward, 5), len(lengths)
