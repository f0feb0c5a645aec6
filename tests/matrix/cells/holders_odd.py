"""Odd holders: slots, weak references, fractions, decimals, arrays, bytearrays, namespaces, flags, dates, chain maps."""
# depth: 1
# %% setup
import array, datetime as dt, decimal, enum, fractions, pathlib, types, uuid, weakref, random
from collections import ChainMap, OrderedDict, deque, namedtuple
from typing import NamedTuple
random.seed(9)
# %% cell
class Mode(enum.Flag):
    A = enum.auto()
    B = enum.auto()
    AB = A | B

class Slotted:
    __slots__ = ("x", "y", "__weakref__")
    def __init__(self, x):
        self.x, self.y = x, []

class Point(NamedTuple):
    x: int
    y: float = 0.0

class Registry:
    items = {}
    def __init_subclass__(cls, **kw):
        super().__init_subclass__(**kw)
        Registry.items[cls.__name__] = cls

class Sub(Registry):
    pass

cache = weakref.WeakValueDictionary()
keep = []
total, money = fractions.Fraction(0), decimal.Decimal("0.00")
arr, raw = array.array("d"), bytearray()
ns = types.SimpleNamespace(count=0, mode=Mode(0))
layers = ChainMap({"lr": 0.1}, {"lr": 1.0, "wd": 0.5})
when = dt.datetime(2024, 1, 1, tzinfo=dt.timezone.utc)
order = OrderedDict()
ids = []
ring = deque(maxlen=5)
for i in range(40):
    s = Slotted(i)
    cache[i] = s
    if i % 3 == 0:
        keep.append(s)
        s.y.append(keep[-1])
    del s
    total += fractions.Fraction(1, i + 1)
    money += decimal.Decimal(i) / 100
    arr.append(random.random())
    raw.extend(bytes([i]))
    ns.count += 1
    ns.mode |= Mode.A if i % 2 else Mode.B
    layers["lr"] *= 0.9
    if i % 10 == 0:
        layers = layers.new_child({"lr": i + 0.5})
    when += dt.timedelta(hours=i)
    order[i % 7] = i
    order.move_to_end(i % 7)
    ids.append(uuid.UUID(int=random.getrandbits(128)))
    ring.append(Point(i))
    tick()
sorted(cache), total.denominator % 97, money, ns.mode, when.isoformat(), list(order), [p.x for p in ring], Registry.items["Sub"] is Sub
