"""A genetic algorithm with classes: selection by tournament, crossover, mutation, an elite that is shared by reference."""
# depth: 1
# unit: 0.006
# %% setup
import random

random.seed(1051)
TARGET = "resume anywhere, exactly"
LETTERS = "abcdefghijklmnopqrstuvwxyz ,"


class Genome:
    made = 0

    def __init__(self, genes):
        self.genes = genes
        self.fitness = sum(a == b for a, b in zip(genes, TARGET))
        Genome.made += 1

    def mutated(self, rate):
        return Genome("".join(random.choice(LETTERS) if random.random() < rate else g for g in self.genes))

    def crossed(self, other):
        cut = random.randrange(len(TARGET))
        return Genome(self.genes[:cut] + other.genes[cut:])


class Population:
    def __init__(self, size):
        self.members = [Genome("".join(random.choices(LETTERS, k=len(TARGET)))) for _ in range(size)]
        self.elite = []

    def pick(self):
        return max(random.sample(self.members, 4), key=lambda genome: genome.fitness)

    def evolve(self):
        self.elite = sorted(self.members, key=lambda genome: -genome.fitness)[:3]
        children = list(self.elite)
        while len(children) < len(self.members):
            children.append(self.pick().crossed(self.pick()).mutated(0.02))
        self.members = children
        return self.elite[0]
# %% cell
population = Population(60)
champions = []
for generation in range(150):
    champions.append(population.evolve())
    tick()
    if champions[-1].fitness == len(TARGET) and generation > 140:
        break
(champions[-1].genes, generation, Genome.made, population.elite[0] is champions[-1])
