"""Random programs, the same ones each time; `python -m tests.programs --count 2000 --seed N` runs many others."""

from __future__ import annotations

import os

from tests.programs.grammar import Program
from tests.programs.pool import pool
from tests.programs.reduce import reduced
from tests.programs.trial import try_programs

COUNT = int(os.environ.get("COLAB_GUARD_TEST_PROGRAMS", "100"))
SEED = 5


def test_random_programs_killed_at_random_safe_points_end_as_if_nothing_had_happened() -> None:
    seed = SEED
    print(f"again: python -m tests.programs --count {COUNT} --seed {seed} --kills 1")
    with pool() as processes:
        report = try_programs(processes, COUNT, seed, kills=1, shrink_s=20, most_failures=3)
    told = [f"{failure.wrong}\n{failure.details[:2000]}\n{failure.program}" for failure in report.failures]
    assert not told, f"seed {seed}\n" + "\n\n".join(told)
    assert report.ran == COUNT
    deep = sum(count for depth, count in report.depths.items() if depth)
    assert deep > COUNT / 4, "too few programs were killed inside a loop or a function"


def test_a_program_whose_resume_goes_wrong_is_found() -> None:
    # what a snapshot cannot know: how often this process has run the line
    setup = "import itertools\nimport builtins\nbuiltins.counted = getattr(builtins, 'counted', itertools.count())\n"
    program = Program(setup, "out = []\nfor i in range(4):\n    out.append(next(counted))\n")
    with pool() as processes:
        judged = [processes.judge(program, seed, kills=3) for seed in range(3)]
    assert any(one.wrong is not None and "out" in one.wrong for one in judged)


def test_a_failing_program_is_made_small() -> None:
    program = Program("import math\ndef f(x):\n    y = x + 1\n    return math.sqrt(y)\n", "a = 1\nfor i in range(3):\n    if i:\n        a += f(i) * 2\nb = a\n")
    small = reduced(program, lambda smaller: "f(" in smaller.cell and "math.sqrt(" in smaller.setup, 5)
    assert len(small.cell.split()) <= 3, small
    assert "math" in small.setup and "y =" not in small.setup
