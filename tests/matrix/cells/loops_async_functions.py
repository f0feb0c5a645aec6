"""Loops in coroutines that the cell awaits: passed over inside, resumed between."""
# %% setup
import asyncio
import random

random.seed(501)


async def fetch(number):
    total = 0.0
    for part in range(3):
        await asyncio.sleep(0)
        total += random.random()
        tick()
    return number * total
# %% cell
results = []
for number in range(45):
    results.append(await fetch(number))
(len(results), sum(results))
