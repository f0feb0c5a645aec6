"""Random programs as Hypothesis strategies: an earlier cell with definitions, and a guarded cell that uses them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from tests.programs import values
from tests.programs.stated import block, statement
from tests.programs.writing import Body, Call, Dice, indented

HEAD = """
import contextlib, functools, itertools, random
import numpy as np
random.seed(3)
np.random.seed(4)
rng = np.random.default_rng(5)
log, state, counter = [0], {'n': 0}, 0

def boom(x):
    for _ in range(2):
        if x % 3 == _:
            raise ValueError(f'boom {x}')
    return x

@contextlib.contextmanager
def scope(x):
    print('enter', x)
    try:
        yield x
    finally:
        print('exit', x)

def told(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        log.append(len(args))
        result = function(*args, **kwargs)
        return result + 1
    return wrapper

def repeated(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args, **kwargs):
            total = 0
            for _ in range(times):
                total += function(*args, **kwargs)
            return total
        return wrapper
    return decorate
""".strip().splitlines()

CELL_HEAD = ["a, b, c = 1, 2, 3", "xs, ys = [4, 5], [6]", "zs = xs", "dd = {0: 1, 1: 2}", "arr = np.arange(6) * 2", "view = arr[1:5:2]"]
CELL_PLACES = ("xs[{} % 1]", "dd[{} % 3 % 2]", "arr[{} % 6]", "view[{} % 2]", "state['n']")
FORMS = (
    "{f}({{0}})",
    "{f}({{0}})",
    "{f}({{0}}, {{1}})",
    "{f}({{0}}, q={{1}})",
    "{f}(*[{{0}}, {{1}}])",
    "{f}(**{{{{'p': {{0}}, 'q': {{1}}}}}})",
    "table['{f}']({{0}})",
    "(lambda z: {f}(z) + 1)({{0}})",
    "[{f}(z) for z in (1, {{0}})][-1]",
    "sum({f}(z) for z in (2, {{0}}))",
    "sorted([{{0}}, {{1}}], key={f})[0]",
    "list(map({f}, [{{0}}, {{1}}]))[-1]",
    "functools.partial({f}, {{0}})()",
    "part_{f}({{0}})",
    "functools.reduce({f}, [{{0}}, {{1}}])",
)
GENERATOR_FORMS = ("sum({f}({{0}}))", "next({f}({{0}}), 0)", "max({f}({{0}}), default=0)", "len([*{f}({{0}})])", "sum(z for z in {f}({{0}}))")
METHOD_FORMS = ("{o}.{m}({{0}})", "{o}.{m}({{0}}, {{1}})", "{o}.{m}(q={{1}}, p={{0}})", "Child({{0}}).{m}({{1}})", "Base.{m}({o}, {{0}})")


@dataclass(frozen=True)
class Program:
    """The texts of two cells: `setup` runs plainly, `cell` is guarded."""

    setup: str
    cell: str

    def __str__(self) -> str:
        return f"# an earlier cell\n{self.setup}\n# the guarded cell\n{self.cell}"


class Writer:
    """Writes one program."""

    def __init__(self, dice: Dice) -> None:
        self.dice = dice
        self.calls: list[Call] = []
        self.generators: list[Call] = []
        self.methods: list[Call] = []

    def program(self) -> Program:
        dice = self.dice
        setup = list(HEAD)
        for number in range(1 + dice.upto(2)):
            setup += self._function(f"f{number}")
        for number in range(dice.upto(2)):
            setup += self._generator(f"g{number}")
        has_class = dice.chance(60)
        if has_class:
            setup += self._classes()
        setup += self._tables(setup)
        body = Body("cell", ["a", "b", "c"], ["xs", "ys", "zs"], [*self.calls, *self.methods], places=list(CELL_PLACES))
        lines = list(CELL_HEAD)
        if has_class:
            lines += ["box = Child(3)", "other = box"]
            body.objects = ["box"]
            body.places += ["box.value", "box.items[{} % 1]"]
        if self.generators:
            live = dice.pick(self.generators)
            lines.append(f"live = {live.text.format('3')}")
            body.generators = [("live", live.steps)]
        if dice.chance(30):
            lines += self._function("local")
        for _ in range(2 + dice.upto(5)):
            lines += statement(dice, body)
        lines.append(values.value(dice, body))
        return Program("\n".join(setup) + "\n", "\n".join(lines) + "\n")

    def _body(self, kind: str, ints: list[str], lists: list[str], calls: list[Call] | None = None) -> Body:
        available = self.calls if calls is None else calls
        body = Body(kind, ints, lists, list(available), places=["acc[{} % 1]", "state['n']"])
        body.generators = [(one.text.format("2"), one.steps) for one in self.generators]
        body.times = 6  # it may be called from a loop in a loop
        return body

    def _function(self, name: str) -> list[str]:
        dice = self.dice
        body = self._body("function", ["p", "q", "t"], ["acc"])
        head = ["t, acc = p % 5, [q]"]
        shared = dice.upto(9)
        if shared <= 1:
            head = ["global counter", *head, "counter += 1"]
            body.ints.append("counter")
        elif shared <= 3:
            head += ["u = 1", "def up(x=1):", "    nonlocal u", "    for _ in range(2):", "        u += x", "    return u"]
            body.calls.append(Call("up({0} % 9)", 1, 2))
            body.calls.append(Call("up()", 0, 2))
            body.ints.append("u")
        elif shared == 4:
            # recursion, with an end
            head += ["if q > 0 and p > 0:", "    for i in range(2):", f"        acc.append({name}(p - 2 if p < 4 else 1, q=0))"]
            body.spend(4)
        inside = block(dice, body, 4)
        end = f"return (t + sum(acc[-3:]) + {values.value(dice, body, 1)}) % 100"
        decorated = {0: ["@told"], 1: ["@repeated(2)"], 2: ["@told", "@repeated(2)"]}.get(dice.upto(9), [])
        steps = (body.steps // body.times + 1) * (2 if "@repeated(2)" in decorated else 1)
        # another order of parameters, or names that only keywords reach, would change nothing here
        lines = [*decorated, f"def {name}(p, q=1):", *indented([*head, *inside, end])]
        form = [dice.pick(FORMS) for _ in range(3)]
        for one in form:
            text = one.format(f=name)
            self.calls.append(Call(text, 1 + ("{1}" in text), 2 * steps if "z" in one or "sorted" in one or "map" in one else steps))
        return lines

    def _generator(self, name: str) -> list[str]:
        dice = self.dice
        body = self._body("generator", ["p", "t"], ["acc"])
        inside = block(dice, body, 4)
        lines = [f"def {name}(p):", *indented(["t, acc = 0, [p]", *inside, f"yield {values.value(dice, body, 1)}"])]
        if dice.chance(40):
            lines += indented(["for t in range(2):", f"    yield t + {values.value(dice, body, 1)}", "return t"])
        steps = body.steps // body.times + 2
        self.generators.append(Call(name + "({0})", 1, steps))
        self.calls.append(Call(dice.pick(GENERATOR_FORMS).format(f=name), 1, steps))
        return lines

    def _classes(self) -> list[str]:
        dice = self.dice
        lines = ["class Base:", "    made = 0", "    def __init__(self, n):", "        self.value, self.items = n, [n]"]
        lines += ["        for i in range(2):", "            self.items.append(i)", "            type(self).made += 1"]
        own: list[Call] = []
        for number in range(1 + dice.upto(1)):
            method = f"m{number}"
            body = self._method_body([*self.calls, *own])
            inside = block(dice, body, 3)
            lines += [f"    def {method}(self, p, q=1):", *indented(indented(["t, acc = p % 5, self.items", *inside, f"return t + {values.value(dice, body, 1)}"]))]
            steps = body.steps // body.times + 3
            own.append(Call(f"self.{method}({{0}})", 1, steps))
            text = dice.pick(METHOD_FORMS).format(o="box", m=method)
            self.methods.append(Call(text, 1 + ("{1}" in text), steps))
        lines += ["    @property", "    def total(self):", "        t = 0", "        for x in self.items[:3]:", "            t += x", "        return t"]
        lines += ["    @staticmethod", "    def plus(x):", "        for _ in range(2):", "            x += 1", "        return x"]
        lines += ["    @classmethod", "    def make(cls, x):", "        for _ in range(x % 3):", "            cls.made += 1", "        return cls.made"]
        lines += ["    def __call__(self, x):", "        for _ in range(2):", "            self.value += x % 7", "        return self.value"]
        lines += ["    def __iter__(self):", "        for x in list(self.items[:2]):", "            yield x"]
        lines += ["    def __add__(self, x):", "        for _ in range(2):", "            x += 1", "        return x"]
        lines += ["    def __enter__(self):", "        print('in')", "        return self.value"]
        lines += ["    def __exit__(self, *error):", "        self.value += 1", "        print('out', error[0])"]
        self.methods += [Call("box.total", 0, 3), Call("Base.plus({0})", 1, 2), Call("Child.make({0})", 1, 2), Call("box({0})", 1, 2), Call("(box + {0})", 1, 2)]
        body = self._method_body(self.calls)  # its own methods may lead back to it
        inside = block(dice, body, 2)
        lines += ["class Child(Base):", "    def m0(self, p, q=2):"]
        lines += indented(indented(["t, acc = p % 5, [q]", *inside, "for k in range(2):", "    t += super().m0(k)", "return t"]))
        return lines

    def _method_body(self, calls: list[Call]) -> Body:
        body = self._body("method", ["p", "q", "t"], ["acc"], calls)
        body.places += ["self.value", "self.items[{} % 1]"]
        return body

    def _tables(self, setup: list[str]) -> list[str]:
        names = [line.split("(")[0].removeprefix("def ") for line in setup if line.startswith("def f")]
        lines = ["table = {" + ", ".join(f"'{name}': {name}" for name in names) + "}"]
        return lines + [f"part_{name} = functools.partial({name}, q=2)" for name in names]


@st.composite
def programs(draw: Callable[[Any], Any]) -> Program:
    """Random programs that end."""
    return Writer(Dice(draw)).program()
