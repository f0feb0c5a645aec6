"""Estimates that were made: kept in memory, and in one private file each under the home folder, by all that they depend on."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from colab_guard import hosts
from colab_guard.plan.step import Step

FORMAT = 1
"""Counted up when estimates are made otherwise: what was kept before is not read then."""
VERSIONS_OF = ("torch", "transformers", "peft")

_IN_MEMORY: dict[str, dict[int, dict[str, Any]]] = {}


def key(model: Any, step: Step, device: hosts.Device) -> str:
    """A hash of the model's config (or a live model's tensors), the step without its batch, the device and the libraries."""
    told = step.to_dict()
    del told["batch"]
    parts = [FORMAT, of_model(model), told, device.kind, device.name, device.capability, [_version(name) for name in VERSIONS_OF]]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, default=str).encode()).hexdigest()[:32]


def load(key: str) -> dict[int, dict[str, Any]]:
    """What is kept under `key`, by batch; nothing where the file is not there or cannot be read."""
    if key not in _IN_MEMORY:
        try:
            found = json.loads(_file(key).read_bytes())
            _IN_MEMORY[key] = {int(batch): dict(one) for batch, one in found.items()}
        except (OSError, ValueError, AttributeError, TypeError):
            return {}  # made anew, and written over
    return dict(_IN_MEMORY[key])


def save(key: str, found: dict[int, dict[str, Any]]) -> None:
    """Keep `found` under `key`; where the disk does not take it, in memory only."""
    from colab_guard import store

    _IN_MEMORY[key] = dict(found)
    try:
        store.make_private_folder(_file(key).parent)
        store.write_private(_file(key), json.dumps(found).encode())
    except OSError:
        return  # it costs seconds next time, and nothing else


def forget() -> None:
    """What is in memory; files stay."""
    _IN_MEMORY.clear()


def _file(key: str) -> Path:
    return hosts.home() / ".estimates" / f"{key}.json"


def _version(name: str) -> str:
    import importlib.metadata

    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def of_model(model: Any) -> Any:
    kind = f"{type(model).__module__}.{type(model).__qualname__}"
    if callable(getattr(model, "named_parameters", None)):
        tensors = [*model.named_parameters(), *model.named_buffers()]
        told = [(name, list(tensor.shape), str(tensor.dtype), tensor.requires_grad) for name, tensor in tensors]
        return [kind, repr(model), told, _of_config(getattr(model, "config", None))]
    return [kind, _of_config(model)]


def _of_config(config: Any) -> Any:
    if not hasattr(config, "to_dict"):
        return config if isinstance(config, dict) else None
    told = dict(config.to_dict())
    for name in ("_name_or_path", "transformers_version", "use_cache"):
        told.pop(name, None)
    return told
