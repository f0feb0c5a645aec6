"""Simulated annealing of a round trip through cities, in a function with a `while` that cools."""
# depth: 2
# unit: 0.002
# %% setup
import math
import random

random.seed(1041)
cities = [(random.random(), random.random()) for _ in range(25)]


def length(tour):
    return sum(math.dist(cities[a], cities[b]) for a, b in zip(tour, tour[1:] + tour[:1]))


def anneal(tour, start, end, cooling):
    now = best = length(tour)
    best_tour, heat, moves = list(tour), start, 0
    while heat > end:
        for _ in range(20):
            i, j = sorted(random.sample(range(len(tour)), 2))
            candidate = tour[:i] + tour[i : j + 1][::-1] + tour[j + 1 :]
            after = length(candidate)
            moves += 1
            if after < now or random.random() < math.exp((now - after) / heat):
                tour, now = candidate, after
                if now < best:
                    best, best_tour = now, list(tour)
        heat *= cooling
        tick()
    return best, best_tour, moves
# %% cell
runs = []
for restart in range(3):
    first = list(range(len(cities)))
    random.shuffle(first)
    runs.append(anneal(first, 0.5, 0.005, 0.97))
best = min(runs)
(round(best[0], 9), best[1][:5], [run[2] for run in runs])
