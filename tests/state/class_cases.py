"""Cases of `test_fresh_process` about classes, and instances whose classes get in the way of their pickling."""

from __future__ import annotations

from tests.state.cases import case

case(
    "objects that pass on what they are asked for, or refuse what is set",
    cell="""
class Inner:
    def __init__(self): self.steps = 3
class Passing:
    def __init__(self, inner): self.inner, self.tries = inner, [1]
    def __getattr__(self, name): return getattr(self.inner, name)
class Watched(Passing):
    def __getattribute__(self, name):
        seen = object.__getattribute__(self, "__dict__")
        seen["looks"] = seen.get("looks", 0) + 1
        return object.__getattribute__(self, name)
class Closed:
    __slots__ = ("kept", "_other", "unset")
    def __init__(self):
        object.__setattr__(self, "kept", [self]); object.__setattr__(self, "_other", 2)
    def __setattr__(self, name, value): raise TypeError("closed")
    def __getattr__(self, name): return getattr(self._other, name)
class Many(list):
    def __getattr__(self, name): return [getattr(one, name) for one in self]
class Open(dict):
    __getattr__ = dict.__getitem__
    __setattr__ = dict.__setitem__
class Same(dict):
    def __init__(self, **more): super().__init__(**more); self.__dict__ = self
passing, closed, many, opened, same = Passing(Passing(Inner())), Closed(), Many([1j]), Open(a=[1]), Same(b=2)
watched = Watched(Inner())
many.note = opened.note = same.note = passing.tries
looks = object.__getattribute__(watched, "__dict__").get("looks")
""",
    then="""
assert passing.steps == 3 and passing.tries is many.note is opened["note"] is same["note"]
assert closed.kept == [closed] and closed.real == 2 and many == [1j] and many.real == [0.0]
same.later = opened.later = 5
assert same == dict(b=2, note=[1], later=5) and "later" in opened and not hasattr(closed, "__dict__")
assert object.__getattribute__(watched, "__dict__").get("looks") == looks and watched.steps == 3
try: closed.kept = 1
except TypeError: pass
else: assert False
""",
)
case(
    "objects hashed by their attributes, as keys of what they hold themselves",
    before="import abc, collections, dataclasses, enum, fractions, numpy\nPlace = collections.namedtuple('Place', 'x y')",
    cell="""
class Colour(enum.Enum):
    RED = 1
class Slotted:
    __slots__ = ("key", "near")
    def __init__(self, key): self.key, self.near = key, {}
    def __hash__(self): return hash(self.key)
    def __eq__(self, other): return self.key == other.key
class Placed(abc.ABC):
    def __init__(self, at): self.at, self.near, self.inner = at, {}, 1
    def __hash__(self): return hash(self.at)
    def __eq__(self, other): return self.at == other.at
    def __getattr__(self, name): return getattr(self.inner, name)
@dataclasses.dataclass(frozen=True)
class Way:
    one: Placed
    other: Placed
@dataclasses.dataclass(frozen=True, slots=True)
class Frozen:
    at: Place
    colour: Colour
    near: dict = dataclasses.field(default_factory=dict, compare=False)
def ring(nodes):
    for one, other in zip(nodes, nodes[1:] + nodes[:1]):
        one.near[other] = other.near[one] = len(one.near)
    return nodes
slotted = ring([Slotted((n, "s")) for n in range(3)])
placed = ring([Placed(frozenset([Place(n, fractions.Fraction(n))])) for n in range(3)])
frozen = ring([Frozen(Place(numpy.int64(n), 0), Colour.RED) for n in range(3)])
ways = [Way(placed[0], placed[1]), Way(placed[1], placed[2])]
for node in placed: node.near.update(dict.fromkeys(ways, "way"))
""",
    then="""
for nodes in (slotted, placed, frozen):
    for one, other in zip(nodes, nodes[1:] + nodes[:1]):
        assert other in one.near and one in other.near and any(key is other for key in one.near)
assert all(node.near[way] == "way" for node in placed for way in ways) and ways[0].one is placed[0]
assert placed[0].real == 1 and not hasattr(slotted[0], "__dict__")
""",
)
case(
    "objects hashed by lists and arrays of theirs, which refer to each other",
    before="import collections, enum, numpy",
    cell="""
class Piece(enum.Enum):
    ROOK = 1
class State:
    def __init__(self, cells): self.cells, self.next, self.seen = cells, {}, set()
    def __hash__(self): return hash(tuple(map(str, self.cells)))
    def __eq__(self, other): return list(map(str, self.cells)) == list(map(str, other.cells))
class Sealed(State):
    __slots__ = ("grid",)
    def __init__(self, grid): super().__init__([]); self.grid = grid
    def __hash__(self): return hash(self.grid.tobytes())
    def __eq__(self, other): return self.grid.tobytes() == other.grid.tobytes()
def tied(one, other):
    one.next[other] = other.next[one] = 1; one.seen |= {one, other}; other.seen |= {one, other}
    return one, other
ties = [tied(State([0, [n]]), State([1, {"a": (n, Piece.ROOK)}])) for n in range(2)]
ties.append(tied(State(collections.deque([numpy.arange(3)])), State([numpy.float32(1)])))
ties.append(tied(Sealed(numpy.arange(4)), Sealed(numpy.arange(5))))
shared = ties[0][0].cells
""",
    then="""
for one, other in ties:
    assert one.next[other] == other.next[one] == 1 and one.seen == other.seen == {one, other}
    assert next(iter(one.next)) is other and next(iter(other.next)) is one
assert shared is ties[0][0].cells
""",
)
case(
    "things that the module of a library has one of",
    before="from dataclasses import KW_ONLY, MISSING, dataclass, field, fields\nfrom unittest.mock import ANY, DEFAULT",
    cell="""
@dataclass
class Base:
    a: int
held = [MISSING, KW_ONLY, ANY, DEFAULT]
""",
    then="""
@dataclass
class Child(Base):
    b: float
assert all(one is other for one, other in zip(held, [MISSING, KW_ONLY, ANY, DEFAULT]))
assert Child(1, 2.0).b == 2.0 and fields(Base)[0].default is MISSING
""",
)
case(
    "classes of the cell come back without running what ran when they were made",
    before="import abc",
    cell="""
made = []
class Base:
    kinds = {}
    def __init_subclass__(cls, /, key, **more):
        super().__init_subclass__(**more); Base.kinds[key] = cls; made.append(key)
class Leaf(Base, key="leaf"): pass
class Part:
    def __set_name__(self, owner, name): made.append(name); self.name = name
class Ruled(abc.ABCMeta):
    def __prepare__(name, bases, **more): return {"order": []}
    def __new__(meta, name, bases, body, *, table):
        made.append(table); made_one = super().__new__(meta, name, bases, body)
        made_one.table = table; return made_one
    def __init__(cls, name, bases, body, *, table): super().__init__(name, bases, body); cls.ready = True
    def __setattr__(cls, name, value):
        if name in vars(cls): raise AttributeError("set once")
        super().__setattr__(name, value)
class Rows(metaclass=Ruled, table="rows"):
    part = Part()
class Few(Rows, table="few"): pass
Rows.register(int)
class Alone(type):
    one = {}
    def __call__(cls):
        if cls not in Alone.one: Alone.one[cls] = super().__call__()
        return Alone.one[cls]
class Settings(metaclass=Alone): pass
settings, before = Settings(), list(made)
""",
    then="""
assert made == before == ["leaf", "rows", "part", "few"] and Base.kinds == {"leaf": Leaf}
assert Few.table == "few" and Rows.part.name == "part" and isinstance(3, Rows) and Settings() is settings
class Later(Leaf, key="later"): pass
class More(Rows, table="more"): pass
assert made[4:] == ["later", "more"] and Base.kinds["later"] is Later and More.ready
try: Few.table = 1
except AttributeError: pass
else: assert False
""",
)
case(
    "classes of odd layouts and origins",
    before="import abc, collections, dataclasses, typing\nT = typing.TypeVar('T')",
    cell="""
class Slots:
    __slots__ = ("a", "__hidden", "__weakref__")
    class Inner: pass
    def __init__(self): self.a, self.__hidden = 1, 2
    def hidden(self): return self.__hidden
class Letter:
    __slots__ = "x"
class Used:
    __slots__ = iter(("u", "v"))
class General(typing.Generic[T]):
    def __init_subclass__(cls, **more): super().__init_subclass__(**more)
class Special(General[int]): pass
class Step(typing.NamedTuple):
    n: int
    text: str = "t"
class Typed(typing.TypedDict):
    a: int
@typing.runtime_checkable
class Speaks(typing.Protocol):
    def say(self) -> int: ...
class Speaker(Speaks):
    def say(self): return 3
@dataclasses.dataclass(slots=True)
class Small:
    a: int
    b: list = dataclasses.field(default_factory=list)
Pair = collections.namedtuple("Pair", "p q")
slots, small = Slots(), Small(1)
""",
    then="""
assert slots.a == 1 and slots.hidden() == 2 and Slots().hidden() == 2 and Slots.Inner.__qualname__ == "Slots.Inner"
assert not any(hasattr(one, "__dict__") for one in (slots, Letter(), Used(), small, Step(1), Pair(1, 2)))
Used().v = 1
assert General[int] == Special.__orig_bases__[0] and Step(1) == (1, "t") and Typed.__required_keys__ == {"a"}
assert isinstance(Speaker(), Speaks) and dataclasses.replace(small, a=9) == Small(9) and Pair(1, 2)._replace(p=3).p == 3
""",
)
case(
    "what the cell changed in classes that were there before",
    before="""
import enum
class Net:
    scale, gone = 1, 2
    def forward(self, x): return x
    def away(self): pass
    @property
    def p(self): return 1
class Rule(type):
    def __setattr__(cls, name, value): raise AttributeError("not here")
class Ruled(metaclass=Rule):
    def f(self): return 1
class Kind(enum.Enum):
    A = 1
    B = 2
    def __init__(self, number): self.count, self.seen = 0, []
class Counted:
    def __get__(self, thing, kind): return self
class Holder:
    counted = Counted()
""",
    cell="""
first = Net.forward
def doubled(self, x): return first(self, x) * 2 + self.scale
Net.forward = doubled
Net.extra = lambda self: 7
Net.p = property(lambda self: 5)
Net.fixed, Net.of_class = staticmethod(lambda: 3), classmethod(lambda cls: cls.scale)
Net.__len__ = lambda self: 4
del Net.gone, Net.away
type.__setattr__(Ruled, "f", lambda self: 2)
Kind.A.count += 3; Kind.B.seen.append(Kind.A); Kind.C = Kind.B; Kind.word = lambda self: self.name.lower()
Holder.counted.times = 8
net, kinds, ruled, holder = Net(), [Kind.A], Ruled(), Holder()
""",
    then="""
assert (net.forward(4), net.extra(), net.p, net.fixed(), net.of_class(), len(net)) == (9, 7, 5, 3, 1, 4)
assert not hasattr(Net, "gone") and not hasattr(Net, "away") and Net.forward is doubled and ruled.f() == 2
assert Kind.A.count == 3 and Kind.B.seen == [Kind.A] and Kind.B.count == 0 and Kind.C is Kind.B and kinds[0].word() == "a"
assert holder.counted.times == 8
""",
)
case(
    "instances of classes built on Python's containers come back without their __init__ and their methods",
    before="import collections, random, types\nfrom collections import Counter, OrderedDict, defaultdict, deque",
    cell="""
class Replay(deque):
    def __init__(self, capacity): super().__init__(maxlen=capacity); self.capacity = capacity
    def append(self, item): self.seen = self.capacity; super().append(item)
class Recent(OrderedDict):
    def __init__(self, capacity): super().__init__(); self.capacity = capacity
    def __getitem__(self, key): self.move_to_end(key); return super().__getitem__(key)
    def __setitem__(self, key, value):
        super().__setitem__(key, value)
        if len(self) > self.capacity: self.popitem(last=False)
class Groups(defaultdict):
    def __init__(self, kind): super().__init__(self.made); self.kind = kind
    def made(self): return [self.kind]
class Registry(dict):
    def __init__(self, name): self.name = name
    def __setitem__(self, key, value): super().__setitem__(f"{self.name}.{key}", value)
    def items(self): return iter(())
class Votes(Counter):
    def __init__(self, name): super().__init__(); self.name = name
class Tags(set):
    __slots__ = ("name",)
    def __init__(self, name): super().__init__(); self.name = name
class Log(list):
    def __init__(self, limit): self.limit = limit
    def append(self, item): super().append((self.limit, item))
    def __iter__(self): return iter(["nothing"])
class Raw(bytearray):
    def __init__(self, size): super().__init__(size)
class Dice(random.Random):
    def __init__(self, sides, *, seed): super().__init__(seed); self.sides = sides
    def __new__(cls, sides, *, seed): return super().__new__(cls, seed)
class Settings(types.SimpleNamespace):
    def __init__(self, rate, steps): super().__init__(rate=rate, steps=steps)
replay, recent, groups, registry = Replay(2), Recent(2), Groups("g"), Registry("r")
votes, tags, log, raw, dice, settings = Votes("v"), Tags("t"), Log(3), Raw(4), Dice(6, seed=1), Settings(0.1, 5)
for number in range(3): replay.append(number); recent[number] = number; log.append(number)
recent[1]; replay.append(replay); log.append(log); groups["a"].append(groups); registry["me"] = registry
settings.me = settings
votes.update("aab"); tags.add(("t", 1)); raw[1] = 7; dice.gauss(0, 1)
rolls = random.Random(); rolls.setstate(dice.getstate()); expected = [rolls.gauss(0, 1), rolls.random()]
""",
    then="""
assert replay.maxlen == replay.capacity == 2 and list(replay)[0] == 2 and replay[1] is replay
assert list(recent.items()) == [(2, 2), (1, 1)] and recent.capacity == 2
assert groups["a"][0] == "g" and groups["a"][1] is groups and groups["b"] == ["g"] and groups.default_factory.__self__ is groups
assert list(dict.items(registry)) == [("r.me", registry)] and registry.name == "r"
assert votes == {"a": 2, "b": 1} and votes.name == "v" and tags == {("t", 1)} and tags.name == "t"
assert log[2] == (3, 2) and log[3][1] is log and len(log) == 4 and log.limit == 3 and raw == bytes([0, 7, 0, 0])
assert [dice.gauss(0, 1), dice.random()] == expected and dice.sides == 6 and type(dice) is Dice
assert (settings.rate, settings.steps) == (0.1, 5) and settings.me is settings
replay.append(4); recent[5] = 5
assert list(replay)[1:] == [4] and list(recent) == [1, 5]
""",
)
case(
    "instances come back without a __new__ that takes arguments, and the only one of its class stays that",
    before="""
class Alone:
    one = None
    def __new__(cls, *ignored):
        if cls.one is None: cls.one = super().__new__(cls)
        return cls.one
""",
    cell="""
class Known:
    all = {}
    def __new__(cls, name):
        if name not in cls.all: cls.all[name] = super().__new__(cls)
        return cls.all[name]
    def __init__(self, name): self.name = name
class Hashed(Known):
    __slots__ = ("near",)
    def __new__(cls, name, *, tag): made = super().__new__(cls, name); made.near = {}; return made
    def __init__(self, name, *, tag): self.name, self.tag = name, tag
    def __hash__(self): return hash(self.name)
    def __eq__(self, other): return self.name == other.name
known, hashed, alone = Known("a"), Hashed("b", tag=[1]), Alone(1)
known.me = known; hashed.near[hashed] = known; alone.seen = 3
""",
    then="""
assert known.me is known is Known("a") and known.name == "a" and Known.all == {"a": known, "b": hashed}
assert hashed.near[hashed] is known and hashed.tag == [1] and Hashed("b", tag=2) is hashed
assert Alone() is alone is Alone.one and alone.seen == 3
""",
)
case(
    "instances of classes built on Python's values come back without their __new__",
    before="import collections, datetime, decimal, fractions, typing\nT = typing.TypeVar('T')",
    cell="""
class Shape(tuple):
    def __new__(cls, *sides): made = super().__new__(cls, sides); made.note = []; return made
class Box(collections.namedtuple("Box", "w h")):
    def __new__(cls, w, h=1): return super().__new__(cls, w * 2, h)
class Corner(Box): pass
class Plain(typing.NamedTuple):
    a: int
    def twice(self): return self.a * 2
class Both(frozenset, typing.Generic[T]):
    def __new__(cls, one, other): return super().__new__(cls, (one, other))
class Word(str):
    def __new__(cls, text, tag): made = super().__new__(cls, text); made.tag = tag; return made
    def __str__(self): return "other"
class Code(int):
    def __new__(cls, high, low): return super().__new__(cls, high * 16 + low)
class Angle(float):
    def __new__(cls, degrees, *, turns): return super().__new__(cls, degrees + 360 * turns)
class Day(datetime.date):
    def __new__(cls, text): return super().__new__(cls, *map(int, text.split("-")))
class Moment(datetime.datetime):
    def __new__(cls, hour): return super().__new__(cls, 2020, 1, 1, hour, fold=1, tzinfo=datetime.timezone.utc)
class Money(decimal.Decimal):
    def __new__(cls, amount, currency): made = super().__new__(cls, amount); made.currency = currency; return made
class Share(fractions.Fraction):
    def __new__(cls, part, of, *, name): made = super().__new__(cls, part, of); made.name = name; return made
    def __str__(self): return "a share"
class Marked(bytes):
    def __new__(cls, text): return super().__new__(cls, text.encode())
class Way(tuple):
    def __new__(cls, one, other): return super().__new__(cls, (one, other))
    def __getnewargs__(self): return 1, 5
shape, box, corner, both, word, code = Shape(2, 3), Box(4), Corner(1, 2), Both(1, 2), Word("x", ["t"]), Code(1, 2)
angle, day, moment, money, share = Angle(10, turns=1), Day("2020-05-06"), Moment(3), Money("1.10", "EUR"), Share(1, 3, name="s")
marked, way, plain = Marked("m"), Way(1, 2), Plain(3)
shape.note.append(shape); word.tag.append({word: 1}); kept = [Shape([])]; kept[0][0].append(kept[0])
""",
    then="""
assert shape == (2, 3) and shape.note == [shape] and shape.note[0] is shape and kept[0][0][0] is kept[0]
assert type(box) is Box and box == (8, 1) and type(corner) is Corner and corner == (2, 2) and plain.twice() == 6
assert both == {1, 2} and word == "x" and word.tag == ["t", {"x": 1}] and code == 18 and angle == 370.0
assert day == datetime.date(2020, 5, 6) and (moment.hour, moment.fold, moment.tzinfo) == (3, 1, datetime.timezone.utc)
assert money == decimal.Decimal("1.10") and money.currency == "EUR" and share == fractions.Fraction(1, 3) and share.name == "s"
assert marked == b"m" and way == (1, 5)
assert [type(one) for one in (shape, both, day, moment, money, share)] == [Shape, Both, Day, Moment, Money, Share]
""",
)
case(
    "keys whose hash asks a constant, a function, a table and a class of the cell",
    cell="""
MOD, SALT = 97, {"a": 3}
def norm(text): return text.lower() + SUFFIX
SUFFIX = "!"
class Mixer:
    @staticmethod
    def mix(value): return value * SALT["a"] % MOD
class Key:
    def __init__(self, value): self.value = value
    def __hash__(self): return Mixer.mix(hash(norm(self.value)))
    def __eq__(self, other): return norm(self.value) == norm(other.value)
table, met = {Key(text): n for n, text in enumerate("abc")}, {Key("x"), Key("X"), Key("y")}
first = next(iter(table))
""",
    then="""
assert table[Key("A")] == 0 and first in table and len(met) == 2 and Key("Y") in met and Key("z") not in met
MOD = 5; SALT["a"] = 4
assert hash(first) == hash(norm("a")) * 4 % 5
""",
)
case(
    "flags without a name, as a class remembers them and members lead to them",
    before="import enum",
    cell="""
class Perm(enum.Flag):
    R = 1; W = 2; X = 4; RW = R | W
    @classmethod
    def _missing_(cls, value):
        asked.append(value)
        return cls[value.upper()] if isinstance(value, str) else super()._missing_(value)
class Bits(enum.IntFlag, boundary=enum.KEEP):
    A = 1; B = 8
asked = []
some = Perm("r") | Perm.X
rest, bits = some & ~Perm.R, Bits(21) ^ ~Bits.A
other = ~some
some.note = ["mine"]
order, met = [(value, member._name_) for value, member in Perm._value2member_map_.items()], list(asked)
""",
    then="""
assert [(value, member._name_) for value, member in Perm._value2member_map_.items()] == order and asked == met
assert some is Perm.R | Perm.X and rest is Perm.X and other is ~some is Perm.W and some.note == ["mine"] and ~~some is some
assert bits is Bits(21) ^ ~Bits.A and type(bits) is Bits and Perm(6) is ~Perm.R and repr(some) == "<Perm.R|X: 5>"
assert Perm.RW._inverted_ is None or Perm.RW._inverted_ is ~Perm.RW
""",
)
case(
    "type variables, parameters of functions and new types, by the module and names that they had",
    before="import typing\nEarlier = typing.TypeVar('Earlier')",
    cell="""
T, B = typing.TypeVar("T"), typing.TypeVar("B", bound=int, covariant=True)
C, P, U = typing.TypeVar("C", int, str), typing.ParamSpec("P"), typing.NewType("U", int)
class Box(typing.Generic[T, Earlier]):
    def get(self) -> T: ...
box, user, same = Box[int, str](), U(3), [T, U]
""",
    then="""
assert {one.__module__ for one in (T, B, C, P, U)} == {"__main__"} and Box.__parameters__ == (T, Earlier)
assert B.__bound__ is int and B.__covariant__ and C.__constraints__ == (int, str) and same[0] is T and same[1] is U
assert U.__supertype__ is int and repr(U).endswith("U") and Box[int, str] == type(box)[int, str]
""",
)
case(
    "what classes say of their own reduction, by functions of the cell that ask its names",
    cell="""
RATE, made = 3, []
def make(value): return Told(note(value) - RATE)
def note(value): return value + RATE
class Told:
    def __init__(self, value): self.value = value
    def __reduce__(self): return make, (self.value,)
class Set:
    def __init__(self): self.value = 1
    def __getstate__(self): return {"value": self.value}
    def __setstate__(self, state): self.value, self.rate = note(state["value"]) - RATE, RATE
class New:
    def __new__(cls, value=0):
        one = super().__new__(cls)
        one.rate = note(value)
        return one
    def __getnewargs__(self): return (self.rate - RATE,)
told, kept, new = Told(7), Set(), New(4)
""",
    then="""
assert type(told) is Told and told.value == 7 and kept.value == 1 and kept.rate == RATE == 3
assert new.rate == 7 and New(1).rate == 4 and make(2).value == 2
""",
)
