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
    "views of an ordered dictionary show it",
    before="from collections import OrderedDict",
    cell="d = OrderedDict(b=1, a=2); keys, values, items = d.keys(), d.values(), d.items()",
    then="d.move_to_end('b'); d['c'] = 3; assert list(keys) == ['a', 'b', 'c'] and list(values) == [2, 1, 3] and len(items) == 3",
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
    "caches of functions remember what they did, in order, and count as they did",
    before="""
import functools, random
class Key:
    def __init__(self, n): self.n = n
    def __hash__(self): return hash(self.n)
    def __eq__(self, other): return self.n == other.n
class Owner:
    @functools.lru_cache(maxsize=None)
    def of(self, x): return [x, random.random()]
    @staticmethod
    @functools.cache
    def free(x): return [x]
@functools.lru_cache
def model(name, *, size=1): return [name, size]
model("there already")
""",
    cell="""
@functools.lru_cache(maxsize=2, typed=True)
def last(*a, **k): return [a, k]
def counter():
    n = 0
    @functools.cache
    def up(key):
        nonlocal n
        n += 1
        return n, up
    return up
class Own:
    def __init__(self): self.get = functools.lru_cache(self.slow)
    def slow(self, key): return [self, key]
up, owner, own = counter(), Owner(), Own()
up(Key(1)); up(2); up(2)
first = model("a"); model.cache_clear(); first = model("a"); named = model("b", size=2); model("a"); model("a")
kept = owner.of(3); free = Owner.free("x"); mine = own.get("k")
for one in (1, 1.0, True, 1): last(one)
pair = last(1, k=2)
info = [f.cache_info() for f in (model, last, up, Owner.of, own.get)]
""",
    then="""
assert info == [f.cache_info() for f in (model, last, up, Owner.of, own.get)], info
assert model("a") is first and model("b", size=2) is named and model.cache_info().currsize == 2
assert owner.of(3) is kept and Owner.free("x") is free and own.get("k") is mine and mine[0] is own
assert last(1, k=2) is pair and up(Key(1)) == (1, up) and up(2) == (2, up) and up(9) == (3, up) and model("new") == ["new", 1]
last(1); assert last.cache_info().hits == info[1].hits + 2
last(1.0); last(1); assert last.cache_info().hits == info[1].hits + 3, "the oldest goes first"
""",
)
case(
    "ids of objects are those that they have now, in their places",
    before="import collections\nclass P: pass",
    cell="""
ps = [P() for _ in range(5)]
byid = {id(p): n for n, p in enumerate(ps)}; tupled = collections.OrderedDict(((id(p), "w"), id(p)) for p in ps)
listed = [id(ps[0]), 5, (1, (id(ps[1]),))]; seen = {id(p) for p in ps} | {3}; counts = collections.Counter(map(id, ps))
ps[0].of = id(ps[1]); one = id(ps[2]); huge = {2**40: 1, -(2**47): 2}; groups = collections.defaultdict(list, {id(ps): [1]})
def shared():
    key = id(ps[3])
    return lambda: key
get = shared()
""",
    then="""
ids = [id(p) for p in ps]
assert list(byid.items()) == list(zip(ids, range(5))) and list(tupled.items()) == [((i, "w"), i) for i in ids]
assert listed == [ids[0], 5, (1, (ids[1],))] and seen == {*ids, 3} and list(counts) == ids and counts.total() == 5
assert ps[0].of == ids[1] and one == ids[2] and huge == {2**40: 1, -(2**47): 2} and groups == {id(ps): [1]} and get() == ids[3]
""",
)
case(
    "context variables are the live ones, with their values",
    before="import contextvars, decimal\nearlier = contextvars.ContextVar('earlier')\nsame = earlier",
    cell="""
made = contextvars.ContextVar("made", default=[1]); unset = contextvars.ContextVar("unset"); also = [earlier, made]
earlier.set({"run": 3}); mine = earlier.get()
""",
    then="""
assert earlier is same and also[0] is earlier and also[1] is made and earlier.get() is mine and mine == {"run": 3}
assert made.get() == [1] and made.name == "made" and unset.get("none") == "none"
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
case(
    "attributes that are held as a dictionary too are still the instance's",
    cell="""
import argparse
parser = argparse.ArgumentParser()
parser.add_argument("--lr", type=float, default=0.1)
settings = parser.parse_args([])
words = vars(settings)
class Borg:
    shared = {}
    def __init__(self):
        self.__dict__ = Borg.shared
one, other = Borg(), Borg()
one.steps = 1
class Base:
    __slots__ = ("size", "__dict__")
class Module(Base):
    def __init__(self):
        self.size, self.rate, self.me = 3, 0.5, self
        self.values = self.__dict__
module, free = Module(), Base()
free.rate = 1
""",
    then="""
words["lr"] = 0.2
assert settings.lr == 0.2 and vars(settings) is words
one.steps += 1
assert other.steps == 2 and Borg.shared is vars(one) is vars(other) and Borg().steps == 2
module.values["rate"] = 0.25
assert module.rate == 0.25 and module.size == 3 and module.me is module and vars(module) is module.values
assert vars(free) == {"rate": 1}
""",
)
case(
    "what looks into a class goes on looking into it",
    cell="""
class Base:
    pass
class Settings(Base):
    rate = 0.1
seen, below = vars(Settings), vars(Base)
""",
    then="""
Settings.rate = 0.2
Base.rate = 0.3
assert seen["rate"] == 0.2 and below["rate"] == 0.3
""",
)
case(
    "views of memory look into the very object, at their place, in their format",
    before="import array, io",
    cell="""
buf = bytearray(range(64)); view = memoryview(buf); part = view[8:40]; words = part.cast("I"); grid = view.cast("H", [4, 8])
back = view[::-2]; some = words[1:7:2]; none = view[9:9]; sealed = part.toreadonly(); of_bytes = memoryview(b"abc")[1:]
numbers = array.array("d", [1, 2, 3]); tail = memoryview(numbers)[1:]; alone = memoryview(bytearray(4))
stream = io.BytesIO(bytes(100)); stream.seek(7); live = stream.getbuffer()[10:]
gone = memoryview(buf); gone.release()
""",
    then="""
assert view.obj is part.obj is words.obj is back.obj is sealed.obj is buf and tail.obj is numbers
view[8] = 200; assert buf[8] == part[0] == sealed[0] == 200 and sealed.readonly and not part.readonly
words[1] = 0x01020304; assert part[4:8] == bytes([4, 3, 2, 1]) and some[0] == 0x01020304 and some.shape == (3,)
grid[3, 7] = 0xBBAA; assert buf[62:] == b"\\xaa\\xbb" and back[0] == 0xBB and back[1] == 61 and back.strides == (-2,)
assert len(none) == 0 and none.obj is buf and of_bytes == b"bc" and of_bytes.readonly
tail[0] = 9.0; assert numbers[1] == 9 and tail.format == "d"; alone[0] = 1
live[0] = 5; assert stream.getvalue()[10] == 5 and stream.tell() == 7
live.release(); words.release()
try: gone[0]
except ValueError: pass
else: raise AssertionError("it had been released")
""",
)
case(
    "masked arrays share their data and masks with their views, and keep what they are",
    before="import numpy as np",
    cell="""
m = np.ma.zeros(500); d = m.data; m[3] = np.ma.masked; top = m[:10]; k = m.mask
hard = np.ma.array([1.0, 2, 3], mask=[0, 1, 0], hard_mask=True, fill_value=7); hard.note = "kept"; none = np.ma.ones(4)
rows = np.ma.array([(1, 2.0)], mask=[(0, 1)], dtype=[("a", "i4"), ("b", "f8")]); row = rows[0]; one = np.ma.masked
objects = np.ma.array([(), {}], mask=[0, 1], dtype=object); objects[0] = "p"; same = m
matrix = np.ma.array(np.matrix([[1, 2]]), mask=[[0, 1]])
""",
    then="""
d += 1; assert m.sum() == 499 and top[0] == 1 and m[3] is np.ma.masked and k[3] and same is m and one is np.ma.masked
top[4] = np.ma.masked; assert m[4] is np.ma.masked and k[4]
hard[1] = 9; assert hard.hardmask and hard[1] is np.ma.masked and hard.fill_value == 7 and hard.note == "kept"
assert none.mask is np.ma.nomask and type(none) is np.ma.MaskedArray and none.tolist() == [1] * 4
assert rows.mask["b"][0] and rows["a"][0] == 1 and row["b"] is np.ma.masked and type(row) is np.ma.core.mvoid
assert objects[0] == "p" and objects[1] is np.ma.masked and type(matrix.data) is np.matrix and matrix.mask[0, 1]
""",
)
case(
    "arrays of subclasses share memory with their views, and keep attributes",
    before="""
import numpy as np, sys
class A(np.ndarray):
    def __new__(cls, data, info=None): made = np.asarray(data).view(cls); made.info = info; return made
    def __array_finalize__(self, other): self.info = getattr(other, "info", "from finalize")
class Slow(np.ndarray):
    __slots__ = ("unit",)
    def __array_finalize__(self, other):
        if other is not None: self.unit = other.unit
class Own(np.ndarray):
    def __reduce__(self): return (Own, (self.shape,))
""",
    cell="""
a = A(np.zeros(400), info={"of": 1}); half = a[::2]; plain = a.view(np.ndarray); a.me = a; t = A(np.zeros((3, 4)), "t").T
s = np.ndarray.__new__(Slow, (6,)); s.unit = "K"; s[:] = 2; none = A([], "none"); read = A([1.0, 2.0], "read"); read.flags.writeable = False
objects = A(np.array([[1], None], dtype=object), "objects"); tail = objects[1:]; objects.last = objects
own = np.ndarray.__new__(Own, (3,)); lone = A(np.arange(9.0), "lone")[3:5]; box = np.empty(1, object).view(A); box[0] = box
square = np.matrix([[1, 2], [3, 4]]); square.tag = "x"; row = square[0]
""",
    then="""
assert type(a) is A and a.info == {"of": 1} and half.info is a.info and a.me is a
half[1] = 5; assert a[2] == 5 and plain[2] == 5
t[3, 0] = 7; assert t.base is not None and type(t) is A and t.info == "t" and t.strides == (8, 32)
assert type(s) is Slow and s.unit == "K" and s.tolist() == [2] * 6 and none.info == "none" and none.shape == (0,)
assert read.info == "read" and not read.flags.writeable and type(own) is Own and lone.tolist() == [3, 4] and lone.info == "lone"
tail[0] = "new"; assert objects[1] == "new" and objects[0] == [1] and type(tail) is A and objects.last is objects and box[0] is box
row[0, 1] = 9; assert square[0, 1] == 9 and square.tag == "x" and type(row) is np.matrix
""",
)
case(
    "fields and rows of structured arrays look into their arrays",
    before="import numpy as np",
    cell="""
a = np.zeros(4, [("n", object), ("h", "i8"), ("w", "f4", (2,))]); a["n"] = ["p", "q", None, a.dtype]; n = a["n"]; h = a["h"]; w = a["w"][1:]
both = a[["n", "h"]]; r = np.zeros(3, [("x", "f8"), ("y", "i4")])[1]; table = np.zeros(300, [("x", "f8")]); second = table[1]
third = a[2]; P = np.recarray(200, dtype=[("x", "f8"), ("base", "f8")]); P.x = 0; P["base"] = 1; xs = P["x"]; p = P[5]; rec = P[:3]
ob = np.array([[1], None, "z"], dtype=object); every = ob[::2]; windows = np.lib.stride_tricks.sliding_window_view(ob, 2)
days = np.array(["2020-01-01", "2021-01-01"], "M8[D]"); last = days[1:]; sealed = np.array([[1]], dtype=object); early = sealed[:]; sealed.flags.writeable = False
alone = np.zeros(1, [("x", "f8")])[0].copy()
""",
    then="""
n[0] = "new"; h[1] = 5; w[0] = 3; assert a["n"][0] == "new" and a["h"][1] == 5 and a["w"][1].tolist() == [3, 3] and n[1] == "q"
both["n"][1] = 8; assert n[1] == 8 and both["h"][1] == 5 and n[3] == a.dtype
r["x"] = 2; assert r["x"] == 2 and r["y"] == 0; second["x"] = 4; assert table["x"][1] == 4 and table["x"].sum() == 4
third["n"] = "row"; assert a["n"][2] == "row" and type(third) is np.void
xs += 1; p.x = 9; assert P.x[5] == 9 and P.x[4] == 1 and P["base"][0] == 1 and np.shares_memory(P, xs) and type(p) is np.record
rec.x[0] = 3; assert xs[0] == 3 and type(rec) is np.recarray and P.dtype.type is np.record
every[1] = "end"; assert ob[2] == "end"; ob[1] = "mid"; assert windows[0, 1] == "mid" and windows[1, 1] == "end"
last[0] = "2022-02-02"; assert str(days[1]) == "2022-02-02" and not sealed.flags.writeable and alone["x"] == 0
early[0] = [2]; assert sealed[0, 0] == 2
""",
)
case(
    "views of a mapped file look into the file, and are not copied",
    before="import numpy as np",
    cell="""
whole = np.memmap("mapped.bin", "f8", "w+", shape=(20, 3)); whole[:] = 1; part = whole[2:5, 1]; plain = np.asarray(whole)[::2]
column = np.memmap("alone.bin", "i4", "w+", shape=(6,))[1:3]; column[:] = 4
""",
    then="""
part[0] = 7; assert whole[2, 1] == 7 and plain[1, 1] == 7 and type(part) is np.memmap and type(plain) is np.ndarray
assert part.filename == whole.filename and part.mode == whole.mode and part.base is not None
column[1] = 5; column.flush(); assert np.fromfile("alone.bin", "i4").tolist() == [0, 4, 5, 0, 0, 0]
""",
)
case(
    "objects that libraries make from little are made again",
    before="import functools, random, numpy as np",
    cell="""
f, i = np.finfo(np.float32), np.iinfo("i2"); lots = {"eps": f}; system = random.SystemRandom()
key = functools.cmp_to_key(lambda a, b: b - a); some = [key(1), key(5)]
""",
    then="""
assert f.eps == np.finfo("f4").eps and f is lots["eps"] and i.max == 32767 and type(system) is random.SystemRandom
assert 0 <= system.random() < 1 and sorted([1, 3, 2], key=key) == [3, 2, 1] and some[1] < some[0] and some[0].obj == 1
""",
)
case(
    "limits of torch's types are made again",
    before="import torch",
    cell="f, i = torch.finfo(torch.bfloat16), torch.iinfo(torch.uint8)",
    then="assert f.max == torch.finfo(torch.bfloat16).max and f.dtype == 'bfloat16' and i.max == 255",
)
case(
    "threads that have ended, and temporary files that are closed, are that",
    before="import threading, tempfile\nclass Worker(threading.Thread):\n    def run(self): self.found = [self.name]",
    cell="""
done = threading.Thread(target=print, args=(), name="done", daemon=False); done.start(); done.join()
worker = Worker(daemon=True); worker.start(); worker.join(); timer = threading.Timer(0.0, len, ([1],)); timer.start(); timer.join()
names = [done.name, done.ident, worker.name, worker.found, done.native_id]
with tempfile.NamedTemporaryFile("w") as kept: kept.write("x")
""",
    then="""
assert not done.is_alive() and not worker.is_alive() and names == [done.name, done.ident, worker.name, worker.found, done.native_id]
assert worker.found is names[3] and worker.daemon and not done.daemon and timer.finished.is_set() and timer.args == ([1],)
done.join(); worker.join()
assert repr(done).startswith("<Thread(done, stopped") and kept.closed and kept.name and "run" not in vars(worker)
try: worker.start()
except RuntimeError: pass
else: raise AssertionError("a thread starts once")
""",
)
case(
    "parsers of arguments suppress what they suppressed",
    before="import argparse",
    cell="""
parser = argparse.ArgumentParser(prog="p", usage=argparse.SUPPRESS); parser.add_argument("--n", type=int, default=3)
parser.add_argument("--quiet", default=argparse.SUPPRESS, help=argparse.SUPPRESS, action="store_true")
more = parser.add_subparsers(); one = more.add_parser("one", argument_default=argparse.SUPPRESS); one.add_argument("--x")
group = parser.add_mutually_exclusive_group(); group.add_argument("-a", action="store_const", const=1)
""",
    then="""
assert parser.parse_args([]) == argparse.Namespace(n=3, a=None) and "quiet" not in parser.format_help()
assert parser.parse_args(["one"]) == argparse.Namespace(n=3, a=None) and parser.parse_args(["--quiet"]).quiet is True
assert parser.parse_args(["one", "--x", "2", ]).x == "2" and parser.usage is argparse.SUPPRESS
""",
)
case(
    "groups of `groupby` that are half over, left early, over and not begun",
    before="from itertools import groupby",
    cell="""
def after(steps, rows="aaabbbccc", key=None):
    groups = groupby(rows, key)
    for step in steps:
        if step == "group": found = next(groups)
        else: next(found[1])
    return groups, found[1] if steps else None
ways = ["", ["group"], ["group", "item"], ["group"] + ["item"] * 3, ["group", "item", "group"], ["group"] * 2 + ["item"] * 2]
all_ = [after(steps) for steps in ways]
keyed = [after(steps, [None, None, 1, 2, 2], lambda item: item) for steps in ways[:3]]
wanted = [after(steps) for steps in ways], [after(steps, [None, None, 1, 2, 2], lambda item: item) for steps in ways[:3]]
def rest(pair):
    groups, group = pair
    return ([] if group is None else list(group)), [(key, list(items)) for key, items in groups]
wanted = [list(map(rest, pairs)) for pairs in wanted]
""",
    then="""
assert [list(map(rest, all_)), list(map(rest, keyed))] == wanted, wanted
""",
)
case(
    "tensors of a class that counts what is done with it",
    before="import torch",
    cell="""
class Counting(torch.Tensor):
    count = 0
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        Counting.count += 1
        return super().__torch_function__(function, types, args, kwargs or {})
one = torch.zeros(3).as_subclass(Counting)
one += 1
done = Counting.count
""",
    then="""
assert Counting.count == done and type(one) is Counting
one += 1
assert Counting.count > done and torch.Tensor.tolist(one) == [2.0] * 3
""",
)
