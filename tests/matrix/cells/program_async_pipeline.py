"""Coroutines that the cell awaits: an async context manager, an async generator in `async for`, a semaphore, an Event, an asyncio.Queue used in one coroutine."""
# inside: between
# %% setup
import asyncio, random
from contextlib import asynccontextmanager
random.seed(77)
class Conn:
    def __init__(self, name): self.name, self.sent = name, []
    async def __aenter__(self): self.sent.append("open"); return self
    async def __aexit__(self, *e): self.sent.append("close")
    async def send(self, x):
        await asyncio.sleep(0)
        self.sent.append(x)
        return x * 2
async def numbers(n):
    for i in range(n):
        await asyncio.sleep(0)
        yield i, random.random()
# %% cell
@asynccontextmanager
async def connect(name):
    async with Conn(name) as c:
        yield c
async def collect(c, n):
    total = 0
    async for i, r in numbers(n):
        total += await c.send(r)
        tick()
    return total
totals = []
for k in range(6):
    async with connect(f"c{k}") as c:
        totals.append(await collect(c, 10))
    for j in range(8):
        tick()
        totals.append(random.random())
queue = asyncio.Queue()
for i in range(20):
    await queue.put(i)
    tick()
got = []
while not queue.empty():
    got.append(await queue.get())
    tick()
squares = [x async for x, _ in numbers(5)]
sum(totals), got[-1], c.sent[-1], squares
