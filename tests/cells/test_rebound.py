"""Which names every iteration binds anew, and which of them a sweep's loop may let go of."""

from __future__ import annotations

import ast

import pytest

from colab_guard.cells.rebound import bound_anew


@pytest.mark.parametrize(
    ("body", "names"),
    [
        ("model = make()\nopt, *rest = more(model)\nx: int = 3", "model opt rest x"),
        ("if better:\n    best = model", ""),
        ("if a:\n    x = 1\n    y = 2\nelse:\n    x = 2", "x"),
        ("with run as r:\n    model = make()", "model r"),
        ("for batch in loader:\n    loss = f(batch)\n    if loss > top: top = loss", "batch loss"),
        ("for batch in loader:\n    if bad: continue\n    loss = f(batch)", "batch"),
        ("model = make()\nif not model: continue\nloss = 1", "model"),
        ("try:\n    x = 1\nexcept ValueError:\n    y = 2\nfinally:\n    z = 3", "z"),
        ("model.config = 1\ntable[0] = 2\ntotal += 1", ""),
        ("while True:\n    x = 1\n    break", ""),
        ("y = [model for model in models]", "y"),
        ("def train():\n    model = 1\n    return 2\nz = 1", "z"),
    ],
)
def test_only_what_every_way_through_the_body_binds(body: str, names: str) -> None:
    assert bound_anew(ast.parse(f"while True:\n    {body.replace(chr(10), chr(10) + '    ')}").body[0].body) == frozenset(names.split())  # type: ignore[attr-defined]
