"""A pool of processes used in each iteration, one that is over, results that have come, a process and a command that have ended."""
# depth: 2
# %% setup
import math
import multiprocessing
import random
import subprocess
import sys

random.seed(17)
context = multiprocessing.get_context("fork")


def score(n):
    return math.sqrt(n) * 3
# %% cell
found, texts = [], []
for generation in range(4):
    with context.Pool(2) as pool:
        values = pool.map(score, [random.randrange(100) for _ in range(6)])
        last = pool.apply_async(score, (generation,))
        last.wait()
        for value in values[:2]:
            found.append(value + random.random() + sum(pool.map(score, range(3))))
            tick()
    child = context.Process(target=sys.exit, args=(generation,))
    child.start()
    child.join()
    command = subprocess.Popen([sys.executable, "-c", f"print({generation} * 2)"], stdout=subprocess.PIPE, text=True)
    texts.append(command.communicate()[0].strip())
    for value in values:
        for _ in range(4):
            found.append(value + random.random())
            tick()
told = last.get(), child.exitcode, command.returncode, pool._state
del pool, last, child, command
told, sum(found), texts
