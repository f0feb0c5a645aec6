"""Cells that hold something each: what `test_holders` proves of them, at the cell's level and inside a function."""

from __future__ import annotations

SETUP = """
import collections, copy, csv, dataclasses, enum, functools, heapq, itertools, json, math, random, typing
from unittest import mock
import argparse, datetime, decimal, fractions, logging, os, pathlib, threading, time, weakref
import numpy as np
import pandas, sklearn.ensemble, sklearn.model_selection, sklearn.linear_model, matplotlib.pyplot
"""

TORCH = (
    SETUP
    + """
import torch
from torch import nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset, Dataset
torch.manual_seed(0)
X = torch.randn(24, 5)
y = (X.sum(1) > 0).long()

class Net(nn.Module):
    def __init__(self, hidden=7):
        super().__init__()
        self.one = nn.Linear(5, hidden)
        self.drop = nn.Dropout(0.2)
        self.two = nn.Linear(hidden, 2)
    def forward(self, x):
        return self.two(self.drop(F.relu(self.one(x))))

class Noisy(Dataset):
    def __len__(self):
        return len(X)
    def __getitem__(self, i):
        return X[i] + 0.1 * torch.randn(5), y[i]

class Numbers(torch.utils.data.IterableDataset):
    def __iter__(self):
        for i in range(12):
            yield X[i] * random.random(), y[i]
"""
)

PLAIN: dict[str, str] = {
    "patches of classes, libraries and dictionaries": """
class Config:
    rate = 1.5
    def double(self):
        return self.rate * 2
table, seen = {"a": 1}, []
with mock.patch.object(Config, "rate", 2.5), mock.patch.object(Config, "double", lambda self: 7), mock.patch.dict(table, b=2):
    with mock.patch.object(math, "tau", 6), mock.patch.dict(os.environ, {"TOTAL_STEPS": "3"}):
        for i in range(3):
            seen.append((Config.rate, Config().double(), math.tau, os.environ["TOTAL_STEPS"], dict(table)))
            table["c"] = i
seen.append((Config.rate, Config().double(), math.tau > 6, os.environ.get("TOTAL_STEPS"), dict(table)))
""",
    "state kept by the id of its object": """
class Parameter:
    def __init__(self, value):
        self.value = value
class Momentum:
    def __init__(self, parameters):
        self.parameters, self.velocity, self.steps = parameters, {}, {(id(p), "steps"): 0 for p in parameters}
    def step(self, pull):
        for p in self.parameters:
            self.velocity[id(p)] = 0.9 * self.velocity.get(id(p), 0.0) + pull * p.value
            p.value -= 0.1 * self.velocity[id(p)]
            self.steps[id(p), "steps"] += 1
optimizer = Momentum([Parameter(random.random()) for _ in range(3)])
for step in range(4):
    optimizer.step(random.random())
known = [id(p) in optimizer.velocity for p in optimizer.parameters], len(optimizer.velocity), list(optimizer.steps.values())
values = [p.value for p in optimizer.parameters]
del optimizer
""",
    "locks that are held, and blocks of them": """
lock, twice, gate, ready = threading.Lock(), threading.RLock(), threading.Semaphore(3), threading.Condition()
lock.acquire(); twice.acquire(); twice.acquire(); gate.acquire(); ready.acquire()
drawn = []
with twice, gate, threading.Lock():
    for i in range(3):
        drawn.append((random.random(), gate._value))
ready.notify_all()
lock.release(); twice.release(); twice.release(); gate.release(); ready.release()
free = lock.acquire(False), gate._value, ready._is_owned(), twice._is_owned()
""",
    "dataclass config and records": """
@dataclasses.dataclass
class Config:
    steps: int = 4
    rate: float = 0.5
    tags: list = dataclasses.field(default_factory=list)
@dataclasses.dataclass(frozen=True)
class Point:
    a: int
    b: float
config = Config()
points = {}
for step in range(config.steps):
    config.rate *= 0.9
    config.tags.append(f"t{step}")
    points[Point(step, config.rate)] = step
last = max(points, key=lambda p: p.a)
""",
    "named tuples of both kinds": """
Transition = collections.namedtuple('Transition', ('state', 'action', 'reward'))
class Step(typing.NamedTuple):
    n: int
    x: float = 0.0
    def double(self):
        return self.n * 2
memory, steps = [], []
for i in range(4):
    memory.append(Transition(random.random(), i % 2, float(i)))
    steps.append(Step(i, random.random()))
batch = Transition(*zip(*memory))
total = sum(s.double() for s in steps)
""",
    "enums": """
class Phase(enum.Enum):
    WARM = 1
    MAIN = 2
class Flags(enum.Flag):
    A = enum.auto()
    B = enum.auto()
phase, counts, flags = Phase.WARM, {Phase.WARM: 0, Phase.MAIN: 0}, Flags.A
for i in range(5):
    counts[phase] += 1
    if i == 2:
        phase = Phase.MAIN
        flags |= Flags.B
same = phase is Phase.MAIN
order = [p.name for p in counts]
""",
    "enums with aliases, composite flags, mixed-in types and attributes of their members": """
class Planet(enum.Enum):
    EARTH = (1.0, 2.0)
    MARS = (0.1, 0.5)
    HOME = EARTH
    def __init__(self, mass, radius):
        self.mass, self.radius = mass, radius
    @property
    def density(self):
        return self.mass / self.radius
class Mode(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    AB = A | B
class Level(enum.IntEnum):
    LOW = 1
    HIGH = 10
    def __str__(self):
        return f'level {self.value}'
class Word(str, enum.Enum):
    YES = 'y'
    OUI = 'y'
    NO = 'n'
class Coded(enum.Enum):
    X = ('x', [1])
    def __new__(cls, code, extra):
        made = object.__new__(cls)
        made._value_ = code
        made.extra = extra
        return made
mode, level, planet, words, coded = Mode(0), Level.LOW, Planet.MARS, [], Coded.X
Planet.favourite = Planet.MARS
for i in range(4):
    mode |= Mode.A if i % 2 else Mode.B
    coded.extra.append(random.random())
    words.append(Word.OUI)
    if i == 1:
        level, planet = Level.HIGH, Planet['HOME']
told = (repr(mode), mode is Mode.AB, Mode['AB'] is mode, list(Mode.__members__), str(level), level + 1, planet.density, planet is Planet.HOME)
told += (Planet((0.1, 0.5)) is Planet.favourite, [w.upper() for w in words], Word('y') is Word.OUI, list(Word), Coded('x').extra is coded.extra, len(Planet))
""",
    "the name _ where the cell binds it": """
_, seen = 5, []
for i in range(4):
    seen.append(_)
    _ += random.random()
for _ in range(3):
    seen.append(_)
""",
    "futures that are done, executors without work": """
import concurrent.futures
def work(n):
    if n == 2:
        raise ValueError(n)
    return n * n
idle, done, told = concurrent.futures.ThreadPoolExecutor(2, 'idle'), [], []
for i in range(4):
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        made = [pool.submit(work, n) for n in (i, i + 1)]
    done += [concurrent.futures.Future()]
    done[-1].set_result(made[0])
    told.append([str(f.exception()) if f.exception() else f.result() for f in made])
told.append(list(idle.map(work, (5, 6))))
idle.shutdown()
told.append((done[3].result() is made[0], [f.done() for f in done], pool._shutdown))
del idle, pool, made, done
""",
    "widgets": """
import ipywidgets
bar, said, heard = ipywidgets.IntProgress(max=500, min=3, value=250, description='go'), ipywidgets.HTML('start'), []
box, button = ipywidgets.HBox([bar, said]), ipywidgets.Button(description='stop')
bar.style.bar_color, bar.layout.width, bar.tag = 'green', '50%', {'own': 1}
closed = ipywidgets.Label('gone')
closed.close()
bar.observe(lambda change: heard.append(change['new']), 'value')
button.on_click(lambda b: heard.append(b.description))
for i in range(4):
    bar.value += 10
    said.value = f'<b>{i}</b>'
    button.click()
told = (bar.value, bar.max, said.value, box.children[0] is bar, bar.style.bar_color, bar.layout.width, bar.tag, heard, closed.value)
del bar, said, box, button, closed
""",
    "a library's context manager that serves once": """
import numpy as np
out = []
with np.printoptions(precision=2), np.errstate(all='ignore'):
    for i in range(3):
        out.append(str(np.array([random.random()]) / (i % 2)))
""",
    "deques, heaps, counters and default dictionaries with lambdas": """
recent = collections.deque(maxlen=3)
heap = []
seen = collections.Counter()
table = collections.defaultdict(lambda: [0.0] * 2)
nested = collections.defaultdict(lambda: collections.defaultdict(int))
order = collections.OrderedDict()
for i in range(6):
    r = random.randint(0, 4)
    recent.append(r)
    heapq.heappush(heap, (r, i))
    seen[r] += 1
    table[r][i % 2] += 0.5
    nested[r][i] += 1
    order[r] = i
    order.move_to_end(r, last=False)
smallest = heapq.heappop(heap)
new = table['fresh']
""",
    "generators and legacy state of numpy": """
rng = np.random.default_rng(3)
old = np.random.RandomState(4)
child = np.random.Generator(np.random.PCG64(rng.integers(1000)))
box = {'rng': rng, 'kids': [child]}
out = []
for i in range(4):
    out.append((rng.random(), old.rand(), child.normal(), np.random.rand(), random.random()))
    rng.shuffle(out)
""",
    "views and shared memory of numpy": """
base = np.arange(400.0).reshape(20, 20)
row, turned, part = base[3], base.T, base[5:, ::2]
fields = np.zeros(3, dtype=[('a', 'i4'), ('b', 'f8')])
b = fields['b']
for i in range(4):
    row += 1
    part[0, i] = -1
    b[i % 3] += i
    base = base if i != 2 else base * 1.0
total = (base.sum(), turned.sum(), part.sum())
""",
    "a class with class data and counters": """
class Tracker:
    made = 0
    registry = {}
    def __init__(self, name):
        type(self).made += 1
        self.name = name
        Tracker.registry[name] = self
    @property
    def rank(self):
        return list(Tracker.registry).index(self.name)
    @classmethod
    def again(cls, name):
        return cls(name + '!')
things = []
for i in range(4):
    things.append(Tracker(f't{i}'))
    if i % 2:
        things.append(Tracker.again(str(i)))
ranks = [t.rank for t in things]
""",
    "slots, abstract classes, descriptors and operators": """
import abc
class Base(abc.ABC):
    __slots__ = ('v',)
    @abc.abstractmethod
    def step(self): ...
class Doubling(Base):
    __slots__ = ('log',)
    def __init__(self):
        self.v, self.log = 1, []
    def step(self):
        self.v *= 2
        self.log.append(self.v)
        return self
    def __add__(self, other):
        self.v += other
        return self
class Averaged:
    def __set_name__(self, owner, name):
        self.key = '_' + name
    def __get__(self, obj, owner=None):
        if obj is None:
            return self
        return sum(obj.__dict__.get(self.key, [0])) / max(1, len(obj.__dict__.get(self.key, [])))
    def __set__(self, obj, value):
        obj.__dict__.setdefault(self.key, []).append(value)
class Meter:
    loss = Averaged()
d, m = Doubling(), Meter()
for i in range(4):
    d = d.step() + i
    m.loss = d.v
mean = m.loss
""",
    "closures that share cells, defaults and attributes of functions": """
def make():
    count, names = 0, []
    def up(by=[1]):
        nonlocal count
        count += by[0]
        by[0] += 1
        names.append(count)
        return count
    def look():
        return count, names
    up.calls = 0
    return up, look
up, look = make()
keep = {'up': up}
for i in range(4):
    up()
    up.calls += 1
    keep['up'].last = i
seen = look()
""",
    "memoised functions, partials and callbacks": """
@functools.lru_cache(maxsize=None)
def fib(n):
    return n if n < 2 else fib(n - 1) + fib(n - 2)
log = []
def note(prefix, i):
    log.append((prefix, i))
callbacks = [functools.partial(note, 'a'), lambda i: log.append(('b', i)), log.append]
out = []
for i in range(4):
    for callback in callbacks:
        callback(i)
    out.append(fib(i + 5))
""",
    "namespaces, paths, dates, decimals and fractions": """
args = argparse.Namespace(lr=0.1, epochs=4, name='x')
where = pathlib.Path('runs') / args.name
when = datetime.datetime(2024, 1, 1, tzinfo=datetime.timezone.utc)
money, part = decimal.Decimal('1.10'), fractions.Fraction(1, 3)
words, fixed = set(), frozenset({'a', 'b', 'c'})
for i in range(args.epochs):
    args.lr *= 0.5
    when += datetime.timedelta(hours=i)
    money *= decimal.Decimal('1.05')
    part += fractions.Fraction(1, i + 2)
    words.add(f'w{i}')
    where = where / str(i)
big = 3 ** 200
""",
    "nested lists, dictionaries and cycles": """
grid = [[0] * 5 for _ in range(5)]
alias = grid[2]
tree = {'children': []}
tree['self'] = tree
node = tree
for i in range(4):
    grid[i][i] += i
    alias.append(i)
    child = {'parent': node, 'children': [], 'n': i}
    node['children'].append(child)
    node = child
depth = 0
""",
    "deleted names": """
data = list(range(6))
scratch = [1, 2, 3]
total = 0
for x in data:
    total += x + len(scratch)
del scratch
for x in data:
    total += x
    tmp = x * 2
    del tmp
del x, data
""",
    "iterators held by hand": """
source = iter([5, 6, 7, 8, 9, 10])
endless = itertools.cycle('abc')
pairs = zip(range(10), 'hello world')
count = itertools.count(3)
out = []
for i in range(3):
    out.append((next(source), next(endless), next(pairs), next(count)))
    out.append(next(source, None))
rest = list(pairs)[:2]
""",
    "a log file and a csv that are written all the while": """
log = open('log.txt', 'w')
table = open('table.csv', 'w', newline='')
writer = csv.DictWriter(table, fieldnames=['epoch', 'value'])
writer.writeheader()
plain = csv.writer(table)
for epoch in range(4):
    value = random.random()
    log.write(f'{epoch} {value}\\n')
    writer.writerow({'epoch': epoch, 'value': value})
    plain.writerow([epoch, 'x'])
    with open('metrics.jsonl', 'a') as out:
        out.write(json.dumps({'epoch': epoch, 'value': value}) + '\\n')
log.close()
table.close()
lines = open('metrics.jsonl').read().splitlines()
""",
    "files in with": """
rows = []
with open('a.txt', 'w') as a, open('b.txt', 'wb') as b:
    for i in range(4):
        r = random.random()
        a.write(f'{r}\\n')
        b.write(str(r).encode())
        rows.append(r)
with open('a.txt') as a:
    for line in a:
        rows.append(line.strip())
""",
    "progress bars": """
from tqdm import tqdm
out = []
with tqdm(total=6, desc='outer', disable=False, file=open('bar.log', 'w')) as bar:
    for i in range(3):
        bar.update(2)
        bar.set_postfix(i=i)
        out.append(bar.n)
inner = 0
for i, x in enumerate(tqdm([3, 4, 5], file=open('bar2.log', 'w'))):
    inner += i * x
del bar
import os
os.remove('bar.log'); os.remove('bar2.log')
""",
    "pandas frames that grow": """
import pandas as pd
history = pd.DataFrame(columns=['epoch', 'loss'])
frame = pd.DataFrame({'a': range(6), 'g': list('xyxyxy')})
rows = []
for epoch in range(4):
    row = pd.DataFrame({'epoch': [epoch], 'loss': [random.random()]})
    history = row if history.empty else pd.concat([history, row], ignore_index=True)
    frame.loc[epoch, 'a'] = epoch * 10
    frame[f'c{epoch}'] = np.random.rand(6)
    rows.append(frame['a'].rolling(2).mean().iloc[-1])
groups = frame.groupby('g')['a'].sum()
best = history['loss'].idxmin()
""",
    "rows, groups and windows of pandas under way": """
import pandas as pd
frame = pd.DataFrame({'a': range(4), 'b': list('wxyz'), 'g': [0, 1, 0, 1]})
out = []
for index, row in frame.iterrows():
    out.append((index, int(row['a']), row['b']))
for t in frame.itertuples():
    out.append((t.Index, t.a))
for g, part in frame.groupby('g'):
    out.append((g, part['a'].sum()))
for name, column in frame.items():
    out.append((name, len(column)))
""",
    "estimators of scikit-learn": """
from sklearn.linear_model import SGDClassifier
from sklearn.ensemble import RandomForestClassifier
from sklearn.preprocessing import StandardScaler
from sklearn.pipeline import make_pipeline
rng = np.random.RandomState(0)
A = rng.randn(60, 4)
b = (A[:, 0] > 0).astype(int)
model = SGDClassifier(random_state=0)
forest = RandomForestClassifier(n_estimators=2, warm_start=True, random_state=1)
scores = []
for epoch in range(3):
    order = rng.permutation(60)
    model.partial_fit(A[order], b[order], classes=[0, 1])
    forest.n_estimators += 1
    forest.fit(A, b)
    scores.append((model.score(A, b), forest.score(A, b)))
pipe = make_pipeline(StandardScaler(), model).fit(A, b)
final = pipe.predict(A)
""",
    "folds with the best estimator kept": """
from sklearn.model_selection import StratifiedKFold, ParameterGrid
from sklearn.tree import DecisionTreeClassifier
rng = np.random.RandomState(0)
A, b = rng.randn(40, 3), rng.randint(0, 2, 40)
best, best_score, results = None, -1, []
for params in ParameterGrid({'max_depth': [1, 3]}):
    scores = []
    for train, test in StratifiedKFold(3, shuffle=True, random_state=2).split(A, b):
        tree = DecisionTreeClassifier(random_state=0, **params).fit(A[train], b[train])
        scores.append(tree.score(A[test], b[test]))
    results.append((params, np.mean(scores)))
    if results[-1][1] > best_score:
        best_score, best = results[-1][1], copy.deepcopy(tree)
""",
    "figures": """
import matplotlib
matplotlib.use('agg')
import matplotlib.pyplot as plt
fig, axes = plt.subplots(1, 2)
line, = axes[0].plot([], [])
losses = []
for i in range(3):
    losses.append(random.random())
    line.set_data(range(len(losses)), losses)
    axes[0].relim()
    axes[1].scatter(i, losses[-1])
    plt.title(f'step {i}')
counts = (len(axes[1].collections), line.get_xdata().tolist() if hasattr(line.get_xdata(), 'tolist') else list(line.get_xdata()))
title = plt.gca().get_title()
same = plt.gcf() is fig
plt.close(fig)
del fig, axes, line
""",
    "weak references and objects that know each other": """
class Node:
    def __init__(self, parent=None):
        self.parent = weakref.ref(parent) if parent else None
        self.children = []
        if parent:
            parent.children.append(self)
root = Node()
now = root
cache = weakref.WeakValueDictionary()
for i in range(4):
    now = Node(now)
    cache[i] = now
up = now.parent() is cache[2]
""",
    "time measured on the way": """
start = time.time()
times, out = [], []
for i in range(3):
    t0 = time.perf_counter()
    out.append(i)
    times.append(time.perf_counter() - t0)
n = len(times)
del times, start, t0
""",
    "a class with generators, context managers and iteration": """
class Stream:
    def __init__(self, n):
        self.n, self.at = n, 0
    def __iter__(self):
        while self.at < self.n:
            self.at += 1
            yield self.at
class Timer:
    depth = 0
    def __enter__(self):
        Timer.depth += 1
        return self
    def __exit__(self, *error):
        Timer.depth -= 1
class Countdown:
    def __init__(self, n):
        self.n = n
    def __iter__(self):
        return self
    def __next__(self):
        if self.n == 0:
            raise StopIteration
        self.n -= 1
        return self.n
stream, out = Stream(4), []
with Timer() as timer:
    for x in stream:
        for c in Countdown(2):
            out.append((x, c, Timer.depth))
after = Timer.depth
""",
    "string builders, bytes and arrays": """
import array, io
text, raw, nums = io.StringIO(), io.BytesIO(), array.array('d')
buffer = bytearray()
view = memoryview(b'hello')
for i in range(4):
    text.write(f'{i},')
    raw.write(bytes([i]))
    nums.append(random.random())
    buffer += bytes([i])
got = text.getvalue(), raw.getvalue(), bytes(buffer), nums.tolist(), bytes(view)
del view
""",
    "memory maps": """
grid = np.memmap('grid.bin', dtype='float32', mode='w+', shape=(4, 3))
for i in range(4):
    grid[i] += np.random.rand(3)
    grid[0] += 1
grid.flush()
total = float(grid.sum())
del grid
""",
}

WITH_TORCH: dict[str, str] = {
    "contexts of libraries that put back what was in force before": """
drawn, colours = [torch.rand(1).item()], []
matplotlib.rcParams["axes.facecolor"] = "#123456"
sklearn.set_config(assume_finite=True)
torch.backends.mkldnn.set_flags(True)
with torch.random.fork_rng():
    torch.manual_seed(5)
    for i in range(3):
        drawn.append(torch.rand(1).item())
drawn += torch.rand(2).tolist()
with matplotlib.pyplot.style.context("ggplot"), sklearn.config_context(assume_finite=False), torch.device("cpu"):
    for i in range(2):
        colours.append((matplotlib.rcParams["axes.facecolor"], sklearn.get_config()["assume_finite"]))
colours.append((matplotlib.rcParams["axes.facecolor"], sklearn.get_config()["assume_finite"]))
matplotlib.rcParams["axes.facecolor"] = "white"
sklearn.set_config(assume_finite=False)
""",
    "models that a cached function hands out": """
@functools.lru_cache
def get(name):
    return Net()
@functools.cache
def vector(word):
    return np.random.randn(3)
optimizers = {name: torch.optim.SGD(get(name).parameters(), lr=0.1) for name in "ab"}
total = np.zeros(3)
for step in range(4):
    name = "ab"[step % 2]
    optimizers[name].zero_grad()
    F.cross_entropy(get(name)(X), y).backward()
    optimizers[name].step()
    vector(name)[:] += 1
    total += vector(name) + vector("c")
final = [get(name).one.weight.detach().clone() for name in "ab"]
shared = [get(name).one.weight is optimizers[name].param_groups[0]["params"][0] for name in "ab"]
""",
    "inference mode and other switches of torch": """
outs = []
net = Net()
with torch.inference_mode(), torch.autocast("cpu", dtype=torch.bfloat16):
    for i in range(3):
        outs.append(net(X + torch.randn(1)).argmax(1).tolist())
        outs.append((torch.is_inference_mode_enabled(), torch.is_grad_enabled(), torch.is_autocast_enabled("cpu")))
outs.append(torch.is_inference_mode_enabled())
with torch.autograd.set_detect_anomaly(True), torch.set_grad_enabled(False), torch.inference_mode(False), torch.enable_grad():
    for i in range(3):
        outs.append((torch.is_anomaly_enabled(), torch.is_inference_mode_enabled(), torch.is_grad_enabled()))
outs.append((torch.is_anomaly_enabled(), torch.is_grad_enabled()))
""",
    "an optimizer and its model": """
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
losses = []
for epoch in range(3):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(X), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
""",
    "several groups of parameters and a scheduler": """
model = Net()
optimizer = torch.optim.SGD([{'params': model.one.parameters()}, {'params': model.two.parameters(), 'lr': 0.2}], lr=0.1, momentum=0.9, nesterov=True)
scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, [torch.optim.lr_scheduler.LinearLR(optimizer, total_iters=2), torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 5)], [2])
plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(optimizer, patience=0)
rates = []
for epoch in range(4):
    model.train()
    optimizer.zero_grad(set_to_none=False)
    loss = F.cross_entropy(model(X), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    scheduler.step()
    plateau.step(loss.item())
    rates.append([g['lr'] for g in optimizer.param_groups])
    model.eval()
""",
    "one cycle over a loader": """
model = Net()
optimizer = torch.optim.AdamW(model.parameters())
loader = DataLoader(TensorDataset(X, y), batch_size=8, shuffle=True)
scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, steps_per_epoch=len(loader), epochs=2)
running = 0.0
for epoch in range(2):
    for i, (xb, yb) in enumerate(loader):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(xb), yb)
        loss.backward()
        optimizer.step()
        scheduler.step()
        running += loss.item()
""",
    "a gradient scaler and autocast": """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
scaler = torch.amp.GradScaler('cpu', enabled=True, init_scale=64.0, growth_interval=2)
off = torch.amp.GradScaler('cpu', enabled=False)
scales = []
for step in range(4):
    optimizer.zero_grad()
    with torch.autocast('cpu', dtype=torch.bfloat16):
        loss = F.cross_entropy(model(X), y)
    scaler.scale(off.scale(loss)).backward()
    scaler.unscale_(optimizer)
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    scaler.step(optimizer)
    scaler.update()
    scales.append(scaler.get_scale())
""",
    "gradients gathered over several steps": """
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
loader = DataLoader(TensorDataset(X, y), batch_size=4, shuffle=True)
optimizer.zero_grad()
total_loss = 0
for i, (xb, yb) in enumerate(loader):
    loss = F.cross_entropy(model(xb), yb) / 3
    loss.backward()
    total_loss += loss
    if (i + 1) % 3 == 0:
        optimizer.step()
        optimizer.zero_grad()
mean = total_loss.item() / len(loader)
""",
    "averages of the weights": """
model = Net()
ema = copy.deepcopy(model)
for p in ema.parameters():
    p.requires_grad_(False)
average = torch.optim.swa_utils.AveragedModel(model)
other = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
swa = torch.optim.swa_utils.SWALR(optimizer, swa_lr=0.05)
shadow = {k: v.clone() for k, v in model.state_dict().items()}
for step in range(3):
    optimizer.zero_grad()
    F.cross_entropy(model(X), y).backward()
    optimizer.step()
    with torch.no_grad():
        for a, b in zip(ema.parameters(), model.parameters()):
            a.mul_(0.9).add_(b, alpha=0.1)
        for k, v in model.state_dict().items():
            shadow[k] = 0.9 * shadow[k] + 0.1 * v
    average.update_parameters(model)
    other.update_parameters(model)
    swa.step()
torch.optim.swa_utils.update_bn([X[:8], X[8:]], average)
""",
    "the best state, by deep copy and by state_dict": """
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
best, best_loss, best_weights, last = None, float('inf'), None, None
patience = 2
for epoch in range(5):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(X), y)
    loss.backward()
    optimizer.step()
    last = model.state_dict()
    if loss < best_loss:
        best_loss = loss
        best = copy.deepcopy(model)
        best_weights = copy.deepcopy(model.state_dict())
        patience = 2
    else:
        patience -= 1
        if patience == 0:
            break
model.load_state_dict(best_weights)
""",
    "tied weights": """
class Tied(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(9, 6)
        self.head = nn.Linear(6, 9, bias=False)
        self.head.weight = self.emb.weight
    def forward(self, i):
        return self.head(self.emb(i))
model = Tied()
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
ids = torch.randint(0, 9, (12,))
flat = nn.utils.parameters_to_vector(model.parameters())
for step in range(3):
    loss = F.cross_entropy(model(ids), ids.roll(1))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    flat = nn.utils.parameters_to_vector(model.parameters()).detach()
same = model.head.weight is model.emb.weight
""",
    "views across torch and numpy": """
base = torch.zeros(60)
array = base.numpy()
row = base.view(6, 10)[2]
other = np.zeros((5, 4))
tensor = torch.from_numpy(other)
column = other[:, 1]
model = Net()
weights = model.one.weight.data
numpy_weights = model.one.weight.detach().numpy()
for i in range(4):
    base += torch.rand(60)
    array[20] += 1
    row.mul_(2)
    tensor.add_(i)
    column += 0.5
    weights[0] += 0.25
    numpy_weights[1] -= 0.25
check = (float(row[0]), float(column.sum()), float(model.one.weight.sum()))
""",
    "hooks with their handles": """
model = Net()
seen, norms = [], []
handles = [m.register_forward_hook(lambda mod, i, o, name=name: seen.append((name, o.mean().item()))) for name, m in model.named_children()]
back = model.two.register_full_backward_hook(lambda m, gi, go: norms.append(go[0].norm().item()))
grad = model.one.weight.register_hook(lambda g: g * 0.5)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
step_hook = optimizer.register_step_post_hook(lambda o, a, k: seen.append('stepped'))
for step in range(3):
    optimizer.zero_grad()
    F.cross_entropy(model(X), y).backward()
    optimizer.step()
    if step == 1:
        handles.pop().remove()
for h in handles:
    h.remove()
back.remove(); grad.remove(); step_hook.remove()
model(X)
n = len(seen)
""",
    "losses kept with their history": """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
losses, outputs = [], []
total_loss = 0
for step in range(3):
    out = model(X)
    loss = F.cross_entropy(out, y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss)
    outputs.append(out.detach())
    total_loss = total_loss + loss
mean = sum(l.item() for l in losses) / len(losses)
total = total_loss.item()
""",
    "outputs of an evaluation kept with their graph": """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
preds, accs = [], []
for epoch in range(3):
    for i in range(0, 24, 8):
        optimizer.zero_grad()
        loss = F.cross_entropy(model(X[i:i+8]), y[i:i+8])
        loss.backward()
        optimizer.step()
    out = model(X)
    acc = (out.argmax(1) == y).float().mean()
    preds.append(out.argmax(1))
    accs.append(acc)
final = torch.stack(accs)
""",
    "an episode's log probabilities": """
policy = nn.Sequential(nn.Linear(3, 8), nn.Tanh(), nn.Linear(8, 2))
optimizer = torch.optim.Adam(policy.parameters(), lr=0.01)
returns = []
for episode in range(3):
    state = torch.rand(3)
    log_probs, rewards = [], []
    for t in range(4):
        dist = torch.distributions.Categorical(logits=policy(state))
        action = dist.sample()
        log_probs.append(dist.log_prob(action))
        rewards.append(float(action) + random.random())
        state = torch.rand(3)
    G, discounted = 0.0, []
    for r in reversed(rewards):
        G = r + 0.9 * G
        discounted.insert(0, G)
    loss = torch.stack([-lp * g for lp, g in zip(log_probs, discounted)]).sum()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    returns.append(sum(rewards))
""",
    "two optimizers and a detached output": """
G, D = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 1))
g_opt, d_opt = torch.optim.Adam(G.parameters(), lr=0.01), torch.optim.RMSprop(D.parameters(), lr=0.01)
fixed = torch.randn(2, 3)
samples = []
for step in range(3):
    real, fake = torch.randn(5, 4), G(torch.randn(5, 3))
    d_loss = D(fake.detach()).mean() - D(real).mean()
    d_opt.zero_grad(); d_loss.backward(); d_opt.step()
    for p in D.parameters():
        p.data.clamp_(-0.1, 0.1)
    g_loss = -D(fake).mean()
    g_opt.zero_grad(); g_loss.backward(); g_opt.step()
    with torch.no_grad():
        samples.append(G(fixed))
""",
    "loaders of every way of holding": """
data = TensorDataset(X, y)
gen = torch.Generator().manual_seed(7)
a = DataLoader(data, batch_size=6, shuffle=True, generator=gen)
b = DataLoader(Noisy(), batch_size=5, shuffle=True)
it = iter(a)
endless = itertools.cycle(b)
out = []
for step in range(5):
    try:
        xb, yb = next(it)
    except StopIteration:
        it = iter(a)
        xb, yb = next(it)
    xc, yc = next(endless)
    out.append((xb.sum().item(), xc.sum().item()))
for (x1, y1), (x2, y2) in zip(a, b):
    out.append((x1.sum().item(), x2.sum().item()))
del it, endless
""",
    "an endless loader as a generator": """
def forever(loader):
    while True:
        for batch in loader:
            yield batch
loader = DataLoader(TensorDataset(X, y), batch_size=7, shuffle=True)
batches = forever(loader)
sums = []
for step in range(6):
    xb, yb = next(batches)
    sums.append(xb.sum().item())
for i, (xb, yb) in enumerate(batches):
    sums.append(yb.sum().item())
    if i == 3:
        break
del batches
""",
    "bars over loaders": """
from tqdm.auto import tqdm
loader = DataLoader(Noisy(), batch_size=8, shuffle=True)
sums = []
for epoch in tqdm(range(2), disable=True):
    bar = tqdm(enumerate(loader), total=len(loader), disable=True)
    for i, (xb, yb) in bar:
        sums.append(xb.sum().item())
        bar.set_postfix(s=sums[-1])
    for xb, yb in tqdm(loader, disable=True):
        sums.append(yb.sum().item())
del bar
""",
    "samplers, splits, subsets and weights": """
data = TensorDataset(X, y)
gen = torch.Generator().manual_seed(3)
train, val = torch.utils.data.random_split(data, [18, 6], generator=gen)
sampler = torch.utils.data.WeightedRandomSampler(torch.rand(18), 18, generator=gen)
loader = DataLoader(train, batch_size=5, sampler=sampler, drop_last=True)
sub = DataLoader(torch.utils.data.Subset(data, [1, 3, 5]), batch_size=None)
batch_sampled = DataLoader(data, batch_sampler=torch.utils.data.BatchSampler(torch.utils.data.RandomSampler(data), 9, False))
out = []
for epoch in range(2):
    for xb, yb in loader:
        out.append(xb.sum().item())
    for xb, yb in sub:
        out.append(xb.sum().item())
    for xb, yb in batch_sampled:
        out.append(yb.sum().item())
""",
    "an iterable data set": """
loader = DataLoader(Numbers(), batch_size=4)
out = []
for epoch in range(2):
    for xb, yb in loader:
        out.append(xb.sum().item())
""",
    "workers": """
def seed(worker):
    random.seed(torch.initial_seed() % 2**31)
gen = torch.Generator().manual_seed(5)
loader = DataLoader(Noisy(), batch_size=6, shuffle=True, num_workers=2, generator=gen, worker_init_fn=seed)
out = []
for epoch in range(2):
    for xb, yb in loader:
        out.append(xb.sum().item())
""",
    "persistent workers": """
loader = DataLoader(Noisy(), batch_size=6, shuffle=True, num_workers=1, persistent_workers=True)
out = []
for epoch in range(2):
    for xb, yb in loader:
        out.append(xb.sum().item())
del loader
""",
    "quasi Newton with a closure": """
w = torch.zeros(3, requires_grad=True)
optimizer = torch.optim.LBFGS([w], lr=0.5, max_iter=4, line_search_fn='strong_wolfe')
calls = [0]
def closure():
    optimizer.zero_grad()
    loss = ((w - torch.tensor([1.0, 2.0, 3.0])) ** 2).sum() + w.prod()
    loss.backward()
    calls[0] += 1
    return loss
history = []
for step in range(3):
    loss = optimizer.step(closure)
    history.append(loss.item())
""",
    "an image that is optimised": """
target = torch.rand(1, 3, 6, 6)
image = torch.randn(1, 3, 6, 6, requires_grad=True)
conv = nn.Conv2d(3, 4, 3)
for p in conv.parameters():
    p.requires_grad = False
features = conv(target)
def gram(t):
    b, c, h, w = t.shape
    f = t.view(c, h * w)
    return f @ f.t()
style = gram(features)
optimizer = torch.optim.Adam([image], lr=0.1)
run = [0]
while run[0] < 3:
    optimizer.zero_grad()
    f = conv(image)
    loss = F.mse_loss(f, features) + F.mse_loss(gram(f), style)
    loss.backward()
    optimizer.step()
    with torch.no_grad():
        image.clamp_(0, 1)
    run[0] += 1
""",
    "plain gradients by hand": """
w = torch.randn(5, requires_grad=True)
b = torch.zeros(1, requires_grad=True)
for step in range(3):
    loss = ((X @ w + b).squeeze() - y.float()).pow(2).mean()
    loss.backward()
    with torch.no_grad():
        w -= 0.1 * w.grad
        b -= 0.1 * b.grad
        w.grad.zero_()
        b.grad = None
grads = torch.autograd.grad((X @ w).sum(), w)[0]
""",
    "no_grad and inference_mode around loops": """
model = Net()
@torch.no_grad()
def evaluate(model, n):
    model.eval()
    total = 0.0
    for i in range(n):
        total += model(X[i * 4:(i + 1) * 4]).sum().item()
    model.train()
    return total
out = []
for epoch in range(2):
    out.append(evaluate(model, 3))
    with torch.no_grad():
        for i in range(2):
            t = model(X[i:i+1])
            out.append((t.requires_grad, t.sum().item(), torch.is_grad_enabled()))
    with torch.inference_mode():
        for i in range(2):
            out.append((model(X[i:i+1]).sum().item(), torch.is_inference_mode_enabled()))
    with torch.enable_grad(), torch.autograd.set_detect_anomaly(False):
        for i in range(2):
            out.append(torch.is_grad_enabled())
flag = torch.is_grad_enabled()
""",
    "recurrent state carried over": """
rnn = nn.LSTM(5, 4, batch_first=True)
head = nn.Linear(4, 2)
optimizer = torch.optim.Adam([*rnn.parameters(), *head.parameters()], lr=0.01)
hidden = None
losses = []
for step in range(4):
    chunk = X[step * 6:(step + 1) * 6].unsqueeze(0)
    if hidden is not None:
        hidden = tuple(h.detach() for h in hidden)
    out, hidden = rnn(chunk, hidden)
    loss = F.cross_entropy(head(out).squeeze(0), y[step * 6:(step + 1) * 6])
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
""",
    "batch norm, buffers and frozen layers": """
model = nn.Sequential(nn.Linear(5, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 2))
model[0].requires_grad_(False)
model.register_buffer('steps', torch.zeros((), dtype=torch.long))
optimizer = torch.optim.SGD(filter(lambda p: p.requires_grad, model.parameters()), lr=0.1)
for step in range(4):
    optimizer.zero_grad()
    F.cross_entropy(model(X), y).backward()
    optimizer.step()
    model.steps += 1
    if step == 1:
        model[0].requires_grad_(True)
        optimizer.add_param_group({'params': model[0].parameters(), 'lr': 0.01})
mode = model.training
""",
    "parametrizations": """
layer = nn.utils.parametrizations.weight_norm(nn.Linear(5, 3))
spectral = nn.utils.parametrizations.spectral_norm(nn.Linear(3, 2))
model = nn.Sequential(layer, nn.ReLU(), spectral)
optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
for step in range(3):
    loss = F.cross_entropy(model(X), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
""",
    "a trainer class of the notebook": """
class Trainer:
    def __init__(self, model, lr):
        self.model = model
        self.optimizer = torch.optim.Adam(model.parameters(), lr=lr)
        self.history = {'loss': [], 'acc': []}
        self.best, self.callbacks = None, []
    def step(self, xb, yb):
        self.optimizer.zero_grad()
        self.out = self.model(xb)
        self.loss = F.cross_entropy(self.out, yb)
        self.loss.backward()
        self.optimizer.step()
        return self.loss
    def fit(self, loader, epochs):
        for epoch in range(epochs):
            self.epoch = epoch
            running = 0.0
            for xb, yb in loader:
                running += self.step(xb, yb).item()
            self.history['loss'].append(running)
            if self.best is None or running < min(self.history['loss'][:-1], default=1e9):
                self.best = copy.deepcopy(self.model.state_dict())
            for callback in self.callbacks:
                callback(self)
        return self.history
trainer = Trainer(Net(), 0.01)
rates = []
trainer.callbacks.append(lambda t: rates.append(t.epoch))
history = trainer.fit(DataLoader(TensorDataset(X, y), batch_size=8, shuffle=True), 2)
""",
    "random features of torch": """
gen = torch.Generator().manual_seed(11)
perm = torch.randperm(10, generator=gen)
dist = torch.distributions.Normal(torch.zeros(2), torch.ones(2))
out = []
for step in range(3):
    out.append(torch.rand(2, generator=gen))
    out.append(dist.sample())
    out.append(torch.randn(2).bernoulli_(0.5))
    perm = perm[torch.randperm(10)]
stack = torch.cat(out)
""",
    "checkpoints on the disk, loaded again": """
model = Net()
optimizer = torch.optim.Adam(model.parameters(), lr=0.05)
best = float('inf')
os.makedirs('ckpt', exist_ok=True)
for epoch in range(4):
    optimizer.zero_grad()
    loss = F.cross_entropy(model(X), y)
    loss.backward()
    optimizer.step()
    if loss.item() < best:
        best = loss.item()
        torch.save({'model': model.state_dict(), 'optimizer': optimizer.state_dict(), 'epoch': epoch}, 'ckpt/best.pt')
    json.dump({'best': best}, open('ckpt/state.json', 'w'))
state = torch.load('ckpt/best.pt')
model.load_state_dict(state['model'])
epoch_of_best = state['epoch']
""",
    "meta learning with functional calls": """
model = nn.Linear(5, 2)
params = {k: v.detach().clone().requires_grad_() for k, v in model.named_parameters()}
meta = torch.optim.SGD(list(params.values()), lr=0.1)
for task in range(3):
    support = F.cross_entropy(torch.func.functional_call(model, params, X[:12]), y[:12])
    grads = torch.autograd.grad(support, list(params.values()), create_graph=True)
    fast = {k: p - 0.1 * g for (k, p), g in zip(params.items(), grads)}
    loss = F.cross_entropy(torch.func.functional_call(model, fast, X[12:]), y[12:])
    meta.zero_grad()
    loss.backward()
    meta.step()
""",
    "gradient checkpointing": """
from torch.utils.checkpoint import checkpoint
body, head = nn.Sequential(nn.Linear(5, 8), nn.ReLU(), nn.Dropout(0.1)), nn.Linear(8, 2)
optimizer = torch.optim.AdamW([*body.parameters(), *head.parameters()], lr=0.01)
losses = []
for step in range(3):
    h = checkpoint(body, X, use_reentrant=False)
    loss = F.cross_entropy(head(h), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
""",
    "sparse embeddings and odd tensors": """
emb = nn.EmbeddingBag(10, 4, sparse=True, mode='sum')
opt = torch.optim.SparseAdam(list(emb.parameters()), lr=0.1)
half = torch.zeros(3, dtype=torch.bfloat16)
comp = torch.zeros(2, dtype=torch.complex64)
mask = torch.zeros(6, dtype=torch.bool)
for step in range(3):
    ids = torch.randint(0, 10, (3, 2))
    opt.zero_grad()
    emb(ids).pow(2).sum().backward()
    opt.step()
    half += 0.3
    comp += 1j * step
    mask[step] = True
""",
    "a custom function, a custom optimizer": """
class Cube(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x ** 3
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return 3 * x ** 2 * g
class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01, beta=0.9):
        super().__init__(params, dict(lr=lr, beta=beta))
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group['params']:
                if p.grad is None:
                    continue
                m = self.state[p].setdefault('m', torch.zeros_like(p))
                p.add_(torch.sign(m * group['beta'] + p.grad * (1 - group['beta'])), alpha=-group['lr'])
                m.mul_(group['beta']).add_(p.grad, alpha=1 - group['beta'])
w = nn.Parameter(torch.rand(4))
optimizer = Lion([w])
for step in range(3):
    optimizer.zero_grad()
    loss = Cube.apply(w).sum()
    loss.backward()
    optimizer.step()
""",
    "losses with their graph, where nothing ever asks for gradients": """
model = Net()
losses = []
for i in range(0, 24, 8):
    losses.append(F.cross_entropy(model(X[i:i+8]), y[i:i+8]))
mean = torch.stack(losses).mean().item()
del losses
""",
    "a graph that was left over, beside a function that has a variable of that name": """
model = Net()
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
def evaluate(model):
    loss = F.cross_entropy(model(X), y)
    return loss.item()
log = []
for epoch in range(2):
    loss = F.cross_entropy(model(X), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    loss = F.cross_entropy(model(X), y)
    for i in range(2):
        log.append(evaluate(model))
loss = None
""",
    "TorchScript": """
@torch.jit.script
def double(x):
    return x * 2
out = []
for i in range(3):
    out.append(double(X).sum().item())
del double
""",
    "a compiled model": """
model = Net()
compiled = torch.compile(model, backend='eager')
optimizer = torch.optim.Adam(compiled.parameters())
for i in range(3):
    loss = F.cross_entropy(compiled(X), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
same = compiled._orig_mod is model
del compiled
""",
}
