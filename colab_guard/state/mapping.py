"""State of a device that is not here, brought back on the CPU: only where the user asked for it.

Tensors and generators are put on the CPU when they are rebuilt, `torch.device` objects name it. Texts that name the
device ("cuda:0") are changed where they are a name's value, or an attribute or key called `...device...` of one: deeper
ones cannot be told from other texts, and the code that uses them will say that there is no such device.
"""

from __future__ import annotations

import io
import json
import pickle
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from colab_guard.errors import CannotResume
from colab_guard.state.blocks import BLOCKS, MAPPED, device_usable

CPU = "cpu"


def missing_devices(parts: Mapping[str, bytes]) -> tuple[str, ...]:
    """Devices that hold memory of the snapshot and are not here; imports torch where there are others than the CPU."""
    devices = {str(group["device"]) for group in _large(json.loads(parts[BLOCKS])["groups"])} - {CPU}
    return tuple(sorted(device for device in devices if not device_usable(device)))


def _large(groups: Iterable[Any]) -> Iterator[Mapping[str, Any]]:
    """Those that may lie on a device; small ones of the CPU are lists."""
    return (group for group in groups if isinstance(group, dict))


@contextmanager
def mapped_to_cpu(devices: Iterable[str]) -> Iterator[None]:
    """Meanwhile, what is restored of `devices` comes to lie on the CPU."""
    MAPPED.update(dict.fromkeys(devices, CPU))
    try:
        yield
    finally:
        MAPPED.clear()


class Unpickler(pickle.Unpickler):
    """Binds references to secrets again: `bind` gives what one stands for."""

    bind: Callable[[str], Any]

    def persistent_load(self, told: str) -> Any:
        return self.bind(told)

    def find_class(self, module: str, name: str) -> Any:
        try:
            return super().find_class(module, name)
        except (ImportError, AttributeError) as error:
            raise missing(error) from error


class MappingUnpickler(Unpickler):
    """Rebuilds `torch.device` objects of mapped devices as the CPU's."""

    def find_class(self, module: str, name: str) -> Any:
        return _device if (module, name) == ("torch", "device") else super().find_class(module, name)


def missing(error: Exception) -> CannotResume:
    """What says that something which the snapshot refers to is not in this environment."""
    return CannotResume(f"the snapshot needs a library or a definition that is not here: {error}")


def unpickler(data: bytes, bind: Callable[[str], Any]) -> pickle.Unpickler:
    """Reads `data`; `bind` gives what a reference to a secret stands for."""
    reader = (MappingUnpickler if MAPPED else Unpickler)(io.BytesIO(data))
    reader.bind = bind
    return reader


def _device(kind: str, index: int | None = None) -> Any:
    import torch

    return torch.device(CPU) if _is_mapped(kind, index) else torch.device(*(part for part in (kind, index) if part is not None))


def _is_mapped(kind: str, index: int | None) -> bool:
    return any(device.split(":")[0] == kind for device in MAPPED) and (index is None or f"{kind}:{index}" in MAPPED)


def mapped_words(names: dict[str, Any]) -> None:
    """Change texts that name a mapped device, in place."""
    if not MAPPED:
        return
    for name, value in names.items():
        if _names_device(value):
            names[name] = CPU
            continue
        held = value if isinstance(value, dict) else getattr(value, "__dict__", None)
        if isinstance(held, dict):
            for key in [key for key, part in held.items() if "device" in str(key) and _names_device(part)]:
                held[key] = CPU


def _names_device(value: Any) -> bool:
    if not isinstance(value, str):
        return False
    kind, _, index = value.partition(":")
    return bool(kind) and (not index or index.isdigit()) and _is_mapped(kind, int(index) if index else None)
