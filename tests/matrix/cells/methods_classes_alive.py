"""Classes that act: subclass hooks, a metaclass, wrappers by `__getattr__`, slotted keys of each other, patched methods."""
# %% setup
import enum
import random

random.seed(83)


class Player:
    rounds = 0

    def move(self):
        return 1


class Phase(enum.Enum):
    OPEN = 1
    LATE = 2

    def __init__(self, number):
        self.visits = []


# %% cell
class Plugin:
    known = {}

    def __init_subclass__(cls, /, label, **more):
        super().__init_subclass__(**more)
        Plugin.known[label] = cls.__name__


class Double(Plugin, label="double"):
    def on(self, x):
        return 2 * x


class Counted(type):
    names = []

    def __new__(meta, name, bases, body):
        meta.names.append(name)
        return super().__new__(meta, name, bases, body)


class Table(metaclass=Counted):
    pass


class Rows(Table):
    pass


class Town:
    __slots__ = ("name", "roads")

    def __init__(self, name):
        self.name, self.roads = name, {}

    def __hash__(self):
        return hash(self.name)

    def __eq__(self, other):
        return self.name == other.name


class Recorder:
    def __init__(self, player):
        self.player, self.log = player, []

    def __getattr__(self, name):
        return getattr(self.player, name)


def bold_move(player):
    player.rounds += 1
    return random.randrange(6)


Player.move = bold_move
towns = [Town(name) for name in ("a", "b", "c")]
recorder, double = Recorder(Player()), Double()
for turn in range(300):
    one, other = random.sample(towns, 2)
    one.roads[other] = other.roads[one] = double.on(recorder.move())
    recorder.log.append(one.roads[other])
    (Phase.OPEN if turn < 100 else Phase.LATE).visits.append(turn)
    tick()


# %% after
class Late(Rows):
    pass


summary = (
    dict(Plugin.known),
    Counted.names,
    recorder.rounds,
    sum(recorder.log),
    len(Phase.LATE.visits),
    [sum(town.roads.values()) for town in towns],
)
