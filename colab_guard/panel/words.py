"""Numbers and names as people read them. All text from outside goes through `clip` once."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import UTC, datetime

GIB = 2**30
MIB = 2**20

# C0 and C1 controls (a terminal obeys them), direction overrides (they reorder what is read), and lone surrogates
_UNSEEN = re.compile("[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]+")


def clip(text: object, limit: int = 80) -> str:
    """One line of at most `limit` characters, without control characters."""
    line = " ".join(_UNSEEN.sub(" ", str(text)).split())
    return line if len(line) <= limit else line[: limit - 1].rstrip() + "…"


def duration(seconds: float) -> str:
    """12 s, 4 min 05 s, 2 h 13 min."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def clock_time(at: float) -> str:
    """14:02:48 UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M:%S UTC")


def minute(at: float) -> str:
    """14:02, of UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%H:%M")


def date_time(at: float) -> str:
    """2026-11-24 14:02:48 UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: float) -> str:
    """10.9 GiB, 312 MiB, 4 KiB."""
    if abs(count) >= GIB:
        return f"{count / GIB:.1f} GiB"
    if abs(count) >= MIB:
        return f"{count / MIB:.0f} MiB"
    return f"{count / 1024:.0f} KiB"


def short_size(count: float, unit: int, digits: int = 1) -> str:
    """10.9 (of a unit that stands beside it)."""
    return f"{count / unit:.{digits}f}"


def of(used: float, total: float) -> str:
    """10.9 of 15.0 GiB: both in the unit of the total."""
    unit, name = unit_of(total)
    digits = 1 if unit == GIB else 0
    return f"{short_size(used, unit, digits)} of {short_size(total, unit, digits)} {name}"


def unit_of(count: float) -> tuple[int, str]:
    """Bytes and name of the unit in which `size` tells a number of bytes."""
    return (GIB, "GiB") if abs(count) >= GIB else (MIB, "MiB") if abs(count) >= MIB else (1024, "KiB")


def rough(seconds: float) -> str:
    """An estimate: 40 s, 12 min, 2 h 10 min."""
    if seconds < 90:
        return f"{max(10, math.ceil(seconds / 10) * 10)} s"
    if seconds < 90 * 60:
        return f"{round(seconds / 60)} min"
    tens = round(seconds / 600)
    return f"{tens // 6} h {tens % 6 * 10:02d} min" if seconds < 36_000 else f"{round(seconds / 3600)} h"


def between(low: float, high: float) -> str:
    """Two estimates as one: 12 to 17 min, 50 s to 2 min, about 3 h."""
    one, other = rough(low), rough(max(low, high))
    if one == other:
        return f"about {one}"
    alike = one.count(" ") == 1 and one.split()[1] == other.split()[1] and other.count(" ") == 1
    return f"{one.split()[0]} to {other}" if alike else f"{one} to {other}"


def number(value: object) -> str:
    """0.9123, 12, 3.1e-05; words as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return clip(value, 24)
    return str(value) if isinstance(value, int) and abs(value) < 10**9 else f"{value:.4g}"


def pairs(values: Mapping[str, object], joint: str, limit: int) -> str:
    """`model=vit, rank=4` (joint "=") or `accuracy 0.91, loss 0.3` (joint " ")."""
    return clip(", ".join(f"{key}{joint}{number(value)}" for key, value in list(values.items())[:8]), limit)


def finite(value: object) -> bool:
    """Whether `value` is a number that can be drawn."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def count(number: int, what: str) -> str:
    """1 step, 12 steps."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"
