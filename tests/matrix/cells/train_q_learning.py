"""Q-learning in numpy with a great many tiny iterations: a table, an own environment, decayed exploration."""
# needs: numpy
# unit: 0
# %% setup
import numpy as np

rng = np.random.default_rng(10)


class Grid:
    moves = ((0, 1), (1, 0), (0, -1), (-1, 0))

    def __init__(self, n):
        self.n, self.goal = n, (n - 1, n - 1)

    def step(self, state, action):
        r = min(max(state[0] + self.moves[action][0], 0), self.n - 1)
        c = min(max(state[1] + self.moves[action][1], 0), self.n - 1)
        done = (r, c) == self.goal
        return (r, c), (10.0 if done else -0.1), done
# %% setup
import numpy
import random

random.seed(0)
numpy.random.seed(0)
# %% cell
env = Grid(5)
Q = np.zeros((5, 5, 4))
visits = {}
epsilon, alpha, gamma = 1.0, 0.2, 0.95
lengths, total = [], 0
for episode in range(20_000):
    state, done, steps = (0, 0), False, 0
    while not done and steps < 40:
        if rng.random() < epsilon:
            action = int(rng.integers(4))
        else:
            action = int(Q[state].argmax())
        new, reward, done = env.step(state, action)
        best = 0.0 if done else Q[new].max()
        Q[state][action] += alpha * (reward + gamma * best - Q[state][action])
        visits[state] = visits.get(state, 0) + 1
        state = new
        steps += 1
        total += 1
    epsilon = max(0.05, epsilon * 0.999)
    lengths.append(steps)
    if episode % 25 == 0:
        tick()
total, lengths[-5:], round(float(Q.sum()), 6)
