"""Gradient descent in numpy with mini-batches, early stopping, patience, and the best weights kept by copy."""
# needs: numpy
# unit: 0.004
# %% setup
import numpy as np

rng = np.random.default_rng(1071)
truth = rng.normal(size=5)
inputs = rng.normal(size=(200, 5))
targets = inputs @ truth + 0.1 * rng.normal(size=200)
train, valid = slice(0, 150), slice(150, 200)
# %% cell
weights, velocity = np.zeros(5), np.zeros(5)
best, best_loss, patience, history = None, np.inf, 0, []
for epoch in range(60):
    order = rng.permutation(150)
    for start in range(0, 150, 25):
        rows = order[start : start + 25]
        gradient = 2 * inputs[rows].T @ (inputs[rows] @ weights - targets[rows]) / len(rows)
        velocity *= 0.8
        velocity -= 0.01 * gradient
        weights += velocity
        tick()
    loss = float(((inputs[valid] @ weights - targets[valid]) ** 2).mean())
    history.append(loss)
    if loss < best_loss - 1e-7:
        best, best_loss, patience = weights.copy(), loss, 0
    else:
        patience += 1
    if patience >= 8 and epoch > 45:
        stopped = epoch
        break
else:
    stopped = None
(stopped, best_loss, best is not weights, len(history))
