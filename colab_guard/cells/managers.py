"""Context managers on the way to a position: which come back as they were, and which are made anew.

The notebook's own come back entered, with their state. A library's generator that serves for one `with` is made anew by the
expression that had made it, and entered again. Of what it computed when it was entered, and puts back at its end:

- arrays, tensors and states of random generators, and what `PUT_BACK` names, get the values that they had;
- other plain values are compared by their hashes: where one differs, the resume is not exact, and says so.
"""

from __future__ import annotations

import ctypes
import gc
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import FrameType, MethodType, TracebackType
from typing import Any

from colab_guard import state

PUT_BACK = {
    ("matplotlib", "rc_context"): ("orig",),
    ("sklearn._config", "config_context"): ("old_config",),
    ("torch.nn.attention", "sdpa_kernel"): ("previous_backends",),
}
"""By module and name of the generator: variables with what was in force outside."""
WORDS_OF_RANDOM = 625
DEEPEST = 4


def serves_once(manager: Any) -> bool:
    """Whether it is a generator with a `yield`, made by `@contextmanager`."""
    return type(manager).__name__ == "_GeneratorContextManager"


def is_notebooks(manager: Any) -> bool:
    """Whether it is code of the notebook."""
    if serves_once(manager):
        frame = manager.gen.gi_frame
        return frame is not None and frame.f_globals.get("__name__") == "__main__"
    return type(manager).__module__ == "__main__"


class ReEntered:
    """A context manager that was entered before the loss: its restored state is that of the entered one."""

    def __init__(self, manager: Any) -> None:
        self.re_entered = manager

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        __tracebackhide__ = True
        return type(self.re_entered).__exit__(self.re_entered, kind, error, trace)


@dataclass(slots=True)
class Computed:
    """What one generator had computed when it was entered: values to be put back, and hashes of others."""

    name: str
    values: dict[str, Any] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)


class MadeAnew:
    """A library's context manager, made anew; it is told what the one before had `computed` once it is entered."""

    def __init__(self, manager: Any, computed: list[Computed], say: Callable[[str], None]) -> None:
        self.re_entered = manager
        self._computed = computed
        self._say = say

    def __enter__(self) -> Any:
        __tracebackhide__ = True
        value = type(self.re_entered).__enter__(self.re_entered)
        for frame, computed in zip(_frames(self.re_entered), self._computed, strict=False):
            self._put_back(frame, computed)
        return value

    def _put_back(self, frame: FrameType, before: Computed) -> None:
        now = _computed(frame)
        if now.name != before.name:
            return
        set_variables(frame, before.values)
        if other := [name for name, was in before.hashes.items() if now.hashes.get(name) != was]:
            self._say(
                f"{before.name}() around the position was entered again, and what it then noted is not what it had noted before "
                f"the loss ({', '.join(other)}): at its end it may put back something else"
            )

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> Any:
        __tracebackhide__ = True
        return type(self.re_entered).__exit__(self.re_entered, kind, error, trace)


def kept(manager: Any) -> Any:
    """What a snapshot keeps of a manager that is entered: a list of `Computed` for one that is made anew."""
    if isinstance(manager, (ReEntered, MadeAnew)):
        manager = manager.re_entered
    return list(map(_computed, _frames(manager))) if is_made_anew(manager) else manager


def is_made_anew(manager: Any) -> bool:
    return serves_once(manager) and not is_notebooks(manager)


def stands_for_anew(kept: Any) -> bool:
    """Whether what a snapshot `kept` is of a manager that is to be made anew."""
    return type(kept) is list


def _frames(manager: Any) -> Iterator[FrameType]:
    """The generator's frame, and those of other such managers that it has entered."""
    frame = manager.gen.gi_frame
    for _ in range(DEEPEST):
        if frame is None:
            return
        yield frame
        exits = (part for part in gc.get_referents(manager.gen) if isinstance(part, MethodType) and part.__name__ == "__exit__")
        manager = next((method.__self__ for method in exits if is_made_anew(method.__self__)), None)
        if manager is None:
            return
        frame = manager.gen.gi_frame


def _computed(frame: FrameType) -> Computed:
    code, module = frame.f_code, str(frame.f_globals.get("__name__"))
    found = Computed(f"{module}.{code.co_name}")
    arguments = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    named = PUT_BACK.get((module, code.co_name), ())
    for name, value in frame.f_locals.items():
        if name in named:
            found.values[name] = value
        elif name not in arguments and name in code.co_varnames and (told := state.fingerprint(value)) is not None:
            if _is_data(value):
                found.values[name] = value
            else:
                found.hashes[name] = told
    return found


def _is_data(value: Any) -> bool:
    """Whether a plain value holds arrays, tensors or the state of a random generator."""
    if isinstance(value, (list, tuple)):
        return len(value) == WORDS_OF_RANDOM or any(map(_is_data, value))
    if isinstance(value, Mapping):
        return any(map(_is_data, value.values()))
    return hasattr(value, "dtype")


def set_variables(frame: FrameType, values: Mapping[str, Any]) -> None:
    """Assign local variables of a generator that waits."""
    frame.f_locals.update(values)
    if sys.version_info < (3, 13) and values:
        ctypes.pythonapi.PyFrame_LocalsToFast(ctypes.py_object(frame), ctypes.c_int(0))
