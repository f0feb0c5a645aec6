"""Windows over a stream: `pairwise`, `zip(x, x[1:])`, `islice` on one shared iterator, a deque as a window."""
# %% setup
import itertools
import random
from collections import deque

random.seed(491)
values = [random.random() for _ in range(45)]
# %% cell
rises, means, chunks = 0, [], []
for before, after in itertools.pairwise(values):
    rises += after > before
    tick()
window = deque(maxlen=4)
for value, following in zip(values, values[1:]):
    window.append(value + following)
    means.append(sum(window) / len(window))
    tick()
shared = iter(values)
while chunk := list(itertools.islice(shared, 3)):
    chunks.append(sum(chunk) * random.random())
    tick()
pairs = itertools.pairwise(random.random() for _ in range(60))
for before, after in pairs:
    chunks.append(after - before)
    tick()
    if len(chunks) > 45:
        break
(rises, means[-1], len(chunks), next(pairs))
