"""Top-level `await` in the guarded cell, with loops around it and after it."""
# %% setup
import asyncio
import random

random.seed(421)
results = []


async def fetch(number):
    await asyncio.sleep(0)
    return number * random.random()
# %% cell
for number in range(70):
    results.append(await fetch(number))
    tick()
values = await asyncio.gather(fetch(1), fetch(2))
for number in range(70):
    results.append(number)
    tick()
(len(results), values)
