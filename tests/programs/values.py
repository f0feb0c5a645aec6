"""Expressions of random programs: whole numbers, by way of everything that an expression can hold."""

from __future__ import annotations

from tests.programs.writing import Body, Dice

OPERATIONS = ("({} + {})", "({} - {})", "(({} * {}) % 31)", "max({}, {})", "({} ^ {})", "({} if {} % 2 else 3)", "({} or {})", "({} and {})")
DRAWS = ("random.randrange(9)", "int(rng.integers(9))", "int(np.random.randint(9))", "round(random.random() * 9)", "random.choice([1, 2, 3])")
QUOTES = '"""'
AROUND = (
    "sum([{}, {}])",
    "[{}, {}][-1]",
    "{{'k': {}, 'm': {}}}['k']",
    "({}, {})[0]",
    "int({} < {} < 9)",
    "divmod({}, 7)[1] + {}",
    "[1, 2, 3, 4][{} % 3:][{} % 1]",
    "sum((lambda *rest: rest)({}, {}))",
    "dict(k={}, m={})['m']",
)


def atom(dice: Dice, body: Body) -> str:
    kind = dice.upto(9)
    if kind <= 4 or not body.lists:
        return dice.pick(body.ints)
    if kind <= 6:
        return str(dice.upto(6))
    if kind == 7:
        return dice.pick(DRAWS)
    if kind == 8:
        return f"len({dice.pick(body.lists)})"
    return f"sum({dice.pick(body.lists)}[-2:])"


def call(dice: Dice, body: Body, depth: int) -> str | None:
    """A call of something of the notebook, or None where nothing can be afforded."""
    open_ones = [one for one in body.calls if body.affords(one.steps)]
    if not open_ones:
        return None
    chosen = dice.pick(open_ones)
    body.spend(chosen.steps)
    return chosen.text.format(*(value(dice, body, depth - 1) for _ in range(chosen.arity)))


def value(dice: Dice, body: Body, depth: int = 2) -> str:
    """An expression that gives a whole number."""
    if depth <= 0:
        return atom(dice, body)
    kind = dice.upto(15)
    if kind <= 3:
        return atom(dice, body)
    if kind <= 8:
        return call(dice, body, depth) or atom(dice, body)
    if kind <= 11:
        return dice.pick(OPERATIONS).format(value(dice, body, depth - 1), value(dice, body, depth - 1))
    if kind <= 13:
        return _around(dice, value(dice, body, depth - 1), value(dice, body, depth - 1))
    if kind == 14 and body.kind != "class":
        return f"({dice.pick(body.ints)} := {value(dice, body, depth - 1)} % 50)"
    return f"{dice.pick(body.lists)}[{value(dice, body, depth - 1)} % 1]" if body.lists else atom(dice, body)


def _around(dice: Dice, one: str, other: str) -> str:
    if dice.chance(15) and QUOTES not in one + other:  # before 3.12 no f-string holds one of its own quotes
        return f"len(f{QUOTES}{{({one})}}:{{({other})!r:>3}}{QUOTES})"
    return dice.pick(AROUND).format(one, other)


def test(dice: Dice, body: Body) -> str:
    """A condition."""
    one, other = value(dice, body, 1), value(dice, body, 1)
    return dice.pick(("{} > {}", "{} % 2 == {} % 2", "{} % 3 < {} % 4", "not {} % 3 or {} > 7")).format(one, other)
