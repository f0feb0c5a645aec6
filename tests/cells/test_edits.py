"""Two sources of one cell: what counts as a change, how it is told, and loops whose range has grown."""

from __future__ import annotations

import pytest

from colab_guard.cells import Recipes, compare, input_names
from colab_guard.cells.edits import extend, extend_range

CELL = """
def f(x):
    '''Words.'''
    return x + 1
total = 0
for epoch in range(10):
    for i in range(3):
        total += f(i)  # add
print(f"{total}")
"""


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("# add", "# other words"),
        ("'''Words.'''", "'''Other words.'''"),
        ("    '''Words.'''\n", ""),
        ("total = 0\n", "\n\n# a comment\ntotal   =   0\n"),
        ('print(f"{total}")', "print(f'{total}')"),
        ("f(i)", "(f(i))"),
    ],
)
def test_what_does_not_count(before: str, after: str) -> None:
    assert compare(CELL, CELL.replace(before, after)).same


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ("x + 1", "x + 2", "line 4: `return x + 1` became `return x + 2`"),
        ("total = 0", "total = 1", "line 5: `total = 0` became `total = 1`"),
        ('print(f"{total}")\n', "", "line 9 is gone: `print(f'{total}')`"),
        ("total = 0\n", "total = 0\nextra = 1\n", "line 6 is new: `extra = 1`"),
        ("print(f", "    print(f", "line 9: `print(f'{total}')` was indented anew"),
    ],
)
def test_a_change_is_told_by_its_lines(before: str, after: str, told: str) -> None:
    edit = compare(CELL, CELL.replace(before, after))
    assert not edit.same and not edit.only_grown
    assert told in edit.told


def test_many_changes_are_told_by_the_first_three() -> None:
    edit = compare("\n" + "\n".join(f"a{i} = {i}" for i in range(9)), "\n" + "\n".join(f"a{i} = {i + 1}" for i in range(9)))
    assert edit.told.count("became") == 3 and edit.told.endswith("and 6 more")


def test_a_change_inside_a_long_text_is_a_change() -> None:
    assert not compare('\nx = """\na\nb\n"""', '\nx = """\na\nc\n"""').same


@pytest.mark.parametrize("loop", ["range({n})", "range(2, {n})", "enumerate(range({n}))", "tqdm(range({n}))", "trange({n}, desc='x')"])
def test_a_longer_range_of_constants_is_a_growth(loop: str) -> None:
    source = "\nfor i in {loop}:\n    pass\n"
    edit = compare(source.format(loop=loop.format(n=10)), source.format(loop=loop.format(n=20)))
    assert edit.only_grown
    (change,) = edit.ranges
    assert change.line == change.committed_line == 2 and change.alone


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("range(10)", "range(5)"),
        ("range(10)", "range(1, 20)"),
        ("range(10)", "range(0, 20, 2)"),
        ("range(10)", "range(n)"),
        ("range(10)", "[1, 2, 3]"),
        ("total = 0\nfor epoch in range(10)", "total = 1\nfor epoch in range(20)"),
    ],
)
def test_other_changes_of_a_range_are_no_growth(before: str, after: str) -> None:
    edit = compare(CELL, CELL.replace(before, after))
    assert not edit.same and not edit.only_grown


def test_a_loop_inside_another_is_not_alone() -> None:
    (change,) = compare(CELL, CELL.replace("range(3)", "range(4)")).ranges
    assert change.grown and not change.alone


@pytest.mark.parametrize("done", [0, 1, 5, 10])
@pytest.mark.parametrize(("old", "new"), [(range(10), range(15)), (range(20, 0, -2), range(20, -10, -2)), (range(2**70, 2**70 + 10), range(2**70, 2**70 + 12))])
def test_an_iterator_is_made_longer_where_it_stands(done: int, old: range, new: range) -> None:
    iterator = iter(old)
    for _ in range(done):
        next(iterator)
    assert list(extend_range(iterator, old, new)) == list(new)[done:]


def test_what_stands_around_a_range_goes_on_too() -> None:
    (change,) = compare("\nfor i in range(3): pass", "\nfor i in range(5): pass").ranges
    counted = enumerate(range(3), 10)
    assert next(counted) == (10, 0)
    assert list(extend(counted, change)) == [(11, 1), (12, 2), (13, 3), (14, 4)]
    assert extend(zip(range(3), range(3), strict=True), change) is None


@pytest.mark.parametrize(
    ("source", "names"),
    [
        ("for i in range(a):\n    b = i\nprint(b)", {"a"}),
        ("b += 1", {"b"}),
        ("def f(x, y=a):\n    b = 1\n    return b + c + x", {"a", "c"}),
        ("def f():\n    return a\na = 1\nf()", set()),
        ("x = [a for a in b]", {"b"}),
        ("x = (lambda a: a + b)(1)", {"b"}),
        ("class K:\n    a = 1\n    b = a\n    def m(self):\n        return c", {"c"}),
        ("if a:\n    b = 1\nprint(b)", {"a", "b"}),
        ("if a:\n    b = 1\nelse:\n    b = 2\nprint(b)", {"a"}),
        ("x = y.a", set()),
        ("try:\n    b = 1\nexcept ValueError as a:\n    print(a)\nprint(b)", set()),
        ("with a as b:\n    print(b)", {"a"}),
        ("while (b := a):\n    print(b)", {"a"}),
        ("match a:\n    case [b, *c]:\n        print(b, c)", {"a"}),
        ("import a\nfrom x import b\nprint(a, b)", set()),
        ("f = outer", {"outer", "a", "b"}),
        ("print(wrapped(1))", {"wrapped", "c"}),
        ("g = thing.method", {"thing", "a"}),
        ("del a", {"a"}),
        ("global_name = [b := 1, b]", set()),
        ("print(_private, _, _1, _i2, __name__, In)", {"_private"}),
    ],
)
def test_the_names_that_a_cell_reads_from_before_it(source: str, names: set[str]) -> None:
    namespace: dict[str, object] = {"__name__": "__main__", **dict.fromkeys([*"abcixy", "_private", "_", "_1", "_i2", "In"], 0)}
    exec(
        "def inner():\n    return b\n"
        "def outer():\n    return inner() + a\n"
        "import functools\n"
        "def plain(x):\n    return x + c\n"
        "@functools.wraps(plain)\ndef wrapped(*args):\n    return 1\n"
        "class Thing:\n    def method(self):\n        return a\n"
        "thing = Thing()\n",
        namespace,
    )
    expected = names | ({"inner"} if "outer" in names else set())
    assert input_names("\n" + source, namespace) - {"y"} == expected - {"y"}


def test_a_recipe_is_what_made_a_value_and_nothing_else() -> None:
    cells = ["import time", "base = 2\nother = 7", "rate = base * 3\nstarted = time.time()", "print(rate)"]
    recipe = Recipes(cells).of("rate")
    assert recipe == Recipes([*cells, "other = 8", "print(other)"]).of("rate")
    assert recipe == Recipes(["base=2 # two", "rate = base*3"]).of("rate")
    assert recipe != Recipes([cell.replace("base = 2", "base = 3") for cell in cells]).of("rate")
    assert recipe != Recipes([*cells, "rate += 1"]).of("rate")
    assert Recipes(cells).of("unknown") is None


def test_calls_on_a_value_are_part_of_its_recipe_only_where_asked_for() -> None:
    one, two = Recipes(["model = f()"]), Recipes(["model = f()", "model.train()"])
    assert one.of("model", calls=False) == two.of("model", calls=False)
    assert one.of("model") != two.of("model")


def test_code_under_a_cell_magic_makes_values_too() -> None:
    magic = "get_ipython().run_cell_magic('checkpointed', 'a', 'model = f(1)\\n')\n"
    assert Recipes([magic]).of("model") == Recipes(["model = f(1)"]).of("model")
