"""`while True` with `break`, a step counter and a learning rate that decays, as small training loops have it."""
# unit: 0.008
# %% setup
import random

random.seed(191)
data = [(x / 10, 3 * x / 10 - 1 + random.gauss(0, 0.05)) for x in range(20)]
# %% cell
weight, bias, rate, step = 0.0, 0.0, 0.1, 0
history = []
while True:
    x, y = random.choice(data)
    error = weight * x + bias - y
    weight -= rate * error * x
    bias -= rate * error
    rate = 0.1 / (1 + step / 50)
    step += 1
    if step % 10 == 0:
        history.append((step, weight, bias))
    tick()
    if step >= 180:
        break
(weight, bias, len(history))
