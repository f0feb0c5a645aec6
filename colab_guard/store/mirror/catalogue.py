"""What a mirror says of itself: its leases, and its commits as a view. Immutable files are read once."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from colab_guard.store.leases import LEASE_NAME, RELEASED, Lease, leases_among
from colab_guard.store.mirror.place import Moved, Place, exists, go_on
from colab_guard.store.mirror.reading import patiently, small
from colab_guard.store.packs import digest
from colab_guard.store.types import PassedOver
from colab_guard.store.view import StoreView

BEAT = ".beat"
"""Beside a lease: rewritten again and again by its living holder."""


class FarLeases:
    """The leases of a mirror as they were when `look` made this; empty before. What was read whole is not read again."""

    def __init__(self, place: Place, whole: dict[str, bytes] | None = None) -> None:
        self._place = place
        self._whole: dict[str, bytes] = {} if whole is None else whole
        self.files: dict[str, bytes | Exception] = {}
        self.sizes: dict[str, int] = {}

    def look(self) -> FarLeases:
        """What is there now, as an object of its own: a call that was left behind and wakes changes nobody's."""
        seen = FarLeases(self._place, self._whole)
        seen.sizes = self._place.names("leases")
        wanted = [name for name in seen.sizes if LEASE_NAME.match(name) or name.endswith(RELEASED)]
        seen.files = {name: self._whole.get(name) or self._read(name) for name in wanted}
        return seen

    @property
    def names(self) -> list[str]:
        """File names of the leases, oldest first."""
        return sorted(name for name in self.files if LEASE_NAME.match(name))

    @property
    def leases(self) -> list[Lease]:
        return self.read()[0]

    @property
    def newest(self) -> Lease | None:
        """The newest lease that can be read."""
        return next(reversed(self.leases), None)

    @property
    def generation(self) -> int:
        """The highest that a lease claims, be it damaged; 0 for none."""
        return max((int(name[:8]) for name in self.names), default=0)

    def read(self) -> tuple[list[Lease], list[PassedOver]]:
        return leases_among(self.files)

    def stem_of(self, lease: Lease) -> str:
        """The name of the lease's file without its ending."""
        for name in self.names:
            if leases_among({name: self.files[name]})[0] == [replace(lease, released=False, last=None)]:
                return name.removesuffix(".json")
        return f"{lease.generation:08d}-"

    def _read(self, name: str) -> bytes | Exception:
        try:
            data = self._place.read(f"leases/{name}")
        except OSError as error:
            return error
        match = LEASE_NAME.match(name)
        if match is not None and digest(data)[:16] == match[2]:
            self._whole[name] = data
        return data


@contextmanager
def viewed(place: Place, moved: Moved = go_on) -> Iterator[StoreView | None]:
    """The mirror's leases and commits as a view (its packs are not in it); None where no store is there.

    MirrorUnusable where something cannot be read: what is not known is not taken for what is damaged or gone.
    """
    if not patiently(place, "FORMAT", lambda: exists(place, "FORMAT"), moved):
        yield None
        return
    with tempfile.TemporaryDirectory(prefix="colab_guard-") as made:
        folder = Path(made)
        (folder / "FORMAT").write_bytes(small(place, "FORMAT", moved))
        for part in ("leases", "commits"):
            (folder / part).mkdir()
            for name in listed(place, part, moved):
                if Path(name).suffix in (".json", RELEASED):
                    with suppress(FileNotFoundError):  # collected meanwhile
                        (folder / part / name).write_bytes(small(place, f"{part}/{name}", moved))
        yield StoreView(folder, shown=place.name)


def listed(place: Place, part: str, moved: Moved = go_on) -> list[str]:
    """The names of the files in a folder of the mirror."""
    return list(patiently(place, f"the folder {part}", lambda: place.names(part), moved))
