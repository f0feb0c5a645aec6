"""A* on a puzzle: states hashed by their lists, vectors as a tuple subclass, links between states both ways, a heap with ties."""
# %% setup
import heapq, itertools, random
random.seed(12)
# %% cell
class Vec(tuple):
    def __new__(cls, x, y): return super().__new__(cls, (x, y))
    def __add__(self, o): return Vec(self[0] + o[0], self[1] + o[1])
class State:
    def __init__(self, cells, at): self.cells, self.at, self.came, self.next = cells, at, None, {}
    def key(self): return tuple(map(tuple, self.cells))
    def __hash__(self): return hash(self.key())
    def __eq__(self, o): return self.key() == o.key()
    def moves(self):
        for d in (Vec(0, 1), Vec(1, 0), Vec(0, -1), Vec(-1, 0)):
            p = self.at + d
            if all(0 <= c < 3 for c in p):
                c = [r[:] for r in self.cells]
                c[self.at[0]][self.at[1]], c[p[0]][p[1]] = c[p[0]][p[1]], 0
                yield State(c, p)
    def h(self): return sum(v != 3 * i + j for i, r in enumerate(self.cells) for j, v in enumerate(r))
start = State([[0, 1, 2], [3, 4, 5], [6, 7, 8]], Vec(0, 0))
for _ in range(40): start = random.choice(list(start.moves()))
tie, heap, best = itertools.count(), [], {start: 0}
heapq.heappush(heap, (start.h(), next(tie), start)); done = 0
while heap and done < 120:
    _, _, s = heapq.heappop(heap); done += 1
    for n in s.moves():
        if n not in best or best[s] + 1 < best[n]:
            n.came = s; s.next[n] = best[s] + 1; n.next[s] = 0; best[n] = best[s] + 1
            heapq.heappush(heap, (best[n] + n.h(), next(tie), n))
    tick()
done, len(best), s.h()
