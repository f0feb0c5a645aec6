"""A record array and a view of its field."""
# needs: numpy
# %% setup
import numpy as np
rng = np.random.default_rng(1)
# %% cell
P = np.recarray(200, dtype=[("x", "f8"), ("v", "f8")]); P.x = 0; P.v = 1
xs = P["x"]
for t in range(40):
    xs += P.v + rng.random()
    tick()
for t in range(80):
    tick()
print(xs.sum(), P.x.sum())
# %% after
shared = np.shares_memory(P, xs)
