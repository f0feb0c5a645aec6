"""Generators that are sent values: a running mean and a proportional controller."""
# %% setup
import random

random.seed(141)


def running_mean():
    total, count = 0.0, 0
    mean = None
    while True:
        value = yield mean
        total += value
        count += 1
        mean = total / count


def controller(target, gain=0.3):
    integral = 0.0
    action = 0.0
    while True:
        measured = yield action
        error = target - measured
        integral += error
        action = gain * error + 0.01 * integral
# %% cell
mean = running_mean()
next(mean)
steer = controller(20.0)
next(steer)
temperature, history = 5.0, []
for step in range(140):
    action = steer.send(temperature)
    temperature += action + random.gauss(0, 0.1)
    history.append((temperature, mean.send(temperature)))
    tick()
history[-1]
# %% after
later = [mean.send(1.0), steer.send(2.0)]
