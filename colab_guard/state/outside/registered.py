"""State that the user registers: what no adapter knows, kept by two functions of the user's.

    import colab_guard
    colab_guard.register_state("simulator", sim.dump, sim.load)
    colab_guard.register_state("bandit", bandit)                    # an object with state_dict and load_state_dict

`get` is called at every snapshot and what it gives goes into it, with the user's names as one graph; `set` is called on a
resume, after the names are back and before the code goes on. What `get` raises refuses the snapshot, which is shown.
State that the comparison named is named no longer when it is registered by that name: "somelib.registry", or "somelib".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from colab_guard.errors import BadOption, CannotResume, SnapshotRefused

Pair = tuple[Callable[[], Any], Callable[[Any], object]]
REGISTERED: dict[str, Pair] = {}


def register_state(name: str, get: Any, set: Callable[[Any], object] | None = None) -> Callable[[], None]:
    """Keep state under `name` in every snapshot; gives the undo.

    `get()` gives it and `set(value)` puts it back; or one object has `state_dict()` and `load_state_dict(value)`. The same
    name is registered again by the same functions (a cell that runs twice), else `unregister_state` it first: BadOption.
    """
    if not isinstance(name, str) or not name.strip():
        raise BadOption(f"register_state needs a name for the state, not {name!r}; type register_state('simulator', get, set)")
    pair = _pair(name, get, set)
    known = REGISTERED.get(name)
    if known is not None and not all(map(_is_same, known, pair)):
        raise BadOption(
            f"state {name!r} is registered already, and replacing it would lose what it keeps; "
            f"colab_guard.unregister_state({name!r}) first, or take another name"
        )
    REGISTERED[name] = pair
    return lambda: REGISTERED.pop(name, None) and None


def unregister_state(name: str) -> None:
    """Keep it no longer; BadOption where nothing is registered under `name`."""
    if REGISTERED.pop(name, None) is None:
        known = ", ".join(map(repr, REGISTERED)) or "nothing"
        raise BadOption(f"no state is registered as {name!r}; registered: {known}")


def registered_names() -> frozenset[str]:
    """The names under which state is registered now."""
    return frozenset(REGISTERED)


def _pair(name: str, get: Any, set: Any) -> Pair:
    if set is None and hasattr(get, "state_dict") and hasattr(get, "load_state_dict"):
        return get.state_dict, get.load_state_dict
    if not callable(get) or not callable(set):
        wrong, what = ("get", get) if not callable(get) else ("set", set)
        raise BadOption(
            f"register_state({name!r}): {wrong} is {type(what).__name__}, which cannot be called; give two functions "
            "get() and set(value), or one object with state_dict() and load_state_dict(value)"
        )
    return get, set


def _is_same(one: Any, other: Any) -> bool:
    """Whether both are one function, perhaps defined again by the cell that ran again."""
    if one == other:
        return True
    names = [(getattr(f, "__module__", None), getattr(f, "__qualname__", None)) for f in (one, other)]
    return names[0] == names[1] and names[0][0] == "__main__"


def covers(path: str) -> bool:
    """Whether state is registered under `path` ("somelib.registry"), or under what holds it ("somelib")."""
    return any(path == name or path.startswith(f"{name}.") for name in REGISTERED)


def values() -> dict[str, Any]:
    """What all registered functions give now; SnapshotRefused where one fails."""
    found = {}
    for name, (get, _) in list(REGISTERED.items()):
        try:
            found[name] = get()
        except Exception as error:  # the user's function: whatever it raises means that this state is not kept now
            raise SnapshotRefused(f"the registered state {name!r}: {_called(get)} raised {type(error).__name__}: {error}") from error
    return found


def set_values(values: dict[str, Any]) -> None:
    """Hand each registered function what it gave; CannotResume where one fails. What is not registered was decided before."""
    for name, value in values.items():
        if name not in REGISTERED:
            continue
        try:
            REGISTERED[name][1](value)
        except Exception as error:
            raise CannotResume(
                f"the registered state {name!r} cannot be put back: {_called(REGISTERED[name][1])} raised {type(error).__name__}: {error}"
            ) from error


def _called(function: Any) -> str:
    return f"{getattr(function, '__qualname__', type(function).__name__)}()"
