"""What commits themselves tell of the order of writers, where a lease is missing or damaged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from colab_guard.store.leases import Lease, Owner, Place
from colab_guard.store.types import CommitRecord, PassedOver


def implied_leases(
    first_of: Mapping[int, str], record: Callable[[str], CommitRecord | PassedOver], leases: Sequence[Lease]
) -> tuple[list[Lease], list[PassedOver]]:
    """For generations with commits and no readable lease: the lease that the first one's `parent` stands for.

    `first_of` has the id of each generation's first commit that can be read.
    """
    known = {lease.generation for lease in leases}
    implied, said = [], []
    for generation in sorted(set(first_of) - known):
        said.append(PassedOver(f"{generation:08d}", f"the lease of generation {generation} is missing or damaged"))
        first = record(first_of[generation])
        if isinstance(first, PassedOver):
            continue
        parent = None if first.parent is None else place_of(first.parent)
        if parent is None or parent[0] < generation:
            implied.append(Lease(generation, Owner(0, 0.0, "", ""), "", parent, first.created))
    anew = max((lease.generation for lease in leases if lease.continues is None), default=0)
    newest = max(known, default=0)
    gaps = [g for g in range(anew + 1, newest) if g not in known] if newest - anew < 10_000 else []
    for generation in gaps:
        if all(problem.commit != f"{generation:08d}" for problem in said):
            said.append(PassedOver(f"{generation:08d}", f"the lease of generation {generation} is missing or damaged"))
    return implied, said


def missing_newest(
    readable: Sequence[Place], problems: Sequence[PassedOver], leases: Sequence[Lease]
) -> list[PassedOver]:
    """The commit that the newest lease names as the last one, where nothing as new is there."""
    if not leases:
        return []
    expected = leases[-1].last or leases[-1].continues
    places = [*readable, *(place_of(problem.commit) for problem in problems)]
    if expected is None or max(places, default=(0, 0)) >= expected:
        return []
    return [PassedOver(f"{expected[0]:08d}-{expected[1]:010d}", "the commit was written and its record is gone")]


def place_of(commit: str) -> Place:
    return int(commit[:8]), int(commit[9:19])
