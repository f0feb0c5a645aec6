"""What a guarded cell reads from the cells before it: printed at its start, compared when a commit is taken up.

A commit holds the values of all that the cell uses, and after a resume those are in force. What a person may have meant
to change must not be passed over by that, and what merely differs from kernel to kernel (a clock, a model made without a
seed) must not stop anybody. So a value that differs now is judged by its kind and by the code that made it:

what                                            its code is the same      its code changed            no cell shows its code
functions, classes, modules beside the notebook an error                  an error                    an error
numbers, texts, flags, configurations of these  said, committed value     an error                    an error
arrays, tensors, tables, models, other objects  said, committed value     an error                    said, committed value
not in the snapshot (`--skip`)                  an error                  an error                    an error

A name that is missing now is no error: its setup cell was not run again, and the committed value is used. Names that the
last run in this kernel left as they are now are no change either. A table that a sweep's cell looks into may have new
entries. Values that cannot be compared are told by `explain`. Prints are those of the run's first start: what the cell
changed itself is not a change of its inputs. They travel from commit to commit, through every resume.
"""

from __future__ import annotations

import time
import types
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from colab_guard import cells, state

LOOK_S = 1.0
"""Time for all inputs of a cell; what comes later has no print, and is not compared."""
PARTS_TOLD = 3


@dataclass(frozen=True, slots=True)
class Input:
    """One name's print, and the hash of the code that made it (None: no cell of this kernel shows it)."""

    print: state.Print
    recipe: str | None = None

    def to_json(self) -> dict[str, Any]:
        return self.print.to_json() | ({"recipe": self.recipe} if self.recipe is not None else {})

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Input:
        return cls(state.Print.from_json(data), data.get("recipe"))


@dataclass(frozen=True, slots=True)
class Left:
    """What a name held when guarded work ended in this kernel: the print of what was typed, the address of the rest."""

    hash: str | None
    address: int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`asked`: changes that a person must decide about; `said`: where the committed value is used, and that is all.

    `grown`: tables that are used as they are here, because entries were added for a sweep's new runs.
    """

    asked: Mapping[str, str] = field(default_factory=dict)
    said: Mapping[str, str] = field(default_factory=dict)
    grown: Mapping[str, state.Print] = field(default_factory=dict)


def look(source: str, namespace: Mapping[str, Any], run_before: Sequence[str]) -> dict[str, Input]:
    """Prints of what `source` (transformed) reads of `namespace`; `run_before`: cells run so far. Changes nothing."""
    until = time.monotonic() + LOOK_S
    recipes = cells.Recipes(run_before)
    found: dict[str, Input] = {}
    inside: dict[str, Any] = {}
    for name in sorted(cells.input_names(source, namespace)):
        value = namespace[name]
        taken = _module(value) if isinstance(value, types.ModuleType) else state.take_print(name, value, until)
        if taken is None or _is_ours(value):
            continue
        found[name] = Input(taken, recipes.of(name, calls=taken.kind == "typed"))
        inside.update(taken.classes)
        inside.update(taken.functions)
    for name, thing in inside.items():
        if "<" not in name and name not in found:
            found[name] = Input(state.take_print(name, thing, until))
    return found


def _module(module: types.ModuleType) -> state.Print | None:
    """A module that lies beside the notebook is code like the notebook's; libraries are compared by their versions."""
    found = None if _is_ours(module) else state.local_module_hash(module)
    return None if found is None else state.Print("code", found, f"{module.__name__}.py")


def _is_ours(value: Any) -> bool:
    """Sweeps and their runs know themselves what changed."""
    name = value.__name__ if isinstance(value, types.ModuleType) else type(value).__module__
    return str(name).split(".")[0] == "colab_guard"


def leave(names: Iterable[str], namespace: Mapping[str, Any]) -> dict[str, Left]:
    """What `names` hold now that work has ended, for the next run in this kernel."""
    return {name: _left(name, namespace[name]) for name in names if name in namespace}


def _left(name: str, value: Any) -> Left:
    taken = state.take_print(name, value, time.monotonic() + LOOK_S / 10)
    return Left(taken.hash if taken.kind in ("typed", "code") else None, id(value))


def compare(
    committed: Mapping[str, Input],
    now: Mapping[str, Input],
    namespace: Mapping[str, Any],
    left: Mapping[str, Left],
    skipped: Iterable[str] = (),
    may_grow: Callable[[str], bool] = lambda name: False,
) -> Comparison:
    """Judge every difference, as the module's table says. `may_grow`: whether new entries of a table do no harm."""
    grown: dict[str, state.Print] = {}
    asked: dict[str, str] = {}
    said: dict[str, str] = {}
    for name, before in committed.items():
        if name not in now:
            if name in skipped and name not in namespace:
                asked[name] = f"{name} is in no snapshot (--skip) and not here; run the cell that makes it"
            continue
        here = now[name]
        if before.print.same_as(here.print) or _is_left(name, here, namespace, left):
            continue
        if may_grow(name) and before.print.grew_into(here.print):
            grown[name] = before.print
            continue
        words = changed_words(name, before.print, here.print)
        (asked if name in skipped or _is_asked(before, here) else said)[name] = words
    return Comparison(asked, said, grown)


def changed_before(
    begun: Mapping[str, Input], now: Mapping[str, Input], left: Mapping[str, Left], namespace: Mapping[str, Any]
) -> list[str]:
    """Names that a run which began with `begun`, and left `left`, has changed, and that are still as it left them."""
    return [
        name
        for name, before in begun.items()
        if name in now and name in left and left[name].address == id(namespace.get(name)) and not before.print.same_as(now[name].print)
    ]


def _is_left(name: str, here: Input, namespace: Mapping[str, Any], left: Mapping[str, Left]) -> bool:
    before = left.get(name)
    if before is None:
        return False
    if here.print.kind in ("typed", "code"):
        return before.hash is not None and before.hash == here.print.hash
    return before.address == id(namespace.get(name))


def _is_asked(before: Input, here: Input) -> bool:
    if "code" in (before.print.kind, here.print.kind):
        return True
    if before.recipe is None or here.recipe is None:
        return "typed" in (before.print.kind, here.print.kind)
    return before.recipe != here.recipe


def changed_words(name: str, before: state.Print, here: state.Print) -> str:
    """What changed, in people's words: "learning_rate: 0.001 → 0.01", "train(): its code changed"."""
    if before.kind == here.kind == "code":
        return _code_words(name, before, here)
    parts = _parts_words(name, before, here)
    if parts:
        return parts
    if before.words != here.words:
        return f"{name}: {before.words} → {here.words}"
    if before.parts and sorted(before.parts.items()) == sorted(here.parts.items()):
        return f"{name}: {here.words} in another order"
    return f"{name}: {here.words} changed"


def _code_words(name: str, before: state.Print, here: state.Print) -> str:
    label = here.words if here.words.endswith((")", ".py")) else name
    mine, theirs = (str(one.hash).split("+") for one in (before, here))
    if mine[:-1] == theirs[:-1] and len(mine) > 1:
        parts = _parts_words(name, before, here)
        return parts or f"{label}: its code changed"
    return f"{label}: its code changed"


def _parts_words(name: str, before: state.Print, here: state.Print) -> str:
    """The parts of a typed value that changed; "" where they are not known."""
    if not before.parts or not here.parts:
        return ""
    paths = [path for path in {**before.parts, **here.parts} if before.parts.get(path) != here.parts.get(path)]
    told = [_part_words(f"{name}{path}", before.parts.get(path), here.parts.get(path)) for path in paths[:PARTS_TOLD]]
    more = len(paths) - len(told)
    return ", ".join(told) + (f" and {more} more" if more > 0 else "")


def _part_words(path: str, before: str | None, here: str | None) -> str:
    if (before or here or "").startswith("#"):
        return f"{path} " + ("is new" if before is None else "is gone" if here is None else "changed")
    return f"{path}: {before or 'not there'} → {here or 'not there'}"


def to_json(found: Mapping[str, Input]) -> dict[str, Any]:
    return {name: one.to_json() for name, one in found.items()}


def from_json(data: Mapping[str, Any]) -> dict[str, Input]:
    return {name: Input.from_json(one) for name, one in data.items()}


def explain(found: Mapping[str, Input]) -> list[str]:
    """One line for each input: what it is, and how it is compared on a resume."""
    lines = []
    for name, one in sorted(found.items()):
        how = "compared whole"
        if one.print.hash is None:
            how = f"cannot be compared ({one.print.why}); the committed value is used"
        elif one.print.sampled:
            how = "too large to be compared whole: samples of it are"
        lines.append(f"{name}: {one.print.words}; {how}")
    return lines
