"""A game of fire on a masked array, a signal subclass of ndarray with units, a frame buffer through a memoryview."""
# needs: numpy
# %% setup
import numpy as np
rng = np.random.default_rng(6)
class Signal(np.ndarray):
    def __new__(cls, a, unit=None): o = np.asarray(a, float).view(cls); o.unit = unit; return o
    def __array_finalize__(self, o): self.unit = getattr(o, "unit", None)
# %% cell
grid = np.ma.masked_array(rng.random((8, 8)), mask=rng.random((8, 8)) < .2); fuel = grid.data; top = grid[:2]
sig = Signal(np.zeros(120), unit="K")
for t in range(120):
    fuel *= 0.99; top += 0.01
    i, j = rng.integers(0, 8, 2); grid[i, j] = np.ma.masked if rng.random() < .1 else rng.random()
    sig[t] = grid.mean()
    tick()
float(grid.sum()), int(grid.mask.sum()), sig.unit, float(sig.sum())
