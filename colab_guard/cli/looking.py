"""`colab-guard show`: a store in words, or as JSON. What records say is shown with control characters taken out."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from colab_guard import store

ROWS = 20
CHANGES_TOLD = 4
BUFFERS_TOLD = 40
UNIT_TOLD = 400
"""Characters of what a unit logged."""
UNITS = (("GiB", 2**30), ("MiB", 2**20), ("KiB", 2**10))


def rows(path: Path, *, everything: bool) -> Iterator[str]:
    """The commits of the store at `path`, who holds it, and what is to be known; the newest 20, or all."""
    found = store.describe_newest(path, None if everything else ROWS)
    shown, count = found.rows, found.in_all
    yield holder_words(path)
    if found.unreadable:
        yield unreadable_words(path, found.unreadable)
    for row in shown:
        mark = "whole" if row.whole else "record only"
        size_words = f"{size(row.bytes_total)} ({size(row.bytes_new)} new)"
        yield plain(f"{row.commit}  {row.kind:<4}  {age(row.created):>7} ago  {size_words:>26}  {mark:<11}  {row.position}")
        if row.unit:
            yield plain(f"    unit     {row.unit}")
        if row.changed:
            yield plain(f"    changed  {change_words(row.changed)}")
    if count > len(shown):
        yield f"and {count - len(shown):,} older; --all shows them, --commit ID one of them"
    for reason in shown[0].inexact if shown else ():
        yield plain(f"not bit-exact since a resume: {reason}")


def as_json(path: Path, *, everything: bool) -> str:
    """The same as data."""
    found = store.describe_newest(path, None if everything else ROWS)
    held = store.holder(path)
    told = {
        "store": str(path),
        "holder": asdict(held) if held is not None else None,
        "commits": list(map(asdict, found.rows)),
        "in_all": found.in_all,
        "unreadable": list(map(asdict, found.unreadable)),
    }
    return json.dumps(told, indent=1)


def one(path: Path, commit: str) -> Iterator[str]:
    """One commit: its entries with their shapes, its files, and what it says of itself."""
    view = store.StoreView(path)
    record = store.chosen_commit(view, commit)
    assert record is not None
    raw, meta = dict(record.raw), record.meta
    yield f"commit    {record.id}  ({record.kind}, {time.strftime('%Y-%m-%d %H:%M:%S', time.localtime(record.created))})"
    yield plain(f"position  {record.position.get('text', '')}")
    yield f"parent    {record.parent or 'none'}"
    yield plain(f"notebook  {raw.get('notebook') or 'unknown'}")
    yield f"size      {size(record.bytes_total)} ({size(record.bytes_new)} new)"
    if record.unit is not None:
        told = json.dumps(record.unit["record"], ensure_ascii=False)[:UNIT_TOLD]
        yield plain(f"unit      {record.unit['group']} {record.unit['key']}: {told}")
    yield from _table("parts", (f"{name:<44} {size(entry['size']):>10}" for name, entry in sorted(raw["parts"].items())))
    yield from _table("buffers", map(_buffer, raw["buffers"]))
    for what, listed in (("files", raw["files"]), ("unit's files", raw["unit_files"])):
        yield from _table(what, (f"{name:<44} {size(entry['size']):>10}  {entry['mode']:o}" for name, entry in sorted(listed.items())))
    yield from _table("not kept", map(str, _listed(meta.get("not_kept"))))
    yield from _table("not bit-exact", map(str, _listed(meta.get("inexact"))))
    versions = meta.get("versions")
    if isinstance(versions, Mapping):
        yield plain(f"versions  {', '.join(f'{name} {version}' for name, version in versions.items())}")


def one_as_json(path: Path, commit: str) -> str:
    """The commit's record, with its id."""
    record = store.chosen_commit(store.StoreView(path), commit)
    assert record is not None
    return json.dumps({"id": record.id, **dict(record.raw)}, indent=1)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _table(title: str, lines: Iterable[str]) -> Iterator[str]:
    every = list(lines)
    if not every:
        return
    yield f"{title}:"
    yield from (plain(f"  {line}") for line in every[:BUFFERS_TOLD])
    if len(every) > BUFFERS_TOLD:
        yield f"  and {len(every) - BUFFERS_TOLD} more; --json has them all"


def _buffer(buffer: Mapping[str, Any]) -> str:
    shape = "x".join(map(str, buffer.get("shape", ()))) or "scalar"
    stride = ",".join(map(str, buffer.get("stride", ())))
    name = str(buffer.get("label") or buffer["key"])
    return f"{name:<44} {size(buffer['size']):>10}  {buffer.get('dtype', '?')!s:<9} {shape}  stride {stride or '-'}"


def holder_words(path: Path) -> str:
    """Who writes the store, in words."""
    held = store.holder(path)
    if held is None:
        return "held by nobody that can be told: no lease can be read"
    where = f"process {held.pid} on {held.host}"
    who = plain(f"{where} (generation {held.generation}, notebook {held.notebook or 'unknown'})")
    return f"held by {who} for {age(held.since)}" if held.held else f"held by nobody; written last by {who}"


def unreadable_words(path: Path, unreadable: Sequence[store.PassedOver]) -> str:
    """Which commits cannot be read, the newest first; most often there is one."""
    newest = max(unreadable, key=lambda problem: problem.commit)
    more = f", and {len(unreadable) - 1} more" if unreadable[1:] else ""
    return plain(f"cannot be read: {newest.commit} ({newest.reason}){more}; colab-guard verify {path} tells all that is damaged")


def change_words(changed: tuple[store.Changed, ...]) -> str:
    """What is new, the largest first."""
    told = [f"{change.name} {size(change.new)}" for change in changed[:CHANGES_TOLD]]
    rest = changed[CHANGES_TOLD:]
    return ", ".join([*told, f"and {len(rest)} more ({size(sum(change.new for change in rest))})"] if rest else told)


def plain(text: str) -> str:
    """`text` as one line without control characters: a record of somebody else must not move a terminal's cursor."""
    return "".join(char if char.isprintable() else "�" for char in text)


def size(count: int) -> str:
    """Bytes in words."""
    for unit, many in UNITS:
        if count >= many:
            return f"{count / many:.1f} {unit}"
    return f"{count} B"


def age(created: float) -> str:
    """How long ago `created` (seconds since the epoch) was."""
    seconds = max(time.time() - created, 0.0)
    for limit, unit, words in ((120, 1, "s"), (7200, 60, "min"), (172_800, 3600, "h")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {words}"
    return f"{seconds / 86_400:.0f} d"
