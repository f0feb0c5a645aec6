"""Dataclasses with methods that loop; `__post_init__`, `replace` and `field` with a factory."""
# depth: 3
# %% setup
import random
from dataclasses import dataclass, field, replace

random.seed(91)


@dataclass
class Walker:
    name: str
    place: float = 0.0
    trail: list[float] = field(default_factory=list)
    partner: "Walker | None" = None

    def __post_init__(self):
        self.trail.append(self.place)

    def walk(self, steps):
        for _ in range(steps):
            self.place += random.choice((-1, 1)) * random.random()
            self.trail.append(self.place)
            if self.partner is not None:
                self.partner.place -= 0.01
            tick()
        return self


@dataclass(frozen=True, order=True)
class Point:
    x: float
    y: float
# %% cell
one, two = Walker("one"), Walker("two")
one.partner, two.partner = two, one
points = []
for turn in range(10):
    for walker in (one, two):
        walker.walk(7)
        points.append(Point(round(walker.place, 6), turn))
third = replace(one, name="third")
(min(points), one.partner is two, third.trail is one.trail)
