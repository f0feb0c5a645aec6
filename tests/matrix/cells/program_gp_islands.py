"""Evolution: dataclass individuals, heapq queue by (priority, counter), itertools.count, islands in a dict of deques, tabu search, operator.attrgetter."""
# %% setup
import heapq, itertools, random, operator, copy
from collections import deque
from dataclasses import dataclass, field, replace, asdict
random.seed(5)
uid = itertools.count(1)
@dataclass(order=True, frozen=True)
class Ind:
    fit: float
    id: int = field(default_factory=lambda: next(uid), compare=False)
    genes: tuple = field(default=(), compare=False, repr=False)
    parents: tuple = field(default=(), compare=False)
f = lambda g: sum((x - 0.3 * i) ** 2 for i, x in enumerate(g))
# %% cell
islands = {n: deque(sorted(Ind(f(g), genes=g) for g in (tuple(random.gauss(0, 1) for _ in range(4)) for _ in range(8))), maxlen=8) for n in "ABC"}
archive, seq, ring = [], itertools.count(), itertools.cycle(islands)
for gen in range(70):
    here = next(ring)
    pop = islands[here]
    a, b = random.sample(pop, 2)
    w = random.random()
    genes = tuple(w * x + (1 - w) * y + random.gauss(0, .1) for x, y in zip(a.genes, b.genes))
    child = Ind(f(genes), genes=genes, parents=(a, b))
    worst = max(pop)
    if child < worst:
        pop.remove(worst); pop.append(child)
        heapq.heappush(archive, (child.fit, next(seq), child))
    if gen % 10 == 9:
        there = next(ring)
        islands[there].append(replace(min(pop), id=next(uid)))
        islands[there].rotate(1)
    archive = heapq.nsmallest(20, archive)
    tick()
best = min(itertools.chain.from_iterable(islands.values()), key=operator.attrgetter("fit"))
# tabu
tabu, cur = deque(maxlen=6), [0] * 8
score = lambda s: sum(v * ((i * 7) % 5 - 2) for i, v in enumerate(s)) - 3 * sum(x & y for x, y in itertools.pairwise(s))
trace = []
for _ in range(60):
    cands = [(score(cur[:i] + [1 - cur[i]] + cur[i + 1:]), i) for i in range(8) if i not in tabu]
    s, i = max(cands, key=lambda c: (c[0], random.random()))
    cur[i] ^= 1; tabu.append(i); trace.append(s)
    tick()
depth = 0
p = best
while p.parents:
    p = min(p.parents); depth += 1
best.id, round(best.fit, 9), depth, max(trace), next(uid), next(seq), next(ring)
