"""Rule 110 as nested loops over lists, the rows printed into one string, with a generator of rows."""
# unit: 0.003
# %% setup
import random

random.seed(1021)
RULE = {tuple(map(int, f"{n:03b}")): (110 >> n) & 1 for n in range(8)}


def rows(width):
    row = [random.randrange(2) for _ in range(width)]
    while True:
        yield row
        row = [RULE[row[i - 1], row[i], row[(i + 1) % width]] for i in range(width)]
# %% cell
picture, density = [], {}
for number, row in zip(range(40), rows(32)):
    line = ""
    for cell in row:
        line += ".#"[cell]
        if len(line) % 4 == 0:
            tick()
    picture.append(line)
    density[number] = line.count("#") / len(line)
(picture[-1], max(density.values()))
