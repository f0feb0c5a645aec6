"""`%keepalive doctor` and `colab-guard doctor`: this host's rules, what is in force, what is left, and the official way.

Reads only. Each line is a fact of `hosts.rules` or of this machine; the sources stand at the end.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from colab_guard.hosts import Fact, Host
from colab_guard.keepalive.limits import LEAD_S, left, spoken

WIDTH = 12


def report(host: Host, in_force: Sequence[str], started: float, now: float) -> str:
    """All lines; `in_force` are those of the kernel that asks, `started` when the runtime began (seconds since the epoch)."""
    return "\n".join(_line(label, words) for label, words in _rows(host, in_force, started, now))


def _rows(host: Host, in_force: Sequence[str], started: float, now: float) -> Iterator[tuple[str, str]]:
    rules = host.rules
    yield "host", f"{host.label} (known by: {rules.known_by.words}); works in {host.working}"
    yield "idle", f"{host.idle_rule.rstrip('. ')}."
    yield "heartbeat", f"{rules.heartbeat}: {rules.heartbeat_words.words}"
    for words in in_force:
        yield "in force", words
    yield from _limits(host, started, now)
    for way in host.unattended:
        yield "unattended", f"{way.words}   ({way.source})"
    yield "mirror", f"%%checkpointed NAME --to WHERE survives all of it; here: {rules.mirror.words}"
    yield "release", rules.release.words
    yield "sources", "; ".join(_sources(host))


def _limits(host: Host, started: float, now: float) -> Iterator[tuple[str, str]]:
    if not host.limits:
        yield "limit", "no longest session is known here"
        return
    yield "limit", f"this runtime began {spoken(now - started)} ago (its first process); left: " + "; ".join(
        map(str, left(host.limits, started, now))
    )
    leads = " and ".join(f"{lead / 60:g} min" for lead in LEAD_S)
    yield "", f"with %keepalive a commit is asked for {leads} before each end, while guarded work runs"


def _sources(host: Host) -> list[str]:
    rules = host.rules
    facts: list[Fact] = [rules.known_by, rules.idle, rules.heartbeat_words, rules.mirror, rules.release]
    told = [fact.source for fact in facts] + [limit.source for limit in host.limits]
    return list(dict.fromkeys(part for source in told for part in source.split("; ")))


def _line(label: str, words: str) -> str:
    return f"{label:<{WIDTH}}{words}"
