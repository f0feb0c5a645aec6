"""A progress bar and a figure that is drawn again while training: lines updated, axes rescaled, a csv log, saved at the end."""
# needs: numpy, matplotlib, tqdm
# %% setup
import csv

import matplotlib

matplotlib.use("agg")
import matplotlib.pyplot as plt
import numpy as np
from tqdm.auto import tqdm

rng = np.random.default_rng(27)
# %% cell
fig, (ax1, ax2) = plt.subplots(1, 2, figsize=(6, 3))
(train_line,) = ax1.plot([], [], label="train")
(val_line,) = ax1.plot([], [], label="val")
ax1.legend()
xs, train, val = [], [], []
log = open("history.csv", "w", newline="")
writer = csv.writer(log)
writer.writerow(["step", "train", "val"])
w = np.zeros(3)
for step in tqdm(range(100), desc="steps", disable=True):
    x = rng.normal(size=3)
    w += 0.05 * (1 - w @ x) * x
    xs.append(step)
    train.append(float((1 - w @ x) ** 2))
    val.append(float(np.abs(w).sum()))
    writer.writerow([step, train[-1], val[-1]])
    if step % 10 == 0:
        train_line.set_data(xs, train)
        val_line.set_data(xs, val)
        ax1.relim()
        ax1.autoscale_view()
        ax2.clear()
        ax2.bar(range(3), w)
        ax2.set_title(f"step {step}")
    tick()
log.close()
points = len(train_line.get_xdata())
title = ax2.get_title()
figures = plt.get_fignums()
plt.close(fig)
del fig, ax1, ax2, train_line, val_line, log, writer
points, title, figures
