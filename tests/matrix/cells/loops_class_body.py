"""A loop in a class body, and a class whose attributes are made by loops at the cell's level."""
# %% setup
import random

random.seed(281)
# %% cell
class Table:
    rows = []
    for _index in range(30):
        rows.append(_index * random.random())
        tick()
    size = len(rows)

    def total(self):
        result = 0.0
        for row in self.rows:
            result += row
            tick()
        return result


table = Table()
sums = []
for turn in range(4):
    sums.append(table.total())
    Table.rows[turn] = 0.0
    setattr(Table, f"sum_{turn}", sums[-1])
(sums, Table.size, Table.sum_3)
