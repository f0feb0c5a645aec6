"""Several loops one after another, with statements between them, and none around."""
# %% setup
import random

random.seed(261)
# %% cell
train = []
for step in range(50):
    train.append(random.random())
    tick()
mean = sum(train) / len(train)
centred = [x - mean for x in train]
valid = 0.0
for value in centred:
    valid += value * value
    tick()
scale = valid**0.5
index = 0
while index < 45:
    centred[index] /= scale
    index += 1
    tick()
(mean, scale, centred[-1])
