"""Recursion: a tree is walked by a function with a loop that calls itself."""
# depth: 6
# %% setup
import random

random.seed(5)


def grow(level):
    if level == 0:
        return random.randrange(100)
    return [grow(level - 1) for _ in range(3)]


tree = grow(4)
visited = []


def walk(node, path):
    best = -1
    if isinstance(node, int):
        visited.append((node, tuple(path)))
        tick()
        return node
    for number, child in enumerate(node):
        path.append(number)
        best = max(best, walk(child, path) + random.random() / 1000)
        path.pop()
        tick()
    return best
# %% cell
path = []
best = walk(tree, path)
(best, len(visited))
