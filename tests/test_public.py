from __future__ import annotations

import subprocess
import sys

import pytest

import colab_guard


def test_the_public_names_are_these() -> None:
    assert colab_guard.__all__ == [
        "GuardError",
        "Plan",
        "Run",
        "Sweep",
        "UserMistake",
        "autoconfig",
        "grid",
        "guard",
        "load_ipython_extension",
        "microbatches",
        "register_state",
        "unload_ipython_extension",
        "unregister_state",
        "work",
    ]


@pytest.mark.parametrize("name", colab_guard.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    assert (getattr(colab_guard, name).__doc__ or "").strip()
    assert name in dir(colab_guard)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing_such"):
        _ = colab_guard.nothing_such


def test_importing_brings_in_no_room_at_all() -> None:
    script = "import sys, colab_guard; print([m for m in sys.modules if m.startswith('colab_guard.')])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
