"""`while` with a walrus: a queue that fills while it is emptied."""
# %% setup
import random
from collections import deque

random.seed(181)
queue = deque([1])
# %% cell
order, chunk_sums = [], []
while (job := queue.popleft() if queue else None) is not None:
    order.append(job)
    if job < 70:
        queue.append(2 * job)
        queue.append(2 * job + 1)
    tick()
numbers = iter([random.randrange(50) for _ in range(60)])
while chunk := [x for x, _ in zip(numbers, range(3))]:
    chunk_sums.append(sum(chunk))
    tick()
(order[-1], chunk_sums, chunk, job)
