"""Closures that share one cell through `nonlocal`: two functions count into the same variable."""
# depth: 2
# %% setup
def counter(start):
    value = start
    history = []

    def up(by):
        nonlocal value
        for _ in range(by):
            value += 1
            history.append(value)
            tick()
        return value

    def look():
        return value, history

    return up, look


up, look = counter(100)
other_up, other_look = counter(7)
# %% cell
results = []
for turn in range(15):
    results.append(up(6))
    results.append(other_up(3))
(look()[0], other_look()[0], results[-1])
# %% after
up(1)
after = look()
