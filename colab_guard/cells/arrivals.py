"""A library that is imported only while the cell runs: what waits for it is done as soon as its module is there.

`transformers` loads `Trainer` when the name is first used, and many cells begin with their imports: at the start of
such a cell there is nothing yet to hook a `LibraryLoop` into.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any


class _Watch(MetaPathFinder):
    def __init__(self, module: str, then: Callable[[], None]) -> None:
        self._module = module
        self._then: Callable[[], None] | None = then

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != self._module or self._then is None:
            return None
        others = (finder for finder in sys.meta_path if finder is not self and hasattr(finder, "find_spec"))
        spec = next((found for finder in others if (found := finder.find_spec(name, path, target))), None)
        if spec is not None and spec.loader is not None:
            self._tell_after(spec.loader)
        return spec

    def _tell_after(self, loader: Any) -> None:
        execute = loader.exec_module

        def exec_module(module: ModuleType) -> None:
            del loader.exec_module
            execute(module)
            then, self._then = self._then, None
            if then is not None:
                then()

        loader.exec_module = exec_module

    def forget(self) -> None:
        self._then = None
        if self in sys.meta_path:
            sys.meta_path.remove(self)


@contextmanager
def when_imported(module: str, then: Callable[[], None]) -> Iterator[None]:
    """Within, `then()` is called once, right after `module` was imported."""
    watch = _Watch(module, then)
    sys.meta_path.insert(0, watch)
    try:
        yield
    finally:
        watch.forget()
