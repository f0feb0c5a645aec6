"""What a cell holds comes back in another process, with another hash seed, and goes on as if it had never left.

Each case is three pieces of notebook: what an earlier cell defined (run in both processes), what the guarded cell did,
and what must hold after the restore. One process captures all of them, one restores all of them.
"""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from colab_guard import state
from colab_guard.state import Live
from tests.state import class_cases  # noqa: F401  (adds its own)
from tests.state.cases import CASES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """For each case "ok" or where it went wrong; capture and restore run in processes with different hash seeds."""
    folder = tmp_path_factory.mktemp("fresh")
    for step, seed in (("capture", "1"), ("restore", "2")):
        environment = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
        command = [sys.executable, "-m", "tests.state.test_fresh_process", step]
        subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, timeout=120)
    found: dict[str, str] = pickle.loads((folder / "results.pickle").read_bytes())
    return found


@pytest.mark.parametrize("name", sorted(CASES))
def test_comes_back_in_a_fresh_process(name: str, results: dict[str, str]) -> None:
    if results[name].startswith("ModuleNotFoundError"):
        pytest.skip(results[name])
    assert results[name] == "ok"


def _namespace(setup: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(setup, names)
    return names


def _capture() -> None:
    captured: dict[str, Any] = {}
    # what the cells made stays alive: files that are closed at the end of a process are not open
    alive = []
    for name, (setup, cell, _) in CASES.items():
        try:
            names = _namespace(setup)
            start = dict(names)
            classes = state.classes_of(start)
            exec(cell, names)
            user = {key: value for key, value in names.items() if not key.startswith("__")}
            alive.append(names)
            got = state.capture({"names": user}, {"names": {}}, Live(names, start, classes=classes))
            captured[name] = (got.parts, {b.key: bytes(b.data) for b in got.buffers})
        except Exception as error:
            captured[name] = f"{type(error).__name__} in capture: {error}"
    Path("captured.pickle").write_bytes(pickle.dumps(captured))
    sys.stdout.flush()
    os._exit(0)


def _restore() -> None:
    results: dict[str, str] = {}
    for name, got in pickle.loads(Path("captured.pickle").read_bytes()).items():
        setup, _, check = CASES[name]
        if isinstance(got, str):
            results[name] = got
            continue
        try:
            names = _namespace(setup)
            buffers = {key: bytearray(data) for key, data in got[1].items()}
            needed, _ = state.restore(got[0], buffers, Live(names, dict(names), classes=state.classes_of(names)))
            names.update(needed["names"])
            exec(check, names)
            results[name] = "ok"
        except Exception as error:
            results[name] = f"{type(error).__name__}: {error}"
    Path("results.pickle").write_bytes(pickle.dumps(results))
    os._exit(0)


NUMPY_ALONE = """
import pickle, sys
from pathlib import Path
import numpy as np
from colab_guard import state
from colab_guard.state import Live
lib = Path("users_lib"); lib.mkdir(exist_ok=True)
(lib / "__init__.py").write_text("class Moved: pass\\nMoved.__module__ = 'users_lib.part'")
(lib / "part.py").write_text("raise SystemExit('a file of the user was imported')")
sys.path.insert(0, ""); import users_lib
names = {"__name__": "__main__"}
if sys.argv[1] == "capture":
    P = np.recarray(3, dtype=[("x", "f8")]); P.x = 2
    got = state.capture({"names": {"P": P, "kind": np.recarray, "moved": users_lib.Moved()}}, {"names": {}}, Live(names, {}))
    Path("alone.pickle").write_bytes(pickle.dumps((got.parts, {b.key: bytes(b.data) for b in got.buffers})))
else:
    parts, buffers = pickle.loads(Path("alone.pickle").read_bytes())
    back, _ = state.restore(parts, {key: bytearray(data) for key, data in buffers.items()}, Live(names, {}))
    P, kind, moved = (back["names"][name] for name in ("P", "kind", "moved"))
    assert kind is np.recarray and type(P) is np.recarray and P.x.tolist() == [2, 2, 2] and type(moved).__name__ == "Moved"
"""


def test_a_library_s_class_whose_module_nobody_imported_is_that_class_and_no_file_of_the_user_s_runs(tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    for step in ("capture", "restore"):
        command = [sys.executable, "-c", NUMPY_ALONE, step]
        done = subprocess.run(command, cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr


if __name__ == "__main__":
    {"capture": _capture, "restore": _restore}[sys.argv[1]]()
