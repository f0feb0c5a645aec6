"""A cellular automaton in numpy: life on a torus with random births, counted by generation."""
# needs: numpy
# unit: 0.005
# %% setup
import numpy as np

rng = np.random.default_rng(1011)
world = (rng.random((64, 64)) < 0.3).astype(np.uint8)
view = world[10:20, 10:20]
# %% cell
def neighbours(grid):
    total = np.zeros_like(grid)
    for rows in (-1, 0, 1):
        for columns in (-1, 0, 1):
            if rows or columns:
                total += np.roll(np.roll(grid, rows, axis=0), columns, axis=1)
    return total


alive, corners = [], []
for generation in range(300):
    around = neighbours(world)
    born = (world == 0) & (around == 3)
    stays = (world == 1) & ((around == 2) | (around == 3))
    world[:] = (born | stays).astype(np.uint8)
    spark = rng.integers(0, 64, size=2)
    world[tuple(spark)] = 1
    alive.append(int(world.sum()))
    corners.append(view.copy() if generation % 50 == 0 else None)
    tick()
(alive[-1], view.base is world, rng.random())
