"""Q-learning on a grid world: 100,000 tiny iterations of one `while True` with episodes, a table in a defaultdict."""
# unit: 0
# %% setup
import random
from collections import defaultdict

random.seed(1001)
SIZE = 6
ACTIONS = [(0, 1), (1, 0), (0, -1), (-1, 0)]
HOLES = {(1, 1), (2, 4), (4, 2), (3, 3)}


def step(state, action):
    row = min(max(state[0] + ACTIONS[action][0], 0), SIZE - 1)
    column = min(max(state[1] + ACTIONS[action][1], 0), SIZE - 1)
    if (row, column) in HOLES:
        return (row, column), -1.0, True
    if (row, column) == (SIZE - 1, SIZE - 1):
        return (row, column), 1.0, True
    return (row, column), -0.01, False
# %% cell
table = defaultdict(lambda: [0.0] * 4)
alpha, gamma, epsilon = 0.2, 0.95, 1.0
state, episode, total = (0, 0), 0, 0.0
returns = []
for iteration in range(400_000):
    if random.random() < epsilon:
        action = random.randrange(4)
    else:
        action = max(range(4), key=table[state].__getitem__)
    new_state, reward, done = step(state, action)
    target = reward if done else reward + gamma * max(table[new_state])
    table[state][action] += alpha * (target - table[state][action])
    total += reward
    state = new_state
    if done:
        returns.append(total)
        state, total, episode = (0, 0), 0.0, episode + 1
        epsilon = max(0.05, epsilon * 0.999)
    if iteration % 50 == 0:
        tick()
policy = {s: max(range(4), key=values.__getitem__) for s, values in sorted(table.items())}
(episode, round(sum(returns[-100:]), 9), policy[0, 0])
