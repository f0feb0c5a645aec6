"""Parameters of runs: grids of them, and the key by which a run is known for ever."""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Iterable, Mapping
from typing import Any

from colab_guard.errors import BadOption

Params = dict[str, Any]


def grid(**axes: Any) -> list[Params]:
    """All combinations of the axes, the last one changing fastest; a value that is no list counts as one.

        grid(model=["vit", "swin"], rank=[2, 4])    # 4 runs
    """
    lists = [list(v) if isinstance(v, (list, tuple, range)) else [v] for v in axes.values()]
    for name, values in zip(axes, lists, strict=True):
        if not values:
            raise BadOption(f"grid: {name} has no values, so there would be no runs; give at least one")
    return [dict(zip(axes, combination, strict=True)) for combination in itertools.product(*lists)]


def key_of(params: Mapping[str, Any]) -> str:
    """The hash of `params` as canonical JSON: equal in every process, different for 1, 1.0, True and "1"."""
    try:
        text = json.dumps(_tagged(params), sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise BadOption(
            f"the parameters {dict(params)!r} are not plain ({error}); use numbers, texts, lists and dicts, and build "
            "objects inside the loop"
        ) from None
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _tagged(value: Any) -> Any:
    """JSON that tells apart what Python's == does not."""
    if isinstance(value, Mapping):
        return {str(name): _tagged(item) for name, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_tagged(item) for item in value]
    if isinstance(value, (bool, str, type(None))):
        return value
    if isinstance(value, (int, float)):
        return {type(value).__name__: value}
    raise TypeError(f"a {type(value).__name__} has no plain form")


def checked(params: Iterable[Mapping[str, Any]]) -> dict[str, Params]:
    """Key → parameters; BadOption for none, or the same ones twice."""
    found: dict[str, Params] = {}
    for entry in params:
        if not isinstance(entry, Mapping):
            raise BadOption(f"a run's parameters are a dict, not {entry!r}; use grid(...) or a list of dicts")
        key = key_of(entry)
        if key in found:
            raise BadOption(f"the parameters {dict(entry)!r} come twice; each run must differ, add e.g. seed=")
        found[key] = dict(entry)
    if not found:
        raise BadOption("a sweep needs at least one run; give grid(...) or a list of dicts")
    return found


def label_of(params: Mapping[str, Any]) -> str:
    """For people: the first value alone, the others with their names ("vit · rank 4")."""
    words = [str(value) if number == 0 else f"{name} {value}" for number, (name, value) in enumerate(params.items())]
    return " · ".join(words) or "run"
