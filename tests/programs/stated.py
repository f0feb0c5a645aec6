"""Statements of random programs: all of Python's, nested, with an end that surely comes."""

from __future__ import annotations

from tests.programs import values
from tests.programs.writing import Body, Dice, indented

DEEPEST = 3


def block(dice: Dice, body: Body, most: int) -> list[str]:
    """One to `most` statements, as lines; names bound only inside stay unknown outside."""
    known = (list(body.ints), list(body.lists), list(body.places))
    body.depth += 1
    lines: list[str] = []
    for _ in range(1 + dice.upto(most - 1)):
        lines += statement(dice, body)
    body.depth -= 1
    body.ints, body.lists, body.places = known
    return lines


def statement(dice: Dice, body: Body) -> list[str]:
    if body.depth >= DEEPEST:
        return simple(dice, body)
    kind = dice.upto(23)
    if kind <= 9:
        return simple(dice, body)
    makers = {
        10: _for,
        11: _for,
        12: _for,
        13: _while,
        14: _while,
        15: _if,
        16: _if,
        17: _try,
        18: _try,
        19: _with,
        20: _match,
        21: _leave,
        22: _yield if body.kind == "generator" else _if,
        23: _inner,
    }
    return makers[kind](dice, body)


def simple(dice: Dice, body: Body) -> list[str]:
    """One statement without a block."""

    def v(depth: int = 2) -> str:
        return values.value(dice, body, depth)

    kind = dice.upto(19)
    if kind <= 3:
        return [f"{dice.pick(body.ints)} = {v()} % 50"]
    if kind == 4:
        return [f"{dice.pick(body.ints)} {dice.pick(('+=', '-=', '^='))} {v()}"]
    if kind == 5 and body.lists:
        return [f"{dice.pick(body.lists)}.append({v()})"]
    if kind == 6 and body.places:
        place = dice.pick(body.places).format(v(1))
        return [f"{place} {dice.pick(('=', '+='))} {v()} % 50"]
    if kind == 7:
        one, other = dice.pick(body.ints), dice.pick(body.ints)
        return [dice.pick((f"{one}, {other} = {v(1)}, {v(1)}", f"{one}, *_rest = [{v(1)}, {v(1)}, 3]", f"{one} = {other} = {v()} % 50"))]
    if kind == 8 and body.lists:
        name = dice.pick(body.lists)
        return [
            dice.pick(
                (
                    f"{name}.extend([{v(1)}, {v(1)}])",
                    f"{name}[:1] = [{v(1)}]",
                    f"{name}.insert(0, {v()})",
                    f"{name}.sort()",
                    f"{name}.reverse()",
                    f"{name} += [{v(1)}]",
                    f"{name}.append({name}.pop(0) + {v(1)})",
                )
            )
        ]
    if kind == 9 and len(body.lists) > 1:
        one, other = dice.pick(body.lists), dice.pick(body.lists)
        return [dice.pick((f"{one} = {other}", f"{one} = list({other})", f"{one}, {other} = {other}, {one}", f"{one} = [{v(1)}] + {other}[-3:]"))]
    if kind == 10 and body.lists:
        return [f"{dice.pick(body.lists)} = [{v(1)} for {dice.new('z')} in range({1 + dice.upto(2)})]"]
    if kind == 11:
        name = dice.new("t")
        return [f"{name} = {v()}", f"print('{name}', {name})", f"del {name}"]
    if kind == 12 and body.generators:
        name, steps = dice.pick(body.generators)
        if body.affords(steps):
            body.spend(steps)
            target = dice.pick(body.ints)
            return [dice.pick((f"{target} = next({name}, 0)", f"{target} += sum(itertools.islice({name}, 2))", f"{target} = next({name}, {v(1)})"))]
    if kind == 13:
        return [f"random.shuffle({dice.pick(body.lists)})" if body.lists else "random.random()"]
    if kind == 14:
        return [f"{v()}"]
    if kind == 15 and body.in_try:
        return [f"boom({v(1)})"]
    if kind == 16:
        name = dice.new("n")
        body.ints.append(name)
        return [f"{name}: int = {v()} % 50"]
    if kind == 17:
        return [f"log.append({v()})"]
    return [f"print({v()}, {v(1)})"]


def _iterable(dice: Dice, body: Body) -> tuple[str, int]:
    """What a `for` goes over, and how often at most."""
    kind = dice.upto(11)
    if kind <= 3:
        count = 1 + dice.upto(2)
        return f"range({count})", count
    if kind == 4:
        return f"range({values.value(dice, body, 1)} % 3)", 2
    if kind == 5 and body.lists:
        return f"{dice.pick(body.lists)}[:{1 + dice.upto(1)}]", 2
    if kind == 6:
        return f"[{values.value(dice, body, 1)}, {values.value(dice, body, 1)}]", 2
    if kind == 7 and body.lists:
        return f"itertools.islice({dice.pick(body.lists)}, 2)", 2
    if kind == 8:
        return f"sorted({{{values.value(dice, body, 1)}: 1, {values.value(dice, body, 1)}: 2}})", 2
    if kind == 9 and body.generators:
        name, steps = dice.pick(body.generators)
        if body.affords(2 * steps):
            body.spend(2 * steps)
            return f"itertools.islice({name}, 2)", 2
    if kind == 10 and body.objects:
        return f"{dice.pick(body.objects)}", 2
    call = values.call(dice, body, 1)
    return (f"range({call} % 3)" if call else "range(2)"), 2


def _for(dice: Dice, body: Body) -> list[str]:
    iterable, times = _iterable(dice, body)
    if not body.affords(times):
        return simple(dice, body)
    body.spend(times)
    target = dice.pick([*body.ints, dice.new("i")])
    known = target in body.ints
    if dice.chance(20):
        form = dice.pick(("for {}, {} in enumerate({}):", "for ({}), {} in zip(range(2), {}):"))
        head = form.format(dice.new("j"), target, iterable)
    else:
        head = f"for {target} in {iterable}:"
    inside = _loop_body(dice, body, times, [] if known else [target])
    return [head, *indented(inside), *_otherwise(dice, body)]


def _while(dice: Dice, body: Body) -> list[str]:
    times = 1 + dice.upto(2)
    if not body.affords(times):
        return simple(dice, body)
    body.spend(times)
    count = dice.new("w")
    kind = dice.upto(3)
    inside = _loop_body(dice, body, times, [count])
    if kind == 0:
        head, first = "while True:", [f"if {count} >= {times}:", "    break", f"{count} += 1"]
    elif kind == 1:
        head, first = f"while ({count} := {count} + 1) <= {times}:", []
    elif kind == 2:
        head, first = f"while {count} < {values.value(dice, body, 1)} % {times + 1}:", [f"{count} += 1"]
    else:
        head, first = f"while {count} < {times} and {values.test(dice, body)}:", [f"{count} += 1"]
    return [f"{count} = 0", head, *indented([*first, *inside]), *_otherwise(dice, body)]


def _loop_body(dice: Dice, body: Body, times: int, names: list[str]) -> list[str]:
    before = (body.times, body.in_loop)
    body.times, body.in_loop = body.times * times, True
    ints = list(body.ints)
    body.ints += [name for name in names if not name.startswith("w")]
    lines = block(dice, body, 3)
    body.ints = ints
    body.times, body.in_loop = before
    return lines


def _otherwise(dice: Dice, body: Body) -> list[str]:
    return ["else:", *indented(block(dice, body, 2))] if dice.chance(20) else []


def _if(dice: Dice, body: Body) -> list[str]:
    lines = [f"if {values.test(dice, body)}:", *indented(block(dice, body, 2))]
    if dice.chance(30):
        lines += [f"elif {values.test(dice, body)}:", *indented(block(dice, body, 2))]
    if dice.chance(40):
        lines += ["else:", *indented(block(dice, body, 2))]
    return lines


def _try(dice: Dice, body: Body) -> list[str]:
    before = body.in_try
    body.in_try = True
    lines = ["try:", *indented(block(dice, body, 3))]
    body.in_try = before
    kind = dice.upto(4)
    if kind <= 3:
        name = dice.new("e")
        caught = dice.pick(("ValueError", "(ValueError, KeyError)", "Exception"))
        told = [f"print(type({name}).__name__, {name})"] if dice.chance(50) else []
        lines += [f"except {caught} as {name}:", *indented([*told, *block(dice, body, 2)])]
        if dice.chance(20) and before:
            lines += [f"    raise KeyError({values.value(dice, body, 1)}) from {name}" if dice.chance(50) else "    raise"]
        if dice.chance(30):
            lines += ["else:", *indented(block(dice, body, 2))]
    if kind >= 3:
        was = body.in_finally
        body.in_finally = True
        lines += ["finally:", *indented(block(dice, body, 2))]
        body.in_finally = was
    return lines


def _with(dice: Dice, body: Body) -> list[str]:
    name = dice.new("c")
    managers = [f"scope({values.value(dice, body, 1)}) as {name}", "contextlib.suppress(ValueError)", *(f"{one} as {name}" for one in body.objects)]
    first = dice.pick(managers)
    second = f", scope({values.value(dice, body, 1)})" if dice.chance(30) else ""
    ints = list(body.ints)
    before = body.in_try
    body.in_try = before or "suppress" in first
    if first.startswith("scope"):
        body.ints.append(name)
    lines = [f"with {first}{second}:", *indented(block(dice, body, 3))]
    body.ints, body.in_try = ints, before
    return lines


def _match(dice: Dice, body: Body) -> list[str]:
    name = dice.new("m")
    lines = [f"match {values.value(dice, body, 1)} % 3:", "    case 0:", *indented(indented(block(dice, body, 2)))]
    if dice.chance(50):
        return [*lines, f"    case {name} if {name} > 1:", *indented(indented(block(dice, body, 2)))]
    return [*lines, "    case _:", *indented(indented(block(dice, body, 2)))]


def _leave(dice: Dice, body: Body) -> list[str]:
    """Out of a loop, a function or a block that catches."""
    options = []
    if body.in_loop:
        options += ["break", "continue"]
    if body.kind in ("function", "generator"):
        options.append(f"return {values.value(dice, body, 2)}")
    if body.in_try:
        options += [f"raise ValueError({values.value(dice, body, 1)})"]
    if not options or body.in_finally:
        return simple(dice, body)
    return [f"if {values.test(dice, body)}:", f"    {dice.pick(options)}"]


def _yield(dice: Dice, body: Body) -> list[str]:
    v = values.value(dice, body, 2)
    name = dice.pick(body.ints)
    if body.generators and dice.chance(40):
        below, steps = dice.pick(body.generators)
        if body.affords(steps * 2):
            body.spend(steps * 2)
            return [dice.pick((f"yield from itertools.islice({below}, 2)", f"{name} = (yield from {below}) or 0"))]
    return [dice.pick((f"yield {v}", f"{name} = (yield {v}) or 1", f"yield {v}", f"print((yield {v}), {name})"))]


def _inner(dice: Dice, body: Body) -> list[str]:
    """A function made here: it sees the names around it, and may change one."""
    if body.depth > 1 or body.kind == "method":
        return simple(dice, body)
    name = dice.new("inner")
    inner = Body("function", ["x", *body.ints], list(body.lists), body.calls, body.objects, places=body.places, depth=body.depth)
    shared = dice.pick(body.ints) if dice.chance(60) else None
    if shared is not None:
        # all that it binds would be its own: what it may bind is what it shares
        word = "global" if body.kind == "cell" or shared == "counter" else "nonlocal"  # `counter` is the cell's wherever it is met
        inner.ints = ["x", shared]
        head = [f"{word} {shared}"] if shared not in ("p", "q") or word == "nonlocal" else []
    else:
        inner.ints, head = ["x"], []
    inner.lists = []
    inner.times = max(body.times, 2)
    lines = [*head, *block(dice, inner, 3), f"return x + {values.value(dice, inner, 1)}"]
    steps = inner.steps // inner.times + 1
    if not body.affords(steps):
        return simple(dice, body)
    body.spend(steps)
    return [f"def {name}(x=1):", *indented(lines), f"{dice.pick(body.ints)} = {name}({values.value(dice, body, 1)})"]
