"""Labelled sentences: best run, last clear, mirror, connection, and what needs to be known."""

from __future__ import annotations

from colab_guard.panel.state import PanelState
from colab_guard.panel.view import Ago, Fact, Sentence
from colab_guard.panel.words import clip, count, duration, size


def facts(state: PanelState) -> tuple[Fact, ...]:
    found: list[Fact] = []
    if state.sweep is not None and state.sweep.best is not None:
        best = state.sweep.best
        found.append(Fact("best so far", (f"{best.words}: {best.label}" + (f" ({best.params})" if best.params else ""),)))
    if state.freed is not None:
        found.append(_freed(state))
    if state.name and state.saves:
        found.append(_mirror(state))
    found += [Fact("no safe point", (clip(place, 200),), "warn") for place in state.no_points]
    if state.inexact:
        found.append(Fact("not bit-exact", ("; ".join(state.inexact),), "warn"))
    if state.safety.refusals:
        total = sum(count for _, count in state.safety.refusals)
        told = sorted(state.safety.refusals, key=lambda pair: -pair[1])
        reasons = "; ".join(f"{'once' if count == 1 else f'{count:,} times'}: {reason}" for reason, count in told)
        found.append(Fact("refused", (f"{count(total, 'snapshot')} so far: {reasons}",), "warn"))
    if state.safety.not_kept:
        found.append(Fact("not kept", (f"{count(state.safety.not_kept, 'thing')} in no snapshot; see the events",), "warn"))
    connection = _connection(state)
    if connection is not None:
        found.append(connection)
    return tuple(found)


def _freed(state: PanelState) -> Fact:
    freed = state.freed
    assert freed is not None
    gpu = "GPU n/a" if freed.gpu is None else f"GPU {_change(freed.gpu)}"
    words: Sentence = (f"{gpu}, RAM {_change(freed.host)}, ", Ago(freed.at))
    if freed.holders:
        words = (*words, f"; still held by {', '.join(freed.holders)}")
    return Fact("last clear", words)


def _change(freed: int) -> str:
    return f"{size(freed)} freed" if freed >= 0 else f"{size(-freed)} more in use"


def _mirror(state: PanelState) -> Fact:
    mirror = state.mirror
    if state.where is None and mirror.state == "off":
        return Fact("mirror", ("none: --to FOLDER, URL or drive keeps a copy off this machine",))
    where = state.where or "the mirror"
    words = {
        "waiting": f"{where}: nothing sent {'since this start' if state.safety.resumed else 'yet'}",
        "ok": f"{where}: ok",
        "off": f"{where}: closed",
    }.get(mirror.state, f"{where}: {mirror.state}")
    if mirror.reason:
        words += f": {mirror.reason}"
    if mirror.lag_s is not None and mirror.lag_s >= 1:
        words += f", {duration(mirror.lag_s)} behind"
    if mirror.bytes_per_s is not None:
        words += f", {size(int(mirror.bytes_per_s))}/s"
    return Fact("mirror", (words,), "bad" if mirror.state == "degraded" else "calm")


def _connection(state: PanelState) -> Fact | None:
    known = state.connection
    if known.beat_at is None and known.ping_at is None:
        return None
    words: Sentence = ()
    if known.beat_at is not None:
        words = (f"{count(known.beats, 'kernel heartbeat')}, the last ", Ago(known.beat_at))
    if known.ping_at is not None:
        joint = "; " if words else ""
        words = (
            *words,
            f"{joint}browser {'LOST, last ' if known.lost else ''}heard ",
            Ago(known.ping_at),
            f" ({count(known.pings, 'ping')})",
        )
        if known.round_trip_s is not None:
            words = (*words, f", round trip {known.round_trip_s * 1000:.0f} ms")
        if known.returns:
            words = (*words, f", {count(known.returns, 'reconnect')}")
    return Fact("connection", words, "warn" if known.lost else "calm")
