"""Lines of a file as the head of a loop, and results written to other files on the way."""
# %% setup
import random

random.seed(351)
with open("input.txt", "w") as file:
    for number in range(150):
        file.write(f"{number} {random.random()!r}\n")
# %% cell
total = 0.0
with open("input.txt") as source, open("output.txt", "w") as target:
    header = source.readline()
    for line in source:
        number, value = line.split()
        total += float(value) * random.random()
        target.write(f"{number}: {total!r}\n")
        tick()
with open("output.txt") as again:
    lines = again.readlines()
(header, len(lines), lines[-1])
