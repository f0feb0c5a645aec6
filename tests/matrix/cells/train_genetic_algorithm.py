"""A genetic algorithm on strings: individuals as objects, tournaments by `random`, mutation, elitism, a hall of fame in a heap."""
# %% setup
import heapq
import random
import string
from dataclasses import dataclass, field

random.seed(26)
TARGET = "resume anywhere"
GENES = string.ascii_lowercase + " "


@dataclass(order=True)
class Individual:
    fitness: int
    genes: list = field(compare=False)
    born: int = field(default=0, compare=False)

    @classmethod
    def random(cls, n):
        return cls.of([random.choice(GENES) for _ in range(n)])

    @classmethod
    def of(cls, genes, born=0):
        return cls(sum(a == b for a, b in zip(genes, TARGET)), genes, born)


def tournament(population, k=3):
    return max(random.sample(population, k))


def crossover(a, b):
    cut = random.randrange(1, len(a.genes))
    return a.genes[:cut] + b.genes[cut:]
# %% cell
population = [Individual.random(len(TARGET)) for _ in range(40)]
hall, generation, curve = [], 0, []
while generation < 120:
    generation += 1
    elite = sorted(population, reverse=True)[:2]
    children = list(elite)
    while len(children) < len(population):
        genes = crossover(tournament(population), tournament(population))
        genes = [random.choice(GENES) if random.random() < 0.03 else g for g in genes]
        children.append(Individual.of(genes, generation))
    population = children
    best = max(population)
    heapq.heappush(hall, (best.fitness, generation, "".join(best.genes)))
    if len(hall) > 5:
        heapq.heappop(hall)
    curve.append(best.fitness)
    tick()
    if best.fitness == len(TARGET):
        break
else:
    generation = -generation
generation, curve[-1], sorted(hall)[-1][2]
# %% after
kept = any(best is p for p in population)
