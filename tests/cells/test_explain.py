"""What is told of a cell before it runs: where its safe points are, why there are none, whose loops its calls are."""

from __future__ import annotations

import sys
import types
from typing import Any

import pytest

from colab_guard.cells import Survey, compile_cell, survey
from colab_guard.training import default_loops
from tests.cells.harness import FakeEngine, fresh_shell, run

SETUP = """
import asyncio, os, subprocess
import sklearn.model_selection, sklearn.svm
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.linear_model import SGDClassifier as Linear
import scipy.optimize
from functools import partial
def train(n):
    for i in range(n):
        pass
    return n
def numbers(n):
    for i in range(n):
        yield i
async def work(n):
    for i in range(n):
        await asyncio.sleep(0)
class Net:
    def __init__(self, n):
        for i in range(n):
            self.n = i
    def fit(self, n):
        for epoch in range(n):
            pass
class Tuned(Linear):
    pass
rows = os.scandir(".")
gs = GridSearchCV(Linear(), {})
net = Net(2)
"""


def look(cell: str, setup: str = SETUP) -> Survey:
    shell = fresh_shell()
    exec(compile(setup, shell.compile.cache(setup, 0), "exec", dont_inherit=True), shell.user_ns)
    before = dict(shell.user_ns)
    loops = default_loops()
    found = survey(compile_cell(shell, cell, {name for loop in loops for name in loop.call_names}), shell.user_ns, loops)
    assert {name: id(value) for name, value in before.items()} == {name: id(value) for name, value in shell.user_ns.items()}
    return found


def why(found: Survey) -> dict[str, str]:
    return {f"{loop.function or 'cell'}:{loop.line}": loop.why for loop in found.loops}


def calls(found: Survey) -> list[tuple[str, str, bool, bool]]:
    return [(call.text, call.library, call.heavy, call.maybe) for call in found.calls]


def test_loops_of_the_cell_and_of_its_functions_have_safe_points() -> None:
    found = look("for a in range(3):\n    while a:\n        train(a)\n        a = 0\nnet.fit(3)\nNet(2)\nif train(2):\n    pass\n")
    assert why(found) == {"cell:2": "", "cell:3": "", "Net.__init__():20": "", "Net.fit():23": "", "train():9": ""}
    assert found.unit is not None and found.unit.text == "for a in range(3)"
    assert sorted(found.entered) == ["Net.__init__()", "Net.fit()", "train()"]
    assert found.matters == ([], []), "the good case is silent"


def test_a_generators_place_is_kept_where_it_waits() -> None:
    found = look("for x in numbers(4):\n    pass")
    assert [(loop.function, loop.waits, loop.why) for loop in found.loops] == [("", False, ""), ("numbers()", True, "")]
    assert found.matters == ([], [])


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        ("async def items():\n    yield 1\nasync for x in items():\n    pass", "`async for` has none"),
        ("async with asyncio.Lock():\n    for x in range(3):\n        pass", "inside an `async with`"),
        ("try:\n    for x in range(3):\n        pass\nexcept* ValueError:\n    pass", "inside a `try/except*`"),
        ("await asyncio.gather(work(3), work(3))", "in a coroutine that does not run alone (gathered, or a task)"),
        ("task = asyncio.create_task(work(3))\nawait task", "in a coroutine that does not run alone (gathered, or a task)"),
        ("for row in rows:\n    pass", "the place of a posix.ScandirIterator cannot be kept"),
        ("totals = list(map(train, [1, 2]))", "handed over to be called by others"),
        ("key = lambda n: train(n)\nsorted([1, 2], key=key)", "it is called in a lambda"),
    ],
)
def test_a_loop_without_safe_points_says_why_and_is_told_before(cell: str, reason: str) -> None:
    found = look(cell)
    assert reason in why(found).values()
    assert [loop.why for loop in found.matters[0]] == [reason]


def test_what_is_said_of_safe_points_is_what_happens() -> None:
    for cell, inside in (
        ("for i in range(3):\n    train(2)", True),
        ("totals = [train(n) for n in (1, 2)]", True),
        ("await work(3)", True),
        ("await asyncio.gather(work(3), work(3))", False),
        ("totals = list(map(train, [1, 2]))", False),
        ("try:\n    for x in range(3):\n        pass\nexcept* ValueError:\n    pass", False),
        ("match net:\n    case Net():\n        for x in range(3):\n            pass", True),
    ):
        engine = FakeEngine()
        run(SETUP, cell, engine)
        assert look(cell).inside == inside == any(position.depth for position in engine.seen), cell


def test_tidying_loops_are_told_when_asked_and_not_before() -> None:
    found = look("try:\n    pass\nfinally:\n    for x in range(3):\n        pass\nclass A:\n    for y in range(2):\n        pass")
    assert set(why(found).values()) == {"in a `finally` block", "in a class's body"}
    assert found.matters == ([], [])


def test_an_awaited_coroutine_is_entered_again() -> None:
    found = look("await work(3)")
    assert why(found) == {"work():16": ""} and found.inside and found.matters == ([], [])


@pytest.mark.parametrize(
    ("cell", "told"),
    [
        ("gs.fit([[1]], [1])", ("GridSearchCV.fit()", "scikit-learn", True, False)),
        ("model = Linear()\nmodel.fit([[1]], [1])", ("SGDClassifier.fit()", "scikit-learn", False, False)),
        ("Tuned().fit([[1]], [1])", ("Tuned.fit()", "scikit-learn", False, False)),
        ("from sklearn.pipeline import make_pipeline as pipe\np = pipe(Linear())\np.fit(1)", ("Pipeline.fit()", "scikit-learn", False, False)),
        ("sklearn.model_selection.cross_val_score(Linear(), [1])", ("sklearn.model_selection.cross_val_score()", "scikit-learn", True, False)),
        ("from sklearn.model_selection import cross_val_score as score\nscore(1)", ("score()", "scikit-learn", True, False)),
        ("scipy.optimize.minimize(abs, [1])", ("scipy.optimize.minimize()", "SciPy", False, False)),
        ("from scipy import optimize as o\no.differential_evolution(abs, [])", ("o.differential_evolution()", "SciPy", True, False)),
        ("import lightning as L\nL.Trainer(max_epochs=3).fit(net)", ("Trainer.fit()", "Lightning", True, False)),
        ("from keras import Sequential\nm = Sequential([])\nm.compile()\nm.fit(1)", ("Sequential.fit()", "Keras", True, False)),
        ("import xgboost as xgb\nb = xgb.train({}, 1)", ("xgb.train()", "XGBoost", True, False)),
        ("from stable_baselines3 import PPO\nPPO('M', 1).learn(10)", ("PPO.learn()", "Stable-Baselines3", True, False)),
        ("import optuna\nstudy = optuna.create_study()\nstudy.optimize(train, 3)", ("Study.optimize()", "Optuna", True, False)),
        ("from joblib import Parallel\nParallel(2)(jobs)", ("Parallel()", "joblib", True, False)),
        ("!python train.py", ("`!python train.py`", "a command", False, False)),
        ("subprocess.run(['ls'])", ("subprocess.run()", "a command", False, False)),
        ("learner.fit_one_cycle(3)", ("learner.fit_one_cycle()", "a library", False, True)),
        ("made[0].fit(3)", ("made[0].fit()", "a library", False, True)),
    ],
)
def test_long_calls_are_known_by_what_they_are_called_on(cell: str, told: tuple[str, str, bool, bool]) -> None:
    found = look(cell)
    assert told in calls(found)
    assert [call.text for call in found.matters[1]] == [told[0]], "it is the whole cell, so it matters"


@pytest.mark.parametrize("cell", ["model.train()", "net.fit(3)", "x = gs", "import torch\ntorch.nn.Linear(1, 1).train()", "len([1])"])
def test_what_is_no_long_call_is_not_told(cell: str) -> None:
    assert look(cell).calls == []


def test_a_method_of_the_notebooks_own_is_no_long_call_of_the_library_below() -> None:
    setup = SETUP + "class Base(Linear):\n    def fit(self, X, y):\n        for row in X:\n            pass\n"
    for cell in ("Base().fit([1], [1])", "class Own(Base):\n    pass\nmodel = Own()\nmodel.fit([1], [1])"):
        found = look(cell, setup)
        assert found.calls == [] and [loop.why for loop in found.loops if loop.function == "Base.fit()"] == [""]


def test_a_short_call_inside_a_loop_is_not_told_before_and_a_long_one_is() -> None:
    assert look("for i in range(3):\n    Linear().fit([[1]], [1])").matters == ([], [])
    assert [call.line for call in look("for i in range(3):\n    gs.fit([[1]], [1])").matters[1]] == [3]


def test_a_name_with_two_meanings_is_not_guessed() -> None:
    found = look("model = Linear()\nmodel = net\nmodel.fit(3)")
    assert all(not call.library.startswith("scikit") for call in found.calls)


def test_no_property_runs_and_nothing_is_imported() -> None:
    setup = "class Odd:\n    @property\n    def model(self):\n        raise SystemExit\n    def __getattr__(self, name):\n        raise SystemExit\nodd = Odd()"
    assert "wave" not in sys.modules
    found = look("import wave\nodd.model.fit(1)\nodd.other.fit(1)\nwave.open('x').fit(1)\n", setup)
    assert "wave" not in sys.modules
    assert {call.maybe for call in found.calls} == {True}


@pytest.mark.parametrize(
    "cell",
    [
        "t = Trainer(1)\nt.train()\ndel t",
        "t = None\nt = Trainer(1)\nt.train()\nt = None",
        "class Own(Trainer):\n    def compute_loss(self, model, inputs):\n        return 0\nt = Own(1)\nt.train()",
        "class Own(Mine):\n    pass\nOwn(1).train()",
        "def work():\n    t = Trainer(1)\n    t.train()\nwork()",
        "def made(n):\n    if n:\n        return Mine(n)\n    t = Mine(1)\n    return t\nt = made(1)\nt.train()",
        "t = earlier()\nt.train()",
        "t = Trainer(1)\nresult = t.train()\nfor row in [1]:\n    pass",
    ],
)
def test_a_trainer_made_in_the_cell_is_known_in_whatever_way_it_is_made(cell: str) -> None:
    setup = "from transformers import Trainer\nclass Mine(Trainer):\n    pass\ndef earlier():\n    return Trainer(1)\n"
    found = look(cell, setup)
    assert [call.steps for call in found.calls if "train" in call.text] == ["transformers.Trainer"]
    assert found.inside and found.matters == ([], [])


@pytest.mark.parametrize(
    "cell",
    [
        "class Own(Trainer):\n    def train(self):\n        return 1\nOwn(1).train()",
        "def made(n):\n    if n:\n        return Trainer(n)\n    return Linear()\nmade(1).train()",
        "def again(n):\n    return again(n - 1)\nagain(1).train()",
        "def made():\n    yield 1\n    return Trainer(1)\nt = made()\nt.train()",
        "@odd\ndef made():\n    return Trainer(1)\nmade().train()",
        "def made():\n    return Trainer(1)\ndef work(made):\n    t = made()\n    t.train()\nwork(Linear)",
        "class Own(Trainer):\n    train = odd\nOwn(1).train()",
        "Whole(1).train()",
        "class Own(Whole):\n    pass\nOwn(1).train()",
        "def work(Trainer):\n    t = Trainer(1)\n    t.train()\nwork(1)",
        "def work():\n    global t\n    t = Trainer(1)\nt = Linear()\nwork()\nt.train()",
    ],
)
def test_what_may_be_no_trainer_is_not_taken_for_one(cell: str) -> None:
    setup = "from transformers import Trainer\ndef odd(f):\n    return f\nclass Whole(Trainer):\n    def train(self):\n        return 1\n"
    found = look(cell, SETUP + setup)
    assert not any(call.steps for call in found.calls)


def test_the_trainer_has_a_safe_point_at_each_step_unless_it_cannot(monkeypatch: pytest.MonkeyPatch) -> None:
    setup = "from transformers import Trainer\nclass Mine(Trainer):\n    pass\n"
    (lazy,) = look("import transformers as tf\nt = tf.Seq2SeqTrainer(1)\nt.train()", "").calls
    assert lazy.steps == "transformers.Trainer"
    (call,) = look("t = Mine(1)\nt.train()", setup).calls
    assert call.steps == "transformers.Trainer" and not call.why
    found = look("t = Mine(1)\nt.train()", setup)
    assert found.inside and found.matters == ([], [])
    barred = look("t = Mine(1)\nx = lambda: t.train()", setup)
    assert [call.why for call in barred.matters[1]] == ["it is called in a lambda"]
    from colab_guard.training import internals

    monkeypatch.setattr(internals, "not_resumable", lambda trainer: "it is odd")
    loop: Any = default_loops()[0]
    cls = sys.modules["transformers.trainer"].Trainer
    assert loop.why_not(object.__new__(cls)) == "it is odd" and loop.why_not(types.SimpleNamespace()) == ""
