"""State outside the names: taken, changed, put back; one adapter each."""

from __future__ import annotations

import decimal
import logging
import os
import sys
import types
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pandas as pd
import pytest
import sklearn

from colab_guard import state
from colab_guard.errors import BadOption, CannotResume, SnapshotRefused
from colab_guard.state import Live, Outside
from colab_guard.state.outside import process, stores
from colab_guard.state.outside.logs import Loggers, LogLevels
from colab_guard.state.outside.modules import is_beside
from colab_guard.state.outside.settings import NUMPY, PYTHON, Settings
from colab_guard.state.outside.tables import Filters

matplotlib.use("agg")
import matplotlib.pyplot as plt

LIVE = Live({}, {})


def through_a_snapshot(outside: Outside, **more: Any) -> tuple[dict[str, Any], dict[str, Any], dict[str, bytes]]:
    """What a resume is given of what `outside` takes now."""
    taken = outside.take(**more)
    captured = state.capture({"outside": taken.needed}, {"outside things": taken.kept}, LIVE)
    parts = {**captured.parts, **taken.parts}
    needed, kept = state.restore(parts, {b.key: bytearray(b.data) for b in captured.buffers}, LIVE)
    return needed, kept, parts


@pytest.fixture
def clean() -> Iterator[None]:
    """Everything outside is at the end as it was."""
    before = Outside()
    start = process.Process()
    before.take()
    yield
    start.set(None)
    before.set_things({}, {})
    before.set_things({}, {})
    plt.close("all")


def resumed(change: Callable[[], object], undo: Callable[[], object]) -> list[str]:
    """A cell makes a change; the kernel is lost (`undo`), and another one takes up the snapshot."""
    outside = Outside()
    change()
    needed, kept, parts = through_a_snapshot(outside)
    undo()
    again = Outside()
    again.set_early(parts)
    return [*again.set_things(needed, kept), *again.set_switches()]


SWITCHES: dict[str, tuple[Callable[[], object], Callable[[], object], Callable[[], object]]] = {
    "np.seterr": (lambda: np.seterr(all="raise"), lambda: np.seterr(all="warn"), lambda: np.geterr()["divide"]),
    "np.set_printoptions": (lambda: np.set_printoptions(precision=2), lambda: np.set_printoptions(precision=8), lambda: np.get_printoptions()["precision"]),
    "decimal": (lambda: setattr(decimal.getcontext(), "prec", 50), lambda: decimal.setcontext(decimal.Context()), lambda: decimal.getcontext().prec),
    "recursion": (lambda: sys.setrecursionlimit(4321), lambda: sys.setrecursionlimit(3000), sys.getrecursionlimit),
    "warnings": (lambda: warnings.filterwarnings("ignore", "abc"), lambda: warnings.filters.pop(0), lambda: warnings.filters[0][0]),
    "rcParams": (lambda: plt.rcParams.update({"lines.linewidth": 7.5}), lambda: plt.rcParams.update({"lines.linewidth": 1.5}), lambda: plt.rcParams["lines.linewidth"]),
    "pandas": (lambda: pd.set_option("display.max_rows", 7), lambda: pd.reset_option("display.max_rows"), lambda: pd.get_option("display.max_rows")),
    "sklearn": (lambda: sklearn.set_config(assume_finite=True), lambda: sklearn.set_config(assume_finite=False), lambda: sklearn.get_config()["assume_finite"]),
    "log level": (lambda: logging.getLogger("mine").setLevel(7), lambda: logging.getLogger("mine").setLevel(0), lambda: logging.getLogger("mine").level),
    "logging.disable": (lambda: logging.disable(30), lambda: logging.disable(0), lambda: logging.root.manager.disable),
    "environment": (lambda: os.environ.update(LEARNING="fast"), lambda: os.environ.pop("LEARNING"), lambda: os.environ.get("LEARNING")),
    "search path": (lambda: sys.path.insert(0, "/mine"), lambda: sys.path.remove("/mine"), lambda: sys.path[0]),
}


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("name", SWITCHES)
def test_what_the_cell_changed_is_in_force_again(name: str) -> None:
    change, undo, look = SWITCHES[name]
    changed: list[object] = []

    def change_and_look() -> None:
        change()
        changed.append(look())

    assert resumed(change_and_look, undo) == []
    assert changed == [look()]


TORCH = {
    "dtype": ("set_default_dtype(t.float64)", "set_default_dtype(t.float32)", "get_default_dtype()"),
    "device": ("set_default_device('meta')", "set_default_device(None)", "get_default_device().type"),
    "grad": ("_C._set_grad_enabled(False)", "_C._set_grad_enabled(True)", "is_grad_enabled()"),
    "deterministic": ("use_deterministic_algorithms(True, warn_only=True)", "use_deterministic_algorithms(False)", "is_deterministic_algorithms_warn_only_enabled()"),
    "precision": ("set_float32_matmul_precision('high')", "set_float32_matmul_precision('highest')", "get_float32_matmul_precision()"),
    "cudnn": ("backends.cudnn.__setattr__('benchmark', True)", "backends.cudnn.__setattr__('benchmark', False)", "backends.cudnn.benchmark"),
    "anomaly": ("set_anomaly_enabled(True, False)", "set_anomaly_enabled(False, True)", "is_anomaly_check_nan_enabled()"),
    "printing": ("set_printoptions(precision=2)", "set_printoptions(profile='default')", "_tensor_str.PRINT_OPTS.precision"),
    "threads": ("set_num_threads(3)", "set_num_threads(1)", "get_num_threads()"),
    "autocast": ("set_autocast_enabled('cpu', True)", "set_autocast_enabled('cpu', False)", "is_autocast_enabled('cpu')"),
    "attention": ("backends.cuda.enable_flash_sdp(False)", "backends.cuda.enable_flash_sdp(True)", "backends.cuda.flash_sdp_enabled()"),
}


@pytest.mark.usefixtures("clean")
@pytest.mark.parametrize("name", TORCH)
def test_torchs_switches_are_as_they_were(name: str) -> None:
    t = pytest.importorskip("torch")
    change, undo, look = (eval(f"lambda: t.{code}", {"t": t}) for code in TORCH[name])
    before = look()
    changed: list[object] = []
    try:
        assert resumed(lambda: changed.extend((change(), look())), undo) == []
        assert changed[-1] == look() != before
    finally:
        undo()


def test_torchs_newer_precision_switches_are_kept_where_the_older_ones_must_not_be_read() -> None:
    t = pytest.importorskip("torch")
    matmul = t.backends.cuda.matmul
    if not hasattr(matmul, "fp32_precision"):
        pytest.skip("this torch has the older switches only")
    script = (
        "import torch\nfrom colab_guard.state import Outside\nm = torch.backends.cuda.matmul\nfirst = Outside()\n"
        "m.fp32_precision = 'tf32'\ntaken = first.take()\nm.fp32_precision = 'ieee'\nsecond = Outside()\n"
        "print(second.set_things({'outside': taken.needed}, {}), m.fp32_precision)"
    )
    import subprocess

    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[] tf32", done.stderr


@pytest.mark.usefixtures("clean")
def test_what_a_host_decides_is_left_alone_until_the_cell_changes_it() -> None:
    settings = Settings(PYTHON)
    assert "the recursion limit" not in (settings.get() or {})
    sys.setrecursionlimit(sys.getrecursionlimit() + 7)
    assert "the recursion limit" in (settings.get() or {})


@pytest.mark.usefixtures("clean")
def test_what_came_back_is_kept_from_then_on_even_where_this_host_agrees() -> None:
    limit = sys.getrecursionlimit()
    settings = Settings(PYTHON)
    settings.set({"the recursion limit": limit})
    assert (settings.get() or {})["the recursion limit"] == limit


@pytest.mark.usefixtures("clean")
def test_a_decimal_context_stays_the_one_that_a_name_holds() -> None:
    outside = Outside()
    mine = decimal.getcontext()
    taken = outside.take()
    captured = state.capture({"names": {"mine": mine}, "outside": taken.needed}, {}, LIVE)
    needed, _ = state.restore(captured.parts, {}, LIVE)
    Outside().set_things(needed, {})
    assert decimal.getcontext() is needed["names"]["mine"]


@pytest.mark.usefixtures("clean")
def test_inside_a_with_block_the_switches_outside_it_come_first_and_those_inside_at_the_position() -> None:
    outside = Outside()
    np.seterr(divide="raise")
    outside.take()
    with np.errstate(divide="ignore"):
        needed, kept, _ = through_a_snapshot(outside, in_context=True)
    np.seterr(divide="warn")
    again = Outside()
    again.set_things(needed, kept)
    assert np.geterr()["divide"] == "raise", "what errstate is to put back at its end"
    again.set_switches()
    assert np.geterr()["divide"] == "ignore"


@pytest.mark.usefixtures("clean")
def test_a_kernel_that_goes_back_has_what_a_snapshot_does_not_hold_as_at_the_cells_start() -> None:
    outside = Outside()
    needed, kept, parts = through_a_snapshot(outside)
    np.seterr(all="raise")
    os.environ["LATER"] = "1"
    plt.rcParams["lines.linewidth"] = 9.0
    sys.setrecursionlimit(sys.getrecursionlimit() + 11)
    limit = sys.getrecursionlimit()
    outside.set_early(parts)
    outside.set_things(needed, kept)
    outside.set_switches()
    assert np.geterr()["divide"] == "warn"
    assert "LATER" not in os.environ
    assert plt.rcParams["lines.linewidth"] == 1.5
    assert sys.getrecursionlimit() == limit - 11


# the process


@pytest.mark.usefixtures("clean")
def test_secrets_in_the_environment_are_left_out_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    outside = Outside()
    monkeypatch.setenv("HF_TOKEN", "abc")
    monkeypatch.setenv("PLAIN", "hf_abcdef")
    monkeypatch.setenv("FINE", "1")
    taken = outside.take()
    assert [loss.path for loss in taken.losses] == ["os.environ['HF_TOKEN']", "os.environ['PLAIN']"]
    assert b"abc" not in taken.parts[process.EARLY] and b"FINE" in taken.parts[process.EARLY]


@pytest.mark.usefixtures("clean")
def test_variables_that_the_cell_deleted_are_gone_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OLD", "1")
    assert resumed(lambda: os.environ.pop("OLD"), lambda: os.environ.update(OLD="1")) == []
    assert "OLD" not in os.environ


def test_the_working_folder_is_the_one_that_the_cell_went_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    assert resumed(lambda: os.chdir("sub"), lambda: os.chdir(tmp_path)) == []
    assert Path.cwd() == tmp_path / "sub"


def test_on_another_machine_the_folder_lies_where_it_lay_from_the_start(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("one/out", "two"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "one")
    first = process.Process()
    os.chdir("out")
    kept = first.get()
    (tmp_path / "one" / "out").rmdir()
    os.chdir(tmp_path / "two")
    process.Process().set(kept)
    assert Path.cwd() == tmp_path / "two" / "out"


def test_a_folder_that_is_gone_is_asked_for_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.chdir(tmp_path / "home")
    first = process.Process()
    os.chdir(tmp_path / "elsewhere")
    kept = first.get()
    os.chdir(tmp_path / "home")
    (tmp_path / "elsewhere").rmdir()
    with pytest.raises(CannotResume, match=r"changed to the folder .*elsewhere, which is not here; make it"):
        process.Process().set(kept)


# pyplot


@pytest.mark.usefixtures("clean")
def test_open_figures_come_back_as_the_users_own_under_their_numbers() -> None:
    outside = Outside()
    first = plt.figure(7)
    plt.plot([1, 2, 3])
    plt.figure(3)
    plt.figure(7)
    taken = outside.take()
    captured = state.capture({"names": {"fig": first}, "outside": taken.needed}, {"outside things": taken.kept}, LIVE)
    plt.close("all")
    plt.figure(1)  # what a setup cell may have drawn anew
    buffers = {b.key: bytearray(b.data) for b in captured.buffers}
    needed, kept = state.restore(captured.parts, buffers, LIVE)
    Outside().set_things(needed, kept)
    assert plt.get_fignums() == [3, 7]
    assert plt.gcf() is needed["names"]["fig"] and plt.gcf().number == 7
    plt.plot([3, 2, 1])
    assert len(plt.gca().lines) == 2


@pytest.mark.usefixtures("clean")
def test_a_figure_from_before_the_cell_is_kept_only_once_it_was_drawn_on() -> None:
    plt.figure(1)
    plt.plot([1])
    outside = Outside()
    assert outside.take().kept["things"]["pyplot's figures"] == [(1, None)]
    plt.title("now")
    assert outside.take().kept["things"]["pyplot's figures"] == [(1, plt.figure(1))]


# loggers, stores, modules


@pytest.mark.usefixtures("clean")
def test_handlers_that_the_cell_added_come_back_and_write_on(tmp_path: Path) -> None:
    log = logging.getLogger("my.training")
    handler = logging.FileHandler(tmp_path / "log.txt")

    def lose() -> None:
        handler.close()
        log.handlers.clear()

    assert resumed(lambda: (log.addHandler(handler), log.warning("one")), lose) == []
    assert len(log.handlers) == 1 and log.handlers[0] is not handler
    log.warning("two")
    log.handlers[0].close()
    log.handlers.clear()
    assert (tmp_path / "log.txt").read_text().splitlines() == ["one", "two"]


def test_a_librarys_store_is_found_by_its_name_and_stays_one_with_the_users_objects(monkeypatch: pytest.MonkeyPatch) -> None:
    class ParamStore:
        def __init__(self) -> None:
            self._params: dict[str, Any] = {}

    module = types.ModuleType("pyro_like")
    module.STORE = ParamStore()  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "pyro_like", module)
    kept = stores.Stores((stores.Store("its store", "pyro_like", "STORE"),))
    weights = np.ones(3)
    module.STORE._params["w"] = weights
    captured = state.capture({"names": {"w": weights}, "store": kept.get()}, {}, LIVE)
    module.STORE._params = {}
    needed, _ = state.restore(captured.parts, {b.key: bytearray(b.data) for b in captured.buffers}, LIVE)
    kept.set(needed["store"])
    assert module.STORE._params["w"] is needed["names"]["w"]


def test_plain_data_of_modules_beside_the_notebook_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "helpers_of_mine.py").write_text("step = 0\nseen = []\nnames = {'a': 1}\n")
    monkeypatch.syspath_prepend(tmp_path)
    import helpers_of_mine as helpers  # type: ignore[import-not-found]

    def change() -> None:
        helpers.step = 5
        helpers.seen.append(3)

    def lose() -> None:
        helpers.step, helpers.seen = 0, []

    try:
        assert resumed(change, lose) == []
        assert (helpers.step, helpers.seen, helpers.names) == (5, [3], {"a": 1})
    finally:
        del sys.modules["helpers_of_mine"]


def test_the_program_of_the_kernel_and_what_has_no_file_lie_beside_nothing(tmp_path: Path) -> None:
    import torch

    program = types.ModuleType("__main__")
    program.__file__ = str(tmp_path / "program.py")
    for name in ("__main__", "__mp_main__"):
        assert not is_beside(name, program)
    assert is_beside("helpers_of_mine", program)
    assert not is_beside("torch.ops", torch.ops) and not is_beside("torch.classes", torch.classes)


# registered state


@pytest.fixture
def registry() -> Iterator[None]:
    yield
    for name in state.registered_names():
        state.unregister_state(name)


@pytest.mark.usefixtures("registry")
def test_registered_state_comes_back_by_the_users_functions() -> None:
    box = {"n": 1}
    state.register_state("box", lambda: dict(box), box.update)

    class Holder:
        def __init__(self) -> None:
            self.value = [1]

        def state_dict(self) -> list[int]:
            return self.value

        def load_state_dict(self, value: list[int]) -> None:
            self.value = value

    holder = Holder()
    undo = state.register_state("holder", holder)
    outside = Outside()
    box["n"], holder.value = 9, [2]
    needed, kept, _ = through_a_snapshot(outside)
    box["n"], holder.value = 1, [1]
    Outside().set_things(needed, kept)
    assert (box["n"], holder.value) == (9, [2])
    assert outside.facts()["registered"] == ["box", "holder"]
    undo()
    assert state.registered_names() == {"box"}


@pytest.mark.usefixtures("registry")
def test_what_a_registered_function_raises_refuses_the_snapshot_by_name() -> None:
    state.register_state("broken", lambda: 1 / 0, print)
    with pytest.raises(SnapshotRefused, match=r"the registered state 'broken': .* raised ZeroDivisionError: division by zero"):
        Outside().take()


@pytest.mark.usefixtures("registry")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("", print, print), "needs a name"),
        (("a", 3, print), "get is int, which cannot be called"),
        (("a", print), "set is NoneType, which cannot be called"),
        (("taken", print, print), r"'taken' is registered already.*unregister_state\('taken'\)"),
    ],
)
def test_mistakes_in_registering_are_one_clear_line(arguments: tuple[Any, ...], words: str) -> None:
    state.register_state("taken", len, repr)
    with pytest.raises(BadOption, match=words) as caught:
        state.register_state(*arguments)
    assert "\n" not in str(caught.value)
    state.register_state("taken", len, repr)  # the cell runs again
    with pytest.raises(BadOption, match=r"no state is registered as 'other'; registered: 'taken'"):
        state.unregister_state("other")


# nothing is imported to look


def test_looking_imports_nothing() -> None:
    import subprocess

    script = (
        "import sys\nfrom colab_guard.state.outside import Outside\n"
        "Outside().take()\nprint([m for m in ('torch', 'numpy', 'pandas', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_adapters_say_nothing_where_nothing_changed() -> None:
    assert Filters().get() is None
    assert "numpy.seterr" in (Settings(NUMPY).get() or {})
    assert process.Process().get() is None


def test_a_logger_that_takes_the_place_of_another_is_seen() -> None:
    known = logging.root.manager.loggerDict
    logging.getLogger("colab_guard_test.one").setLevel(10)
    levels = LogLevels(Loggers())
    assert levels.get() is None and levels.get() is None
    del known["colab_guard_test.one"]
    try:
        logging.getLogger("colab_guard_test.two").setLevel(10)
        assert levels.get() == {"colab_guard_test.two": (10, False, True)}
    finally:
        del known["colab_guard_test.two"]
