"""Classes that hold Lock/RLock/Condition/Event, a thread-local, a Thread that has ended, a ThreadPoolExecutor used inside the loop, queue.Queue, contextlib.ContextDecorator, ExitStack with callbacks, timers by a fake clock."""
# %% setup
import contextlib, queue, random, threading, functools, itertools, operator
from concurrent.futures import ThreadPoolExecutor, as_completed
random.seed(3)
class Bank:
    def __init__(self): self._lock, self.cond, self.done, self.local, self.cash = threading.RLock(), threading.Condition(), threading.Event(), threading.local(), {}
    def __enter__(self): self._lock.acquire(); return self
    def __exit__(self, *e): self._lock.release()
    def move(self, a, b, x):
        with self, self.cond:
            self.cash[a] = self.cash.get(a, 0) - x; self.cash[b] = self.cash.get(b, 0) + x; self.cond.notify_all()
class traced(contextlib.ContextDecorator):
    depth = 0
    def __init__(self, name): self.name, self.log = name, []
    def __enter__(self): traced.depth += 1; self.log.append(">" * traced.depth + self.name); return self
    def __exit__(self, *e): traced.depth -= 1; return False
# %% cell
bank, q = Bank(), queue.PriorityQueue()
bank.local.user = "me"
seq = itertools.count()
tr = traced("outer")
@traced("work")
def work(n):
    tot = 0
    for i in range(n):
        bank.move(random.choice("abc"), random.choice("abc"), i)
        q.put((random.random(), next(seq), i)); tot += i
        tick()
    return tot
with tr, contextlib.ExitStack() as stack:
    closed = []
    for name in "xyz":
        stack.callback(closed.append, name)
    stack.push(lambda *e: closed.append("last"))
    r1 = [work(15) for _ in range(3)]
    f = stack.enter_context(open("out.txt", "w"))
    for k in range(30):
        print(k, random.random(), file=f)
        tick()
popped = []
with contextlib.suppress(queue.Empty):
    while True:
        popped.append(q.get_nowait()[2]); q.task_done(); tick()
def square(x): return x * x
pooled = []
for chunk in range(10):
    with ThreadPoolExecutor(2) as ex:
        pooled.extend(ex.map(square, range(chunk, chunk + 3)))
    th = threading.Thread(target=operator.setitem, args=(bank.cash, f"t{chunk}", chunk)); th.start(); th.join()
    tick()
bank.done.set()
r1, closed, sum(popped), len(popped), sum(pooled), sum(v for k, v in bank.cash.items() if len(k) == 1), bank.local.user, tr.log, traced.depth, th.is_alive()
# %% after
del th, ex
