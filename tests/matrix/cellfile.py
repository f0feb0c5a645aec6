"""The files of cells: read, checked and listed (the format is in the package's docstring)."""

from __future__ import annotations

import ast
import fnmatch
import re
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "cells"
HEADS = ("needs", "stacks", "unit", "every", "options", "depth", "inside", "says")
INSIDE = ("yes", "between", "no")
MARK = re.compile(r"^# %% (setup|cell|after)\s*$", re.MULTILINE)
HEAD = re.compile(r"^# (\w+): *(.*?) *$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Cell:
    """One file: `setup` and `after` are plain cells around the guarded `body`."""

    name: str
    construct: str
    setup: tuple[str, ...]
    body: str
    after: tuple[str, ...]
    needs: tuple[str, ...] = ()
    stacks: tuple[str, ...] = ()
    unit_s: float = 0.01
    every_s: float = 0.05
    options: str = ""
    depth: int = 1
    inside: str = "yes"
    says: str = ""


class BadCellFile(ValueError):
    """A file that is not in the format; the text says where and what is missing."""


def listed(glob: str = "*") -> list[Cell]:
    """The cells whose names match, in order."""
    return [read(path) for path in sorted(FOLDER.glob("*.py")) if fnmatch.fnmatch(path.stem, glob)]


def read(path: Path) -> Cell:
    text = path.read_text(encoding="utf-8")
    first, *rest = MARK.split(text)
    head = first.strip()
    kinds, bodies = rest[::2], rest[1::2]
    if kinds.count("cell") != 1:
        raise BadCellFile(f"{path.name}: one `# %% cell` is needed, {kinds.count('cell')} found")
    construct = ast.get_docstring(ast.parse(head))
    if not construct:
        raise BadCellFile(f"{path.name}: the first line must be a docstring that names the construct")
    told = dict(HEAD.findall(head))
    unknown = sorted(set(told) - set(HEADS))
    if unknown:
        raise BadCellFile(f"{path.name}: unknown head {unknown[0]!r}; known are {', '.join(HEADS)}")
    inside = told.get("inside", "yes")
    if inside not in INSIDE:
        raise BadCellFile(f"{path.name}: `# inside:` is one of {', '.join(INSIDE)}, not {inside!r}")
    at = kinds.index("cell")
    if "setup" in kinds[at:] or "after" in kinds[:at]:
        raise BadCellFile(f"{path.name}: setup, cell, after is the order")
    if "tick(" not in text:
        raise BadCellFile(f"{path.name}: no tick() in it, so that nothing could be counted")
    return Cell(
        name=path.stem,
        construct=construct.splitlines()[0],
        setup=tuple(body.strip("\n") for body in bodies[:at]),
        body=bodies[at].strip("\n"),
        after=tuple(body.strip("\n") for body in bodies[at + 1 :]),
        needs=_words(told.get("needs", "")),
        stacks=_words(told.get("stacks", "")),
        unit_s=float(told.get("unit", 0.01)),
        every_s=float(told.get("every", 0.05)),
        options=told.get("options", ""),
        depth=int(told.get("depth", 1)),
        inside=inside,
        says=told.get("says", ""),
    )


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())
