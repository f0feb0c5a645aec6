"""The hash seed of kernels that `colab-guard run` starts: one for all of a run, so that sets iterate alike in each of them."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from colab_guard import hosts, store
from colab_guard.errors import GuardError

DEFAULT = "0"
GUARDED = re.compile(r"^\s*%%checkpointed\s+(?:-\S+\s+)*([A-Za-z0-9_][A-Za-z0-9._-]*)", re.MULTILINE)


def hash_seed(sources: Iterable[str], environment: Mapping[str, str] = os.environ) -> str:
    """What the user has set; else that of the newest commit which the notebook's cells go on from; else 0."""
    told = environment.get("PYTHONHASHSEED", "")
    if told.isdigit():
        return told
    names = [name for source in sources for name in GUARDED.findall(source)]
    return next(filter(str.isdigit, map(_committed, names)), DEFAULT)


def _committed(name: str) -> str:
    folder = hosts.home() / name
    if not (folder / "FORMAT").exists():
        return ""
    try:
        newest = next(iter(store.Store.view(folder).commits()), None)
    except (GuardError, OSError):  # what is wrong with it, the guarded cell itself will say
        return ""
    return str(newest.meta.get("surroundings", {}).get("hash seed", "")) if newest is not None else ""
