"""The plan that the README shows is what `autoconfig` prints for that call on a T4."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from colab_guard import autoconfig, hosts, plan

README = (Path(__file__).parents[2] / "README.md").read_text()
GIB = 2**30
T4 = hosts.Device("cuda", "Tesla T4", int(14.56 * GIB), int(14.4 * GIB), (7, 5))


def test_the_readmes_plan_is_printed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path))
    call = next(line for line in README.splitlines() if line.startswith("autoconfig(GPT2Config()"))
    made: dict[str, plan.Plan] = {}
    exec(f"from transformers import GPT2Config; made['plan'] = {call}", {"made": made, "autoconfig": on_a_t4})
    shown = README.split("On a T4 that prints:\n\n```\n")[1].split("\n```")[0]
    assert masked(shown) == masked(str(made["plan"]))
    peak = float(re.findall(r"expected_peak +([\d.]+)", shown)[0])
    assert (made["plan"].expected_peak or 0) / GIB == pytest.approx(peak, rel=0.02), "versions of the libraries differ a little"


def on_a_t4(*args: object, **words: object) -> plan.Plan:
    return autoconfig(*args, device=T4, **words)  # type: ignore[arg-type]


def masked(table: str) -> list[str]:
    return [" ".join(re.sub(r"\d+\.\d+", "n", line).split()) for line in table.splitlines()]
