"""A round-robin scheduler of generators in a deque, coroutine pipelines with a priming decorator, generators in dicts and closures, gen.throw, return values by StopIteration, zip_longest, islice(cycle), chain.from_iterable, nested genexps, takewhile on a shared iterator, iter(callable, sentinel)."""
# %% setup
import functools, itertools, random
from collections import deque
random.seed(61)
def coroutine(fn):
    @functools.wraps(fn)
    def start(*a, **k):
        g = fn(*a, **k); next(g); return g
    return start
@coroutine
def averager(sink=None):
    tot = n = 0
    try:
        while True:
            x = yield (tot / n if n else None)
            tot += x; n += 1
            if sink: sink.send(x > tot / n)
    except GeneratorExit:
        return
@coroutine
def counter(store):
    while True:
        k = yield
        store[k] = store.get(k, 0) + 1
def task(name, n):
    got = 0
    for i in range(n):
        try: back = yield name, i
        except ValueError as e: got -= int(str(e))
        else: got += back or 0
    return name, got
# %% cell
store = {}
pipe = averager(counter(store))
ready, finished, order = deque(task(f"t{k}", 8 + 3 * k) for k in range(5)), {}, []
values = iter(functools.partial(random.randint, 0, 9), 7)
send = {}
while ready:
    g = ready.popleft()
    try:
        out = g.throw(ValueError("3")) if random.random() < .1 and id(g) in send else g.send(send.get(id(g)))
    except StopIteration as stop:
        name, got = stop.value; finished[name] = got; send.pop(id(g), None)
    except ValueError: finished.setdefault("died", []).append(len(order))
    else:
        order.append(out); send[id(g)] = random.randint(1, 5); ready.append(g); pipe.send(random.random())
    tick()
send.clear()
src = iter(range(100)); head = list(itertools.takewhile(lambda x: x < 10, src)); pairs = []
for a, b, c in itertools.zip_longest(itertools.islice(itertools.cycle("ab"), 13), src, itertools.chain.from_iterable([i] * (i % 3) for i in range(9)), fillvalue=0):
    pairs.append((a, b, c)); tick()
    if len(pairs) > 60: break
drawn = []
for v in values: drawn.append(v); tick()
primes = (p for p in itertools.count(2) if all(p % d for d in range(2, int(p ** .5) + 1)))
squares = ((p, q) for p in itertools.islice(primes, 12) for q in range(p % 4))
tot = 0
for p, q in squares: tot += p * q * random.random(); tick()
for k, grp in itertools.groupby(sorted(order), key=lambda o: o[0]):
    for _, i in grp: tot += i; tick()
finished, store, len(order), pairs[-1], head[-1], drawn[-3:], next(primes), tot, next(src)
