"""DQN: a replay memory of named tuples in a deque, a target net, epsilon decay, soft updates."""
# needs: torch
# %% setup
import copy
import math
import random
from collections import deque, namedtuple

import torch
import torch.nn as nn

random.seed(9)
torch.manual_seed(9)
Transition = namedtuple("Transition", ("state", "action", "next_state", "reward"))


class ReplayMemory:
    def __init__(self, capacity):
        self.memory = deque([], maxlen=capacity)

    def push(self, *args):
        self.memory.append(Transition(*args))

    def sample(self, batch_size):
        return random.sample(self.memory, batch_size)

    def __len__(self):
        return len(self.memory)


def env_step(x, action):
    x = x + (0.2 if action == 1 else -0.2) + random.gauss(0, 0.05)
    return x, -abs(x), abs(x) > 1
# %% cell
policy_net = nn.Sequential(nn.Linear(1, 12), nn.ReLU(), nn.Linear(12, 2))
target_net = copy.deepcopy(policy_net)
target_net.load_state_dict(policy_net.state_dict())
optimizer = torch.optim.AdamW(policy_net.parameters(), lr=1e-2, amsgrad=True)
memory = ReplayMemory(60)
steps_done, durations = 0, []
for i_episode in range(10):
    x = random.uniform(-0.5, 0.5)
    state = torch.tensor([[x]])
    for t in range(12):
        eps_threshold = 0.05 + 0.85 * math.exp(-steps_done / 40)
        steps_done += 1
        if random.random() > eps_threshold:
            with torch.no_grad():
                action = policy_net(state).max(1).indices.view(1, 1)
        else:
            action = torch.tensor([[random.randrange(2)]])
        x, reward, terminated = env_step(x, action.item())
        reward = torch.tensor([reward])
        next_state = None if terminated else torch.tensor([[x]])
        memory.push(state, action, next_state, reward)
        state = next_state
        if len(memory) >= 16:
            batch = Transition(*zip(*memory.sample(16)))
            mask = torch.tensor([s is not None for s in batch.next_state])
            following = torch.cat([s for s in batch.next_state if s is not None])
            state_action_values = policy_net(torch.cat(batch.state)).gather(1, torch.cat(batch.action))
            next_values = torch.zeros(16)
            with torch.no_grad():
                next_values[mask] = target_net(following).max(1).values
            expected = next_values * 0.9 + torch.cat(batch.reward)
            loss = nn.SmoothL1Loss()(state_action_values, expected.unsqueeze(1))
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_value_(policy_net.parameters(), 100)
            optimizer.step()
        target_state, policy_state = target_net.state_dict(), policy_net.state_dict()
        for key in policy_state:
            target_state[key] = policy_state[key] * 0.05 + target_state[key] * 0.95
        target_net.load_state_dict(target_state)
        tick()
        if terminated:
            break
    durations.append(t + 1)
sum(durations), len(memory)
