"""Plain Python objects, functions and classes come back against the live namespace, aliases and all."""

from __future__ import annotations

import collections
import functools
import mmap
import os
import pickle
import subprocess
import sys
import threading
import types
from pathlib import Path
from typing import Any

import pytest

from colab_guard import state
from colab_guard.errors import CannotResume
from colab_guard.state import Live


def notebook(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(source, names)
    return names


def there_and_back(names: dict[str, Any], start: dict[str, Any] | None = None, into: dict[str, Any] | None = None) -> Any:
    user = {name: value for name, value in names.items() if not name.startswith("__")}
    captured = state.capture({"names": user}, {"names": {}}, Live(names, start or {}))
    target = into if into is not None else names
    live = Live(target, dict(target) if into is not None else start or {})
    back, _ = state.restore(captured.parts, {b.key: bytearray(b.data) for b in captured.buffers}, live)
    return back["names"]


def test_aliases_and_cycles_stay() -> None:
    shared: list[Any] = [1]
    shared.append(shared)
    back = there_and_back({"a": shared, "b": {"x": shared}, "d": collections.deque([shared], 3)})
    assert back["a"] is back["b"]["x"] is back["d"][0] is back["a"][1]
    assert back["d"].maxlen == 3


def test_closures_go_on_sharing_their_variable() -> None:
    names = notebook(
        "def make():\n    n = 0\n    def up():\n        nonlocal n\n        n += 1\n    def get():\n        return n\n"
        "    return up, get\nup, get = make()\nup()"
    )
    back = there_and_back(names)
    back["up"]()
    assert back["get"]() == 2


def test_a_function_sees_the_live_namespace() -> None:
    names = notebook("k = 1\ndef f():\n    return k")
    back = there_and_back(names)
    names["k"] = 5
    assert back["f"]() == 5


def test_defaults_attributes_and_recursion_stay() -> None:
    names = notebook("def f(n, acc=[]):\n    acc.append(n)\n    return f.tag if n == 0 else f(n - 1)\nf.tag = 'x'\nf(1)")
    back = there_and_back(names)
    assert back["f"].__defaults__ == ([1, 0],)
    names["f"] = back["f"]
    assert back["f"](1) == "x"


def test_what_was_there_before_the_cell_travels_by_name() -> None:
    source = "class Model:\n    count = 0\ndef helper():\n    return 'old'"
    first = notebook(source + "\nm = Model()\nModel.count = 7")
    fresh = notebook(source.replace("'old'", "'new'"))
    user = {"m": first["m"], "g": first["helper"]}
    start = {"Model": first["Model"], "helper": first["helper"]}
    captured = state.capture({"names": user}, {"names": {}}, Live(first, start))
    back, _ = state.restore(captured.parts, {}, Live(fresh, dict(fresh)))
    assert type(back["names"]["m"]) is fresh["Model"]
    assert fresh["Model"].count == 7, "data of the class was lost"
    assert back["names"]["g"]() == "new"


def test_a_definition_that_is_missing_is_named() -> None:
    first = notebook("class Model:\n    pass\nm = Model()")
    captured = state.capture({"names": {"m": first["m"]}}, {"names": {}}, Live(first, {"Model": first["Model"]}))
    with pytest.raises(CannotResume, match=r"'Model'.*run the cell that defines it"):
        state.restore(captured.parts, {}, Live({}, {}))


def test_classes_made_by_the_cell_come_back() -> None:
    names = notebook(
        "import enum, dataclasses, collections\nclass Color(enum.Enum):\n    RED = 1\n"
        "@dataclasses.dataclass\nclass P:\n    x: int\nN = collections.namedtuple('N', 'a b')\n"
        "class Base:\n    def who(self):\n        return 'base'\nclass Child(Base):\n    def who(self):\n"
        "        return 'child of ' + super().who()\nc = Color.RED\np = P(3)\nn = N(1, 2)\nk = Child()"
    )
    back = there_and_back(names)
    assert back["c"] is back["Color"].RED
    assert back["p"] == back["P"](3) and type(back["n"]) is back["N"]
    assert back["k"].who() == "child of base"


def test_partials_methods_and_defaultdicts_with_lambdas_come_back() -> None:
    names = notebook("import functools, collections\nd = collections.defaultdict(lambda: [0])\nd['a'].append(1)\nappend = d['a'].append")
    names["p"] = functools.partial(int, base=2)
    back = there_and_back(names)
    back["append"](9)
    assert back["d"]["a"] == [0, 1, 9] and back["d"]["new"] == [0] and back["p"]("101") == 5


def test_a_thing_that_cannot_be_kept_refuses_by_its_path() -> None:
    lock_holder = {"deep": [threading.Thread()], "ok": 1}
    generator = (i for i in range(3))
    with pytest.raises(state.SnapshotRefused, match=r"^box\['gen'\]"):
        there_and_back({"box": {"gen": generator}})
    captured = state.capture({"names": {"n": 1}}, {"names": {"box": {"gen": generator, "n": 2}}}, Live({}, {}))
    assert [p.path for p in captured.placeholders] == ["box['gen']"]
    _, kept = state.restore(captured.parts, {}, Live({}, {}))
    assert kept["names"]["box"]["n"] == 2
    assert isinstance(kept["names"]["box"]["gen"], state.Placeholder)
    assert lock_holder["ok"] == 1


def test_a_simple_namespace_whose_attributes_are_held_as_a_dictionary_is_refused_by_name() -> None:
    settings = types.SimpleNamespace(rate=0.1)
    assert there_and_back({"settings": settings})["settings"] == settings
    with pytest.raises(state.SnapshotRefused, match=r"^settings \(SimpleNamespace\): its vars\(\) are held beside it"):
        there_and_back({"settings": settings, "words": vars(settings)})


def test_an_array_over_a_bytearray_that_is_kept_too_is_named() -> None:
    numpy = pytest.importorskip("numpy")
    raw = bytearray(64)
    for names, lost in (
        ({"raw": raw, "seen": numpy.frombuffer(raw, numpy.uint8)}, ["seen"]),
        ({"seen": numpy.frombuffer(raw, numpy.uint8)}, []),
        ({"raw": bytes(raw), "seen": numpy.frombuffer(bytes(raw), numpy.uint8)}, []),
    ):
        captured = state.capture({"names": names}, {"names": {}}, Live({}, {}))
        assert [placeholder.path for placeholder in captured.placeholders] == lost
        assert "comes back apart" in str(captured.placeholders) or not lost


def test_locks_come_back_held_unless_another_thread_of_the_notebook_may_hold_them() -> None:
    lock = threading.Lock()
    lock.acquire()
    back = there_and_back({"lock": lock})["lock"]
    assert not back.acquire(blocking=False)
    names = {"lock": lock, "begun": threading.Event(), "ended": threading.Event()}
    exec("def wait():\n    begun.set()\n    ended.wait(10)", names)
    thread = threading.Thread(target=names["wait"])
    thread.start()
    names["begun"].wait(10)
    captured = state.capture({"names": {"lock": lock}}, {"names": {}}, Live(names, {}))
    names["ended"].set()
    thread.join()
    assert state.restore(captured.parts, {}, Live({}, {}))[0]["names"]["lock"].acquire(blocking=False)


def test_reentrant_locks_come_back_held_as_often_and_free_where_another_thread_held_them() -> None:
    own, others = threading.RLock(), threading.RLock()
    own.acquire()
    own.acquire()
    thread = threading.Thread(target=others.acquire)
    thread.start()
    thread.join()
    back = there_and_back({"own": own, "others": others})
    assert back["others"].acquire(blocking=False)
    back["own"].release()
    back["own"].release()
    with pytest.raises(RuntimeError):
        back["own"].release()


def test_a_lock_whose_block_goes_on_is_held_whatever_other_threads_run() -> None:
    for manager in (threading.Lock(), threading.Condition(threading.Lock())):
        state.in_force_again(manager)
        manager.release()


def test_a_file_open_for_writing_goes_on_at_its_position(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    file = path.open("w")
    file.write("one\n")
    names: dict[str, Any] = {"file": file}
    captured = state.capture({"names": names}, {"names": {}}, Live(names, {}))
    file.write("lost\n")
    file.close()
    back, _ = state.restore(captured.parts, {}, Live(names, {}))
    back["names"]["file"].write("two\n")
    back["names"]["file"].close()
    assert path.read_text() == "one\ntwo\n"


def test_views_of_memory_that_cannot_be_made_again_refuse_by_their_path(tmp_path: Path) -> None:
    np = pytest.importorskip("numpy")
    (tmp_path / "mapped").write_bytes(bytes(64))
    with (tmp_path / "mapped").open("r+b") as file, mmap.mmap(file.fileno(), 64) as mapped:
        view = memoryview(mapped)
        with pytest.raises(state.SnapshotRefused, match=r"^view"):
            there_and_back({"view": view})
        captured = state.capture({"names": {}}, {"names": {"view": view}}, Live({}, {}))
        assert isinstance(state.restore(captured.parts, {}, Live({}, {}))[1]["names"]["view"], state.Placeholder)
        view.release()
    with pytest.raises(state.SnapshotRefused, match=r"^strange .*memoryview of this layout"):
        there_and_back({"strange": memoryview(np.zeros((4, 4), ">i4"))[1:]})


def test_a_chain_of_30000_objects_comes_back() -> None:
    chain: Any = None
    for number in range(30_000):
        chain = [number, chain]
    back = there_and_back({"chain": chain})["chain"]
    depth = 0
    while back is not None:
        depth, back = depth + 1, back[1]
    assert depth == 30_000


def test_live_iterators_keep_their_place() -> None:
    numbers = iter([1, 2, 3])
    next(numbers)
    pairs = enumerate("abc")
    next(pairs)
    back = there_and_back({"numbers": numbers, "pairs": pairs})
    assert list(back["numbers"]) == [2, 3] and list(back["pairs"]) == [(1, "b"), (2, "c")]


@pytest.mark.parametrize(
    "value", [1, 1.0, True, "1", b"1", None, (1, 2), [1, 2], {"a": 1}, {1, "x"}, frozenset({2}), range(3)]
)
def test_a_fingerprint_is_the_same_in_every_process_and_tells_types_apart(value: Any) -> None:
    code = "import pickle, sys\nfrom colab_guard.state import fingerprint\nprint(fingerprint(pickle.loads(sys.stdin.buffer.read())))"
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    there = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(value), capture_output=True, env=environment, check=True)
    assert there.stdout.decode().strip() == state.fingerprint(value)


def test_fingerprints_differ_between_values_that_are_equal_but_not_the_same() -> None:
    values: list[Any] = [1, 1.0, True, "1", b"1", (1,), [1], {1: 1}, {1}]
    assert len({state.fingerprint(value) for value in values}) == len(values)
    assert state.fingerprint(object()) is None


def test_tables_of_pandas_that_share_memory_until_one_is_written_to_stay_apart() -> None:
    np, pandas = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    frame = pandas.DataFrame({"x": np.arange(300.0), "y": np.arange(300.0), "s": ["a"] * 300})
    names = {"frame": frame, "fewer": frame.drop(columns=["y"]), "column": frame["x"]}
    before = {name: value.copy() for name, value in names.items()}
    captured = state.capture({"names": names}, {"names": {}}, Live({}, {}))
    back = state.restore(captured.parts, {b.key: bytearray(b.data) for b in captured.buffers}, Live({}, {}))[0]["names"]
    for name, value in before.items():
        assert back[name].equals(value)
    for each in (names, back):
        each["frame"].loc[0, "x"] = -1.0
    assert back["fewer"].equals(names["fewer"]) and back["column"].equals(names["column"])
