"""N-queens by recursive generators, sudoku by recursion with undo, Dijkstra with a heap, memo by a default argument."""
# depth: 3
# %% setup
import heapq, random
random.seed(1)
graph = {i: {random.randrange(30): random.randint(1, 9) for _ in range(4)} for i in range(30)}
# %% cell
def queens(n, row=0, cols=(), d1=(), d2=()):
    if row == n:
        yield cols
        return
    for c in range(n):
        tick()
        if c in cols or row + c in d1 or row - c in d2:
            continue
        yield from queens(n, row + 1, cols + (c,), d1 + (row + c,), d2 + (row - c,))

solutions = []
for s in queens(5):
    solutions.append(s)

def fill(square, n, used=None):
    used = used if used is not None else []
    for r in range(n):
        for c in range(n):
            if square[r][c]:
                continue
            for v in range(1, n + 1):
                tick()
                if v in square[r] or any(square[k][c] == v for k in range(n)):
                    continue
                square[r][c] = v
                used.append((r, c, v))
                if fill(square, n, used):
                    return True
                square[r][c] = 0
                used.pop()
            return False
    return True

square = [[0] * 4 for _ in range(4)]
square[0][0], square[1][2] = 3, 4
ok = fill(square, 4)

dist, heap, seen = {0: 0}, [(0, 0)], set()
while heap:
    d, u = heapq.heappop(heap)
    if u in seen:
        continue
    seen.add(u)
    for v, w in graph[u].items():
        tick()
        if d + w < dist.get(v, 1e9):
            dist[v] = d + w
            heapq.heappush(heap, (d + w, v))

def fib(n, memo={0: 0, 1: 1}):
    if n not in memo:
        memo[n] = fib(n - 1) + fib(n - 2)
    return memo[n]
len(solutions), ok, square, sorted(dist.items())[:3], fib(30)
