"""Loops inside the notebook's own functions, methods and generators: killed at their safe points, resumed inside."""

from __future__ import annotations

import random
import time
from typing import Any

import pytest
import sklearn.model_selection  # noqa: F401  (its first import draws random numbers)

from colab_guard.cells import Execution, Scope, compile_cell, loops
from tests.cells.harness import FakeEngine, Killed, fresh_shell, killed_at, loaded, results, run
from tests.cells.proof import chosen

MOST_KILLS = 8
"""A cell has up to 40 safe points; `python -m tests.programs` kills at all kinds of them."""
SETUP = '''
import functools, random, contextlib
log = []

def earlier(n, out):
    for i in range(n):
        out.append(("earlier", i, random.random()))
    return len(out)

def timed(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        log.append("before")
        result = function(*args, **kwargs)
        log.append("after")
        return result
    return wrapper

class Base:
    def __init__(self, n):
        self.n = n
        self.seen = []

    def fit(self, scale=1):
        for i in range(self.n):
            self.seen.append(i * scale)
        return sum(self.seen)

    def describe(self, n):
        out = []
        for i in range(n + 1):
            out.append(type(self).__name__ + str(i))
        return out

class Child(Base):
    def fit(self, scale=2):
        for k in range(2):
            self.seen.append(("child", k))
            if k:
                self.total = [Base(self.n).fit(scale), super().describe(k)]
        return len(self.seen)

class Third(Base):
    def describe(self, n):
        t = []
        for k in range(2):
            t += super().describe(k)
        return t

def batches(data, size):
    for start in range(0, len(data), size):
        yield data[start:start + size]

def numbers(n):
    total = 0
    for i in range(n):
        total += i
        yield total

def echo():
    got = []
    while True:
        x = yield list(got)
        got.append(x)

@contextlib.contextmanager
def bare():
    log.append("in")
    yield
    log.append("out")

@contextlib.contextmanager
def scope(name):
    log.append("enter " + name)
    try:
        yield name
    finally:
        log.append("exit " + name)

kept = numbers(6)
next(kept)
tallied = 0

def tally(n):
    global tallied
    for i in range(n):
        tallied += i + 1
    return tallied

class Tallies:
    def run(self, n):
        for i in range(n):
            tally(2)
        return n

class Heir(Tallies):
    pass

part, table = functools.partial(tally, 3), {"tally": tally}
'''

CELLS = {
    "a function of an earlier cell": "out = []\nn = earlier(4, out)",
    "a function of this cell": "def train(n):\n    total = 0\n    for i in range(n):\n        total += i\n    return total\nresult = train(5)",
    "nested calls": "def inner(k, out):\n    for j in range(3):\n        out.append((k, j))\n    return k * 10\ndef outer(n):\n    out = []\n    total = 0\n    for k in range(n):\n        total += inner(k, out)\n        out.append(total)\n    return out\nresult = outer(3)",
    "a method": "b = Base(4)\nresult = b.fit(scale=3)",
    "super and inheritance": "c = Child(3)\nresult = c.fit()",
    "a constructor with a loop": "class Table:\n    def __init__(self, n):\n        self.rows = []\n        for i in range(n):\n            self.rows.append(i)\n        self.done = True\nt = Table(3)\nresult = (t.rows, t.done)",
    "a method on a call's value": "result = Base(3).fit(5)",
    "recursion with a loop": "def walk(depth, path, out):\n    for i in range(2):\n        out.append(path + (i,))\n        if depth:\n            walk(depth - 1, path + (i,), out)\nout = []\nwalk(2, (), out)",
    "recursion that returns": "def count(depth):\n    total = 0\n    for i in range(2):\n        total += 1\n        if depth:\n            total += count(depth - 1)\n    return total\nresult = count(2)",
    "a decorated function": "@timed\ndef train(n):\n    s = 0\n    for i in range(n):\n        s += i\n    return s\nresult = train(4)\nsaid = list(log)",
    "closures that share a variable": "def make():\n    count = 0\n    def up():\n        nonlocal count\n        for _ in range(2):\n            count += 1\n        return count\n    def look():\n        return count\n    return up, look\nup, look = make()\nresult = []\nfor i in range(3):\n    up()\n    result.append(look())",
    "a loop in the frame that owns a shared variable": "def main():\n    total = 0\n    def add(x):\n        nonlocal total\n        total += x\n    seen = []\n    for i in range(4):\n        add(i)\n        seen.append(total)\n    return seen, total\nresult = main()",
    "an inner function that loops over the outer's variable": "def main(n):\n    acc = []\n    def work(k):\n        for j in range(k):\n            acc.append((k, j))\n    for k in range(n):\n        work(k)\n    return acc\nresult = main(3)",
    "values before the call are kept": "calls = []\ndef f(x):\n    calls.append(('f', x))\n    return x\ndef g(x):\n    for i in range(x):\n        calls.append(('g', i))\n    return x\nresult = [f(1) + g(2), f(3), {'a': f(4), 'b': g(2)}, f(5) * 2 + g(2) * f(6)]",
    "a call in a test and in a for": "def steps(n):\n    out = []\n    for i in range(n):\n        out.append(i)\n    return out\nseen = []\nif steps(2):\n    seen.append('yes')\nfor x in steps(3):\n    seen.append(x)",
    "a global that only a partial's function changes": "result = []\nfor i in range(2):\n    result.append(part())",
    "a global that only a table's function changes": "result = [table['tally'](2), 1]",
    "a global that only an inherited method changes": "result = Heir().run(2)",
    "self that only super reads": "result = Third(2).describe(1)",
    "values sent into a generator below": "def outer():\n    got = yield from echo()\ne = outer()\nnext(e)\nout = []\nfor i in range(4):\n    out.append(e.send(i))\ne.close()\ndel e",
    "an annotated variable that is shared": "def work(n):\n    total: int = 0\n    other: int\n    def add(x):\n        nonlocal total\n        total += x\n    for i in range(n):\n        add(i)\n        other: int = total\n    return total, other\nresult = work(3)",
    "a handler reads what the body binds anew": "def risky(n):\n    for i in range(n):\n        if i == 1:\n            raise ValueError(i)\ndef work():\n    acc = ['before']\n    try:\n        risky(3)\n        acc = ['after']\n    except ValueError:\n        acc.append('caught')\n    return acc\nresult = work()",
    "what is read after a with that swallows": "def risky(n):\n    for i in range(n):\n        if i == 1:\n            raise ValueError(i)\ndef work():\n    acc = ['before']\n    with contextlib.suppress(ValueError):\n        risky(3)\n        acc = ['after']\n    return acc\nresult = work()",
    "values before a call in an f-string and a slice": "def g(x):\n    for i in range(x):\n        log.append(i)\n    return x\ntext = f'{random.random()}:{g(2)!r:>3}'\nnames = list(range(9))[random.randrange(3):g(2) + 4]\nlast = random.random()",
    "what the call binds anew, read before it": "total = 1\ndef f():\n    global total\n    for i in range(2):\n        total += i + 1\n    return 10\nx = total + f() * total\ny = (total, f(), total)\nz = f'{total} {f()} {total}'\ntotal += f()\ntotal += sum([f() for _ in range(2)])",
    "a walrus in a call's arguments": "def f(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return t\np = 3\np += f(*[4, (p := 6)][:1])\ndef g(p):\n    p += f(*[4, (p := 6)][:1])\n    return p + f((p := 2)) + p\nq = g(1)",
    "augmented assignments to attributes and items that the call changes": "class M:\n    def __init__(self):\n        self.t, self.d, self.__p = 0, {'k': [1]}, 0\n    def work(self, n):\n        for i in range(n):\n            self.t += i\n            self.__p += 1\n            self.d['k'] = [i]\n        return [n]\n    def run(self):\n        for k in range(2):\n            self.t += len(self.work(2))\n            self.__p += self.work(1)[0]\n            self.d['k'] += self.work(2)\n        return self.__p\nlog_before = len(log)\ndef which(m):\n    log.append('w')\n    return m\nm = M()\np = m.run()\nwhich(m).t += len(m.work(2))\nwhich(m).d[which('k')][0] += m.work(2)[0]\nout = (m.t, m.d, p, len(log))\ndel m",
    "a generator over matches": "import re\ndef words(text):\n    for m in re.finditer(r'\\w+', text):\n        yield m.group()\nout = []\nfor w in words('a b c'):\n    out.append(w)",
    "return of a call": "def low(n):\n    t = 0\n    for i in range(n):\n        t += i\n    return t\ndef high(n):\n    return low(n) + 1\nresult = high(4)",
    "while in a function": "def train():\n    step = 0\n    best = None\n    while True:\n        step += 1\n        if step == 4:\n            break\n        best = step\n    else:\n        best = 'never'\n    return step, best\nresult = train()",
    "with in a function": "def work():\n    out = []\n    with scope('a') as name:\n        for i in range(3):\n            out.append((name, i))\n    return out\nresult = work()\nsaid = list(log)",
    "try and finally in a function": "def work():\n    out = []\n    try:\n        for i in range(3):\n            out.append(i)\n            if i == 2:\n                raise ValueError('x')\n    except ValueError as error:\n        out.append(str(error))\n    finally:\n        out.append('f')\n    return out\nresult = work()",
    "what as bound, shared with a function": "def work():\n    with scope('a') as name, bare():\n        def told():\n            return name\n        out = []\n        for i in range(3):\n            out.append((told(), i))\n        out += [name for _ in range(2)]\n    return out\nresult = work()\ndef rows():\n    with scope('r') as r:\n        say = lambda: r\n        for i in range(3):\n            yield say(), i\nout = []\nfor x in rows():\n    out.append(x)\nsaid = list(log)",
    "a contextmanager without variables": "out = []\nwith bare():\n    for i in range(3):\n        out.append(i)\nsaid = list(log)",
    "a contextmanager of the notebook": "out = []\nwith scope('b') as name:\n    for i in range(3):\n        out.append((name, i))\nsaid = list(log)",
    "a loop over a generator": "out = []\nfor b in batches(list(range(7)), 2):\n    for x in b:\n        out.append(x)",
    "a generator from an earlier cell": "out = []\nfor x in kept:\n    out.append(x)",
    "a generator by hand": "g = numbers(6)\nout = []\nfor i in range(4):\n    out.append(next(g))\nrest = list(g)",
    "a generator that trains between its items": "def epochs(n):\n    w = 0\n    for e in range(n):\n        for i in range(3):\n            w += random.random()\n        yield e, round(w, 6)\nout = []\nfor e, w in epochs(3):\n    out.append((e, w))",
    "a generator that trains in a function, counted": "def train(k):\n    s = 0\n    for i in range(2):\n        s += random.random() + k\n    return s\ndef steps():\n    k = 0\n    while k < 3:\n        k += 1\n        yield train(k)\ndef main():\n    out = []\n    for n, s in enumerate(steps()):\n        out.append((n, round(s, 6)))\n    return out\nresult = main()",
    "a generator that trains, asked by another": "def epochs(n):\n    for e in range(n):\n        t = 0\n        for i in range(2):\n            t += i + random.random()\n        yield t\ndef smoothed(source):\n    a = 0\n    for t in source:\n        a = a / 2 + t\n        for _ in range(2):\n            a += 1\n        yield a\nout = []\nfor a in smoothed(epochs(2)):\n    out.append(a)",
    "a local function that is called for the last time": "def main(n):\n    out = [n]\n    def last(k):\n        for i in range(k):\n            out.append((i, random.random()))\n        return k\n    for x in [last(3)]:\n        out.append(x)\n    return out\nresult = main(3)",
    "a match": "out = []\nfor mode in ('train', ('test', 3), 'x'):\n    match mode:\n        case 'train':\n            for i in range(2):\n                out.append(random.random())\n        case (name, n) if n > 2:\n            def last():\n                for i in range(n):\n                    out.append((name, i))\n            last()\n        case _:\n            out.append('else')\ndel last, mode",
    "a match in a function": "def main(mode):\n    out = []\n    match mode:\n        case {'n': n}:\n            for i in range(n):\n                out.append(i)\n    return out, n\nresult = main({'n': 3})",
    "send": "e = echo()\nnext(e)\nout = []\nfor i in range(4):\n    out.append(e.send(i))\ne.close()\ndel e",
    "generator pipeline": "def double(source):\n    for x in source:\n        yield 2 * x\nout = []\nfor i, x in enumerate(double(numbers(5))):\n    out.append((i, x))",
    "yield from": "def chained(n):\n    yield from range(n)\n    yield from numbers(n)\n    yield 'end'\nout = []\nfor x in chained(3):\n    out.append(x)",
    "recursion by yield from": "def tree(n, path=()):\n    for i in range(2):\n        random.random()\n        if n:\n            yield from tree(n - 1, path + (i,))\n        else:\n            yield path + (i,)\nout = []\nfor leaf in tree(2):\n    out.append((leaf, random.random()))",
    "what yield from gives, in an expression": "def part(n):\n    t = 0\n    for i in range(n):\n        t += i + random.random()\n        if i % 2:\n            yield i\n    return round(t, 6)\ndef whole(n):\n    total = 0\n    for k in range(2, n):\n        total = total + k * (yield from part(k)) + len(log)\n        log.append(k)\n    return total\ndef outer():\n    with scope('o') as o:\n        try:\n            got = yield from whole(5)\n        finally:\n            log.append('f')\n        yield o, got\nout = []\nfor x in enumerate(outer()):\n    out.append(x)\nsaid = list(log)",
    "yield from a method, in a function": "class Node:\n    def __init__(self, v, *kids):\n        self.v, self.kids = v, kids\n    def __iter__(self):\n        for _ in range(2):\n            log.append(self.v)\n        yield self.v\n        for kid in self.kids:\n            yield from kid\n    def walk(self):\n        for kid in self.kids:\n            yield from kid.walk()\n            for _ in range(2):\n                log.append(-kid.v)\n        yield self.v\ndef main():\n    out = []\n    root = Node(1, Node(2, Node(3)), Node(4))\n    for v in root.walk():\n        out.append(v)\n    return out\nresult = main()\nsaid = list(log)",
    "a generator that shares variables": "def counter():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n        return n\n    while n < 5:\n        yield up()\nout = []\nfor x in counter():\n    out.append(x)",
    "a generator in a with": "def reader():\n    with scope('r') as r:\n        for i in range(3):\n            yield r, i\nout = []\nfor x in reader():\n    out.append(x)\nsaid = list(log)",
    "a generator not begun": "g = numbers(3)\nout = []\nfor i in range(3):\n    out.append(i)\nout += list(g)",
    "a callback list": "def cb(i):\n    for k in range(2):\n        log.append((i, k))\ncallbacks = [cb, cb]\nout = []\nfor i in range(2):\n    for c in callbacks:\n        c(i)\n    out.append(len(log))\nsaid = list(log)",
    "a callable object": "class Model:\n    def __init__(self):\n        self.n = 0\n    def __call__(self, x):\n        for i in range(x):\n            self.n += i\n        return self.n\nmodel = Model()\nresult = [model(3), model(2)]",
    "partial": "def work(a, b):\n    out = []\n    for i in range(a):\n        out.append(i + b)\n    return out\nhalf = functools.partial(work, 3)\nresult = half(10)",
    "static and class methods": "class Tools:\n    made = 0\n    @staticmethod\n    def run(n):\n        t = 0\n        for i in range(n):\n            t += i\n        return t\n    @classmethod\n    def make(cls, n):\n        for i in range(n):\n            cls.made += 1\n        return cls.made\nresult = [Tools.run(4), Tools.make(3)]",
    "star arguments and defaults": "def work(*args, start=0, **more):\n    out = []\n    for a in args:\n        out.append((start, a, sorted(more)))\n    return out\nresult = work(1, 2, 3, start=5, x=1)",
    "deleted variable in a function": "def work():\n    a = [1]\n    b = 2\n    for i in range(2):\n        b += i\n    del b\n    for i in range(2):\n        a.append(i)\n    try:\n        b\n    except UnboundLocalError:\n        a.append('gone')\n    return a\nresult = work()",
    "a global statement": "total = 0\ndef work(n):\n    global total\n    for i in range(n):\n        total += i\nwork(4)",
    "a main function": "def evaluate(k):\n    s = 0\n    for i in range(2):\n        s += random.random()\n    return s\ndef main():\n    history = []\n    best = -1\n    for epoch in range(3):\n        for step in range(2):\n            r = random.random()\n        score = evaluate(epoch)\n        if score > best:\n            best = score\n        history.append((epoch, round(r, 6), round(score, 6)))\n    return history\nresult = main()",
    "an awaited function": "import asyncio\nasync def work(n):\n    out = []\n    for i in range(n):\n        await asyncio.sleep(0)\n        out.append(i)\n    return out\nresult = await work(3)",
    "private names": "class P:\n    def __init__(self):\n        self.__x = 1\n    def run(self):\n        __y = 0\n        for i in range(3):\n            __y += self.__x\n            self.__x += 1\n        return __y\nresult = P().run()",
    "a comprehension beside a loop": "x = 5\ndef work():\n    ys = [x for x in range(3)]\n    for i in range(2):\n        ys.append(i)\n    return ys\nresult = work()",
    "a name only a comprehension binds": "limit = 3\ndef work():\n    ys = [limit for limit in range(2)]\n    out = []\n    for i in range(limit):\n        out.append(i)\n    return out, ys\nresult = work()",
    "unpacking and walrus": "def work(pairs):\n    out = []\n    for (a, b), *c in pairs:\n        if (n := a + b) > 2:\n            out.append((n, c))\n    return out\nresult = work([((1, 2), 3), ((0, 1), 4), ((5, 5), 6)])",
    "a function made in a loop": "fs = []\nfor k in range(2):\n    def f(n, k=k):\n        t = 0\n        for i in range(n):\n            t += k\n        return t\n    fs.append(f(3))",
    "k-fold by scikit-learn": "from sklearn.model_selection import KFold\nimport numpy as np\nX = np.arange(12).reshape(6, 2)\nout = []\nfor fold, (train, test) in enumerate(KFold(3, shuffle=True, random_state=1).split(X)):\n    for i in range(2):\n        out.append((fold, train.tolist(), test.tolist(), i))\ndel X, train, test",
    "a library's generator by hand": "import ast\nnodes = ast.walk(ast.parse('a = b + c'))\nout = []\nfor i in range(4):\n    out.append((type(next(nodes)).__name__, i))\nrest = [type(n).__name__ for n in nodes]",
    "a sweep-like loop in a function": "def main(items):\n    out = {}\n    for item in items:\n        try:\n            if item == 'bad':\n                raise RuntimeError(item)\n            out[item] = len(item)\n        except RuntimeError as e:\n            out[item] = str(e)\n    return out\nresult = main(['a', 'bad', 'ccc'])",
}


@pytest.fixture(autouse=True)
def look_at_every_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loops, "MOST_BETWEEN_LOOKS", 1)


@pytest.mark.parametrize("name", CELLS)
def test_a_cell_killed_inside_its_functions_ends_as_if_nothing_had_happened(name: str) -> None:
    check(SETUP, CELLS[name])


def check(setup: str, source: str) -> None:
    """Kill `source` at its safe points (the first, the last, some in between); every resume ends like the uninterrupted run."""
    whole = FakeEngine()
    expected_names, expected_value = run(setup, source, whole)
    expected_random = random.getstate()
    want = plain(expected_names)
    assert deepest(whole) > 0, whole.refused
    for number in chosen(whole, MOST_KILLS):
        first, names, value, second = killed_at(setup, source, number)
        assert plain(names) == want, f"killed at {first.position}"
        assert value == expected_value, f"killed at {first.position}"
        assert random.getstate() == expected_random, f"killed at {first.position}"
        again = len(whole.seen) - number - 1
        assert len(second.seen) == again, f"work was done twice or left out after {first.position}"
    assert not [reason for reason in whole.refused if "short loop" not in reason], whole.refused


def deepest(engine: FakeEngine) -> int:
    return max(position.depth for position in engine.seen)


def plain(names: dict[str, Any]) -> dict[str, Any]:
    kinds = (int, float, str, list, tuple, dict, set, type(None))
    return {k: v for k, v in results(names).items() if isinstance(v, kinds) and k not in ("callbacks", "table")}


def test_functions_that_call_modules_imported_in_their_own_cell_are_entered_as_the_shell_compiles_them() -> None:
    shell = fresh_shell()
    shell.run_cell("import random\ndef train(n):\n    out = []\n    for i in range(n):\n        out.append(random.random())\n    return out").raise_error()
    cell = compile_cell(shell, "result = train(3)")
    engine = FakeEngine()
    before = shell.user_ns["train"].__code__
    Execution(cell, Scope(shell.user_ns, cell.original), engine, time.perf_counter).run(None)  # type: ignore[arg-type]
    assert deepest(engine) == 2, engine.seen
    assert shell.user_ns["train"].__code__ is before


HANDLED = """
def fragile(n):
    for i in range(3):
        if i == 1 and n % 2:
            raise RuntimeError(n)
    return n

def careful(items):
    good, bad = [], []
    for item in items:
        for attempt in range(2):
            try:
                good.append(fragile(item))
                break
            except RuntimeError as error:
                bad.append((item, attempt, str(error)))
        else:
            good.append(None)
    return good, bad
"""


def test_what_only_a_handler_reads_is_there_after_a_resume() -> None:
    engine = FakeEngine()
    expected = results(run(HANDLED, "x = careful([0, 1])", engine)[0])["x"]
    for number in range(len(engine.seen)):
        assert results(killed_at(HANDLED, "x = careful([0, 1])", number)[1])["x"] == expected


NESTED = """
def count(tree):
    def walk(node, depth):
        total = depth
        for child in node:
            total += walk(child, depth + 1)
        return total
    return walk(tree, 0)
"""


def test_a_nested_function_that_calls_itself_is_entered_again() -> None:
    engine = FakeEngine()
    source = "x = count([[], [[], []]])"
    expected = results(run(NESTED, source, engine)[0])["x"]
    for number in range(len(engine.seen)):
        assert results(killed_at(NESTED, source, number)[1])["x"] == expected


@pytest.mark.parametrize(
    "source",
    [
        "for i in range(3):\n    globals()[f'v{i}'] = [i]\n    exec(f'w{i} = v{i} * 2')\ntotal = len(w0 + w2)",
        "import re\nfound = []\nfor m in re.finditer('a*', 'aab a'):\n    found.append(m.span())\n",
        "stream = (x * 2 for x in iter([1, 2, 3, 4]))\nfirst = next(stream)\nout = []\nfor x in stream:\n    out.append(x)\n",
        # no safe point lies between a switch that the cell sets and the block that changes it
        "import torch\nmodes = []\nif True:\n    torch.set_grad_enabled(False)\n    with torch.enable_grad(), torch.no_grad():\n"
        "        for i in range(3):\n            modes.append(torch.is_grad_enabled())\n    modes.append(torch.is_grad_enabled())\n"
        "    torch.set_grad_enabled(True)\n    with torch.set_grad_enabled(False):\n        for i in range(2):\n            pass\n"
        "    modes.append(torch.is_grad_enabled())\n",
        # the call's starred part is evaluated again, and reads what `as` has bound
        "import contextlib\nout = []\n@contextlib.contextmanager\ndef scope(x):\n    yield x\ndef inner(p, q):\n    for i in range(2):\n"
        "        out.append((p, i))\n    return p + q\nwith scope(3) as c, scope(4) as d:\n    total = inner(**{'p': c, 'q': inner(**{'p': d, 'q': c})})\ndel inner, scope\n",
        "import warnings\nfound = []\nif True:\n    before = list(warnings.filters)\n    warnings.simplefilter('error')\n"
        "    with warnings.catch_warnings():\n        warnings.simplefilter('ignore')\n        for i in range(3):\n"
        "            warnings.warn('x')\n            found.append(warnings.filters[0][0])\n    found.append(warnings.filters[0][0])\n"
        "    warnings.filters[:] = before\n    del before\n",
    ],
    ids=["names made by globals() and exec", "matches", "a generator expression", "grad modes", "what `as` bound", "warnings"],
)
def test_killed_at_its_safe_points(source: str) -> None:
    engine = FakeEngine()
    expected = {name: repr(value) for name, value in results(run("", source, engine)[0]).items() if name != "stream"}
    assert not engine.refused
    for number in range(len(engine.seen)):
        found = results(killed_at("", source, number)[1])
        assert {name: repr(value) for name, value in found.items() if name != "stream"} == expected


class KilledAtTheEnd(FakeEngine):
    """However many safe points come before: that depends on how long they take."""

    def take(self, kind: str, position: Any, capture: Any, unit: Any = None) -> bool:
        self.kill_at = len(self.seen) if kind == "cell" else None
        return super().take(kind, position, capture, unit)


def test_a_generator_of_a_finished_cell_runs_on_in_another_kernel() -> None:
    setup = """
def square(x):
    total = 0
    for step in range(x): total += x
    return total
def squares(n):
    def those(last): return sum(square(z) for z in (n, last))
    yield those(2)
    for k in range(n): yield those(k)
"""
    source = "some, all_ = squares(3), squares(2); first = next(all_)"
    first = KilledAtTheEnd()
    with pytest.raises(Killed):
        run(setup, source, first)
    assert first.captured is not None
    names, _ = run(setup, source, FakeEngine(), loaded(first.captured, first.kind))
    assert (list(names["some"]), names["first"], list(names["all_"])) == ([13, 9, 10, 13], 8, [4, 5])
