"""Cases of `test_fresh_process`: (what an earlier cell defined, what the cell did, what must hold in the new process)."""

from __future__ import annotations

CASES: dict[str, tuple[str, str, str]] = {}


def case(name: str, *, before: str = "", cell: str, then: str) -> None:
    CASES[name] = (before, cell, then)


case(
    "an optimizer goes on running its step hooks, and its scheduler does not warn",
    before="import torch, warnings",
    cell="""
calls = []
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.AdamW(model.parameters())
handle = optimizer.register_step_pre_hook(lambda *a: calls.append("before step"))
scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.9**epoch)
optimizer.step(); scheduler.step()
""",
    then="""
with warnings.catch_warnings():
    warnings.simplefilter("error")
    optimizer.step(); scheduler.step()
assert calls == ["before step"] * 2 and scheduler.last_epoch == 2
handle.remove(); optimizer.step()
assert len(calls) == 2
""",
)
case(
    "schedulers of every kind go on with their optimizer",
    before="import torch, warnings",
    cell="""
model = torch.nn.Linear(3, 2)
optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
L = torch.optim.lr_scheduler
several = L.SequentialLR(optimizer, [L.ConstantLR(optimizer), L.LinearLR(optimizer)], [3])
all_ = [L.OneCycleLR(optimizer, 0.1, 20), L.CosineAnnealingLR(optimizer, 9), L.CyclicLR(optimizer, 0.01, 0.1), several]
plateau = L.ReduceLROnPlateau(optimizer)
optimizer.step()
""",
    then="""
with warnings.catch_warnings():
    warnings.simplefilter("error")
    optimizer.step(); plateau.step(1.0)
    for one in all_: one.step()
assert all(one.optimizer is optimizer for one in all_)
""",
)
case(
    "module hooks stay, their handles remove them, and later hooks do not take their place",
    before="import torch",
    cell="""
calls = []
model = torch.nn.Linear(2, 2)
handles = [model.register_forward_hook(lambda *a, n=n: calls.append(n)) for n in range(3)]
last = handles.pop()
handles.clear()
""",
    then="""
for name in "abc": model.register_forward_hook(lambda *a, name=name: calls.append(name))
model(torch.ones(1, 2))
assert calls == [0, 1, 2, "a", "b", "c"], calls
last.remove(); calls.clear(); model(torch.ones(1, 2))
assert calls == [0, 1, "a", "b", "c"], calls
""",
)
case(
    "tensor hooks stay, and their handles remove them",
    before="import torch",
    cell="w = torch.ones(3, requires_grad=True); calls = []; handle = w.register_hook(lambda g: calls.append(1))",
    then="""
(w * 2).sum().backward(); handle.remove(); (w * 2).sum().backward()
assert calls == [1]
""",
)
case(
    "a spent activation with a hook and a retained gradient is a plain value with its gradient",
    before="import torch",
    cell="""
w = torch.ones(3, requires_grad=True)
y = w * w
y.retain_grad(); y.register_hook(lambda g: None); y.sum().backward()
""",
    then="assert y.grad.tolist() == [1, 1, 1] and y.tolist() == [1, 1, 1]",
)
case(
    "a loss summed up without item() is a plain value",
    before="import torch",
    cell="""
w = torch.ones(3, requires_grad=True)
total = 0
for _ in range(3):
    loss = (w * w).sum(); loss.backward(); total = total + loss * 4
""",
    then="assert total.item() == 36",
)
case(
    "gradient scalers and averaged models keep their numbers",
    before="import torch, copy",
    cell="""
scaler = torch.amp.GradScaler("cpu", init_scale=8.0); scaler.scale(torch.ones(1))
model = torch.nn.Linear(2, 2); twin = copy.deepcopy(model)
average = torch.optim.swa_utils.AveragedModel(model); average.update_parameters(model)
""",
    then="""
assert scaler.get_scale() == 8.0 and torch.equal(twin.weight, model.weight) and twin.weight is not model.weight
average.update_parameters(model)
assert average.n_averaged == 2
""",
)
case(
    "tensors of odd kinds keep kind, strides and storage",
    before="import torch, warnings\nclass Tagged(torch.Tensor): pass\nclass Special(torch.nn.Parameter): pass",
    cell="""
sparse = torch.eye(3).to_sparse().requires_grad_(); meta = torch.empty(3, device="meta")
conjugate = torch.tensor([1 + 2j]).conj(); negative = torch.tensor([1 + 2j]).conj().imag
wide = torch.ones(1, 3).expand(4, 3); none = torch.ones(3)[:0]; storage = torch.arange(4).untyped_storage()
tagged = torch.ones(3).as_subclass(Tagged); tagged.x = 1; special = Special(torch.ones(2))
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    quantized = torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8)
""",
    then="""
assert sparse.requires_grad and torch.equal(sparse.detach().to_dense(), torch.eye(3)) and meta.device.type == "meta"
assert conjugate.item() == 1 - 2j and conjugate.is_conj() and negative.item() == -2 and wide.stride() == (0, 1)
assert none.untyped_storage().nbytes() == 12 and storage.nbytes() == 32 and quantized.int_repr().tolist() == [10] * 3
assert type(tagged) is Tagged and tagged.x == 1 and type(special) is Special and special.requires_grad
""",
)
case(
    "numpy arrays keep order, kind, flags and what they share",
    before="import numpy as np",
    cell="""
f = np.asfortranarray(np.arange(600.0).reshape(20, 30)); s = np.zeros(3, dtype=[("a", "i4"), ("b", "f8")]); sv = s["b"]
ob = np.array([[1], None], dtype=object); obv = ob[::-1]; ro = np.arange(9); ro.flags.writeable = False
zero_d = np.array(3.5); backwards = np.arange(1000)[::-1]; day = np.array(["2020-01-01"], "M8[D]")
rec = np.rec.array([(1, 2.0)], dtype=[("a", "i4"), ("b", "f8")]); masked = np.ma.array([1, 2], mask=[0, 1])
big = np.array([1, 2], ">i4"); column = np.arange(2000).reshape(40, 50)[:, 3]; lone = np.arange(5000)[10:20]
""",
    then="""
assert f.flags.f_contiguous and f.flags.owndata and f[1, 2] == 32
s["b"][1] = 5; assert sv[1] == 5
obv[1] = "x"; assert ob[0] == "x"
assert not ro.flags.writeable and zero_d.shape == () and zero_d == 3.5 and backwards[0] == 999 and day.dtype == "M8[D]"
assert type(rec) is np.recarray and rec.a[0] == 1 and masked.mask.tolist() == [False, True]
assert big.dtype.str == ">i4" and big[1] == 2 and column[2] == 103 and lone.tolist() == list(range(10, 20))
""",
)
for order in ("a = array; t = tensor; t2 = tensor2; v = view", "v = view; t2 = tensor2; t = tensor; a = array"):
    case(
        f"overlapping pieces of memory under arrays and tensors stay one ({order[0]} first)",
        before="import numpy as np, torch",
        cell=f"""
array = np.arange(3000.0); tensor = torch.from_numpy(array[1000:2000]); tensor2 = torch.from_numpy(array[1500:2500])
view = array[500:1500]; base = torch.arange(2000.0); n = base.numpy()[100:]
{order}
del array, tensor, tensor2, view
""",
        then="""
a[1200] = -1; assert t[200] == -1 and v[700] == -1
t2[0] = 7; assert t[500] == 7 and a[1500] == 7
base[150] = -2; assert n[50] == -2
""",
    )
case(
    "global random generators stay global, others stay shared",
    before="import numpy as np, random, torch",
    cell="""
g = np.random.default_rng(1); box = {"g": g}; pick = random.random; draw = np.random.rand; g.random()
mine = torch.Generator(); also = [mine]; default = torch.default_generator
""",
    then="""
assert box["g"] is g and also[0] is mine and default is torch.default_generator
random.seed(1); x = random.random(); random.seed(1); assert pick() == x
np.random.seed(1); y = np.random.rand(); np.random.seed(1); assert draw() == y
""",
)
case(
    "live iterators and dictionary views go on",
    cell="""
items = [1, 2, 3]; i = iter(items); next(i); held = {3, 1, 2, "a"}; si = iter(held); rest = set(held) - {next(si)}
z = zip(items, "abc"); next(z); m = map(str, items); next(m); r = reversed(items); next(r)
d = {"b": 1, "a": 2}; keys = iter(d); next(keys); values = d.values(); n = iter(range(5)); next(n)
""",
    then="""
items.append(4); assert list(i) == [2, 3, 4] and set(si) == rest and list(z) == [(2, "b"), (3, "c"), ][:2]
assert list(m) == ["2", "3", "4"] and list(r) == [2, 1] and list(keys) == ["a"] and list(n) == [1, 2, 3, 4]
d["c"] = 3; assert 3 in values and list(d) == ["b", "a", "c"]
""",
)
case(
    "open files go on at their place, in their mode",
    before="import sys",
    cell="""
with open("in.txt", "w") as made: made.write("a\\nb\\nc\\n")
lines = open("in.txt"); next(lines); raw = open("in.txt", "rb"); raw.readline(); out = sys.stdout
log = open("log.txt", "a"); log.write("one"); both = open("both.txt", "w+"); both.write("hello"); both.seek(2)
binary = open("x.bin", "wb"); binary.write(b"xy"); closed = open("in.txt"); closed.close()
""",
    then="""
assert next(lines) == "b\\n" and raw.readline() == b"b\\n" and out is sys.stdout and closed.closed
log.write("two"); log.close(); binary.write(b"z"); binary.close()
assert open("log.txt").read() == "onetwo" and log.mode == "a" and open("x.bin", "rb").read() == b"xyz"
assert both.read() == "llo"
for file in (lines, raw, both): file.close()
""",
)
case(
    "csv writers go on in their file",
    before="import csv",
    cell="""
file = open("c.csv", "w", newline=""); plain = csv.writer(file); plain.writerow([1, 2])
named = csv.DictWriter(file, ["a"]); named.writeheader()
""",
    then="""
plain.writerow([3, 4]); named.writerow({"a": 1}); file.close()
assert open("c.csv", newline="").read() == "1,2\\r\\na\\r\\n3,4\\r\\n1\\r\\n"
""",
)
case(
    "a progress bar comes back at its count",
    before="from tqdm.auto import tqdm",
    cell="bar = tqdm(range(10), desc='x'); bar.update(3)",
    then="assert bar.n == 3 and bar.total == 10 and bar.iterable == range(10); bar.update(2); assert bar.n == 5",
)
case(
    "weak references refer to what came back",
    before="import weakref\nclass A:\n    def f(self): return 1",
    cell="""
a = A(); r = weakref.ref(a); by_key = weakref.WeakKeyDictionary({a: 1}); by_value = weakref.WeakValueDictionary(a=a)
method = weakref.WeakMethod(a.f); all_ = weakref.WeakSet([a]); dead = weakref.ref(A()); proxy = weakref.proxy(a)
a.me = r
""",
    then="""
assert r() is a and a.me is r and by_key[a] == 1 and by_value["a"] is a and method()() == 1 and a in all_
assert isinstance(dead, weakref.ref) and dead() is None and proxy.f() == 1
""",
)
case(
    "a forward method that was replaced stays replaced",
    before="import torch, types",
    cell="""
model = torch.nn.Linear(2, 2); old = model.forward
model.forward = types.MethodType(lambda self, x: old(x) * 2, model)
""",
    then="x = torch.ones(1, 2); assert torch.equal(model(x), torch.nn.Linear.forward(model, x) * 2)",
)
case(
    "exceptions come back without their __init__, with cause and attributes",
    cell="""
class Odd(Exception):
    def __init__(self, a, b): super().__init__(f"{a}{b}"); self.a = a
odd = Odd(1, 2); missing = OSError(2, "x", "f")
try:
    try: 1 / 0
    except ZeroDivisionError as zero: raise ValueError("v") from zero
except ValueError as kept: error = kept
""",
    then="""
assert odd.a == 1 and str(odd) == "12" and missing.errno == 2 and missing.filename == "f"
assert isinstance(error.__cause__, ZeroDivisionError)
""",
)
case(
    "enums and namedtuples of an earlier cell are the live ones",
    before="import enum, collections\nclass C(enum.Enum):\n    R = 1\n    B = 2\nclass F(enum.Flag):\n    X = 1\n    Y = 2\n"
    "N = collections.namedtuple('N', 'a b')",
    cell="c = C.R; f = F.X | F.Y; d = {C.B: 1}; n = N(1, 2)",
    then="assert c is C.R and f == F.X | F.Y and d[C.B] == 1 and type(n) is N and n == (1, 2)",
)
case(
    "what the cell put on classes of earlier cells is put back",
    before="import torch\nclass A:\n    n = 0\n    items = []\n    __slots__ = ('z',)\nclass B: one = None\nclass C: seen = None\n"
    "class M:\n    net = None",
    cell="a = A(); a.z = 1; A.n = 5; A.items.append(1); b = B(); B.one = C(); C.seen = b; m = M(); M.net = torch.nn.Linear(1, 1)",
    then="assert A.n == 5 and A.items == [1] and a.z == 1 and C.seen is b and type(B.one) is C and m.net.in_features == 1",
)
case(
    "decorated, cached and dispatching functions work",
    before="import functools, contextlib\n@functools.lru_cache(None)\ndef before(x): return x + 1",
    cell="""
def plus_one(f):
    @functools.wraps(f)
    def inner(*a): return f(*a) + 1
    return inner
@plus_one
def g(x): return x
@functools.lru_cache(maxsize=7)
def fib(n): return n if n < 2 else fib(n - 1) + fib(n - 2)
@functools.singledispatch
def kind(x): return "other"
kind.register(int)(lambda x: "int")
@contextlib.contextmanager
def three(): yield 3
part = functools.partial(g, 1); also = before; fib(10)
""",
    then="""
assert g(1) == part() == 2 and g.__wrapped__(1) == 1 and fib(20) == 6765 and fib.cache_parameters()["maxsize"] == 7
assert also is before and kind(1) == "int" and kind("") == "other"
with three() as value: assert value == 3
""",
)
case(
    "standard library objects come back",
    before="import collections, logging, pathlib, queue, re, threading",
    cell="""
logger = logging.getLogger("x.y"); pattern = re.compile("a+"); path = pathlib.Path("x"); event = threading.Event()
event.set(); condition = threading.Condition(); line = queue.Queue(); line.put(1); simple = queue.SimpleQueue()
chain = collections.ChainMap({"a": 1}); local = threading.local(); local.x = 1; counts = collections.Counter("aab")
""",
    then="""
assert logger is logging.getLogger("x.y") and pattern.match("aa") and event.is_set() and line.get_nowait() == 1
assert chain["a"] == 1 and local.x == 1 and counts["a"] == 2 and simple.empty()
with condition: pass
""",
)
case("globals() stays the namespace", cell="names = globals(); k = 3", then="assert names is globals()")
case(
    "a chain of 20,000 objects comes back",
    before="class Node: pass",
    cell="head = None\nfor _ in range(20_000):\n    node = Node(); node.next = head; head = node",
    then="n = 0\nwhile head is not None: n += 1; head, old = head.next, head; old.next = None\nassert n == 20_000",
)
case(
    "an object that is a key in its own attribute is found there",
    before="""
class Key:
    def __init__(self, v): self.v = v
    def __hash__(self): return hash(self.v)
    def __eq__(self, other): return self.v == other.v
""",
    cell="k = Key('a'); d = {k: 1}; s = {k}; k.back = d",
    then="assert d[Key('a')] == 1 and k in s and k.back is d",
)
case(
    "frames and series go on",
    before="import pandas as pd",
    cell="df = pd.DataFrame({'a': [1, 2], 'b': ['x', 'y'], 'c': pd.Categorical(['p', 'q'])}); v = df['a']",
    then="assert df.loc[1, 'b'] == 'y' and v.tolist() == [1, 2]; df.loc[0, 'a'] = 9; assert df.a[0] == 9",
)
case(
    "classes made by the cell know themselves",
    cell="""
class W:
    known = {}
    def __init_subclass__(cls): W.known[cls.__name__] = cls
class V(W):
    def me(self): return __class__
    @property
    def p(self): return 5
    @classmethod
    def c(cls): return cls
v = V(); c = V.c
def make():
    made = []
    def a(): return made
    made.append(a)
    return a
a = make()
""",
    then="assert W.known['V'] is V and v.me() is V and type(v) is V and v.p == 5 and c() is V and a()[0] is a",
)
