"""numpy's own iterators as the heads of loops: ndenumerate, flat, rows of an array, ndindex."""
# needs: numpy
# %% setup
import numpy as np

rng = np.random.default_rng(531)
field = rng.normal(size=(6, 7))
# %% cell
total, marks = 0.0, []
for (row, column), value in np.ndenumerate(field):
    total += value * row - column * rng.random()
    tick()
for value in field.flat:
    marks.append(value > 0)
    tick()
for row in field:
    for value in row:
        total += value
        tick()
for index in np.ndindex(3, 4):
    field[index] = total
    tick()
(total, sum(marks), field.sum())
