"""Words as values: durations, fractions, names. What the magics pass on as text and the twins take as either."""

from __future__ import annotations

import re

from colab_guard.errors import BadOption

UNITS_S = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0}
MAX_NAME = 100


def seconds(value: float | str, option: str) -> float:
    """A duration in seconds: 60, "60", "60s", "2m", "1h"; more than zero."""
    match = re.fullmatch(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*([smh]?)\s*", str(value))
    found = float(match[1]) * UNITS_S[match[2]] if match else 0.0
    if found <= 0:
        raise BadOption(f"{option} {value} is not a duration; type a number of seconds, or 60s, 2m, 1h")
    return found


def duration(seconds: float) -> str:
    """A measured time, for people."""
    whole = round(seconds)
    if seconds < 60:
        return f"{seconds:.3g} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 3600 else f"{whole // 3600} h {whole % 3600 // 60} min"


def fraction(value: float | str, what: str, example: str) -> float:
    """A fraction in (0, 1]: 0.85, "0.85", "85%"."""
    text = str(value).strip()
    match = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)\s*(%?)", text)
    found = float(match[1]) / (100 if match[2] else 1) if match else 0.0
    if not 0 < found <= 1:
        percent = f", or {text}%" if match and not match[2] and 1 < found <= 100 else ""
        raise BadOption(f"{what} {text} is not a fraction between 0 and 1; type {example}{percent}")
    return found


def work_name(name: str) -> str:
    """A NAME that is safe as a folder's name everywhere."""
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9._-]*", name) or name.endswith(".") or len(name) > MAX_NAME:
        raise BadOption(
            f"{name!r} cannot be a NAME: it becomes a folder's name, so letters, digits, . _ - (at most {MAX_NAME}) and no . or - "
            "first. Type e.g. my-training"
        )
    return name
