"""A list that grows and shrinks while it is iterated, and slices of lists and dicts that change in place."""
# %% setup
import random

random.seed(411)
todo = [5]
# %% cell
done = []
for job in todo:
    done.append(job)
    if len(todo) < 90:
        todo.append(random.randrange(100))
        if job % 2:
            todo.append(job + 1)
    tick()
items = list(range(40))
for item in items[:]:
    if item % 3 == 0:
        items.remove(item)
    tick()
alias = items
items += [1000]
(len(done), len(items), alias is items)
