"""`run.save`: things in their usual formats."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from colab_guard.errors import BadOption
from colab_guard.store import make_private_folder


def save_thing(thing: Any, target: Path) -> None:
    """Write `thing` as `target` (a folder for models, else a file); what was there before is replaced."""
    if target.is_dir():
        shutil.rmtree(target)
    target.unlink(missing_ok=True)
    make_private_folder(target.parent)
    _write(thing, target)
    make_private(target)


def make_private(target: Path) -> None:
    """Let only their user read the file `target`, or all in the folder `target`: libraries write as the umask has it."""
    for path in (target, *target.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o700 if path.is_dir() else 0o600)


def write_file(target: Path, content: bytes) -> None:
    """Write a file of a run that was saved before."""
    make_private_folder(target.parent)
    target.write_bytes(content)
    make_private(target)


def _write(thing: Any, target: Path) -> None:
    if hasattr(thing, "save_pretrained"):
        thing.save_pretrained(str(target))
    elif hasattr(thing, "state_dict") and hasattr(thing, "parameters"):
        from safetensors.torch import save_model

        target.mkdir(parents=True)
        save_model(thing, str(target / "model.safetensors"))
    elif isinstance(thing, Path) and thing.exists():
        (shutil.copytree if thing.is_dir() else shutil.copy2)(thing, target)
    elif isinstance(thing, bytes):
        target.write_bytes(thing)
    elif isinstance(thing, str):
        target.write_text(thing)
    elif hasattr(thing, "savefig"):
        thing.savefig(target, format=target.suffix.lstrip(".") or "png", bbox_inches="tight")
    elif hasattr(thing, "to_csv"):
        thing.to_csv(target)
    elif hasattr(thing, "detach"):  # a tensor, on any device
        _write(thing.detach().cpu().numpy(), target)
    elif hasattr(thing, "__array_interface__"):
        import numpy

        with target.open("wb") as file:
            numpy.save(file, thing)
    elif isinstance(thing, (dict, list)):
        _save_json(thing, target)
    else:
        raise BadOption(
            f"run.save cannot save a {type(thing).__name__}; give a model, an array, a table, a figure, text, bytes or a dict"
        )


def _save_json(thing: Any, target: Path) -> None:
    try:
        text = json.dumps(thing, indent=1)
    except TypeError as error:
        raise BadOption(f"run.save cannot write this {type(thing).__name__} as JSON: {error}") from None
    target.write_text(text)
