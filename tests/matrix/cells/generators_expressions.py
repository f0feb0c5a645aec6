"""Generator expressions that wait: over a file, a generator and a list, with conditions and closed-over variables."""
# %% setup
import random

random.seed(471)
with open("lines.txt", "w") as file:
    for number in range(60):
        file.write(f"line {number}\n")
earlier = (x * random.random() for x in range(1000) if x % 3)
begun = next(earlier)


def scaled(values, factor):
    return (factor * value for value in values if value)
# %% cell
source = open("lines.txt")
words = (line.split()[1] for line in source)
numbers = scaled((int(word) for word in words), 10)
out = []
for number in numbers:
    out.append(number + next(earlier))
    tick()
for value in scaled(earlier, factor=2):
    out.append(value)
    tick()
    if len(out) == 140:
        break
source.close()
(begun, sum(out), next(earlier))
