"""An enum state machine with match on dataclasses, singledispatch, a metaclass registry, properties with validators (descriptors), contextvars, weakref callbacks."""
# %% setup
import contextvars, enum, random, weakref
from dataclasses import dataclass
from functools import singledispatch, lru_cache, cache
random.seed(21)
level = contextvars.ContextVar("level", default=0)
class Positive:
    def __set_name__(self, owner, name): self.name = "_" + name
    def __get__(self, obj, owner=None): return self if obj is None else getattr(obj, self.name)
    def __set__(self, obj, v):
        if v < 0: raise ValueError(f"{self.name[1:]} must be >= 0, got {v}")
        setattr(obj, self.name, v)
class Meta(type):
    registry = {}
    def __call__(cls, *a, **k):
        if cls not in cls._instances: cls._instances[cls] = super().__call__(*a, **k)
        return cls._instances[cls]
    def __init__(cls, name, bases, ns):
        super().__init__(name, bases, ns); cls._instances = {}; Meta.registry[name] = cls
@dataclass
class Coin: value: int
@dataclass
class Push: item: str; force: float = 1.0
# %% cell
class State(enum.Enum):
    IDLE = "idle"; PAID = "paid"; OUT = "out"
    def next(self, ev):
        match (self, ev):
            case (State.IDLE, Coin(value=v)) if v > 1: return State.PAID
            case (State.PAID, Push(item=str() as it, force=fo)) if fo > 0.3: return State.OUT
            case (State.OUT, _): return State.IDLE
            case _: return self
class Machine(metaclass=Meta):
    stock = Positive(); cash = Positive()
    def __init__(self): self.stock, self.cash, self.state, self.listeners = 30, 0, State.IDLE, weakref.WeakSet()
class Listener:
    def __init__(self, name): self.name, self.seen = name, []
@singledispatch
def handle(ev): return 0
@handle.register
def _(ev: Coin): return ev.value
@handle.register(Push)
def _push(ev): return -int(ev.force > .5)
@cache
def fee(n): return n if n < 2 else fee(n - 1) + fee(n - 2)
ears = [Listener('a'), Listener('b')]
m = Machine()
m.listeners.update(ears)
errors = []
for step in range(120):
    ev = random.choice([Coin(random.randint(0, 3)), Push("cola", random.random()), "noise"])
    token = level.set(level.get() + 1)
    m.cash += abs(handle(ev))
    m.state = m.state.next(ev)
    if m.state is State.OUT:
        try:
            m.stock -= random.choice([1, 2, 40])
        except ValueError as e:
            errors.append(e)
    for l in sorted(m.listeners, key=ears.index): l.seen.append(m.state)
    if step % 3: level.reset(token)
    fee(step)
    assert Machine() is m
    tick()
m.cash, m.stock, m.state.value, len(errors), level.get(), fee.cache_info().currsize, handle.dispatch(Coin)(Coin(4)), sorted(Meta.registry)
# %% after
again = Machine() is m and State("paid") is State.PAID and handle(Push("x", .9)) == -1
lvl = level.get()
del handle, _push
