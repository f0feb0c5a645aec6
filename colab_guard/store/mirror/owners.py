"""Whose mirror a place is.

A mirror belongs to the notebook that its newest lease names, and to the machine that knows all of its leases: a lease
there that the local store lacks is another machine's, which has written since. Of two leases of one generation that
were written at the same time the one created first holds: that is the same on both machines, whatever their clocks say.
"""

from __future__ import annotations

from colab_guard.errors import ForeignStore
from colab_guard.store.leases import LEASE_NAME, Lease
from colab_guard.store.mirror.catalogue import FarLeases
from colab_guard.store.mirror.place import Place
from colab_guard.store.types import Identity
from colab_guard.store.view import FORMAT_NAME, FORMAT_VERSION, check_line
from colab_guard.store.writer import Store

FORMAT_LINE = f"{FORMAT_NAME} {FORMAT_VERSION}\n".encode()


def check_notebook(place: Place, leases: FarLeases, identity: Identity, *, take_over: bool) -> None:
    """Raise ForeignStore where the newest lease that can be read names another notebook."""
    newest = leases.newest
    theirs = newest.notebook if newest else ""
    if theirs and identity.notebook and theirs != identity.notebook and not take_over:
        raise ForeignStore(
            f"the mirror {place.name} belongs to the notebook {theirs}, this one is {identity.notebook}; use another NAME, "
            "or --take-over to adopt its work"
        )


def mirror_generation(place: Place, identity: Identity, *, take_over: bool = False) -> int:
    """The newest generation in the mirror (0: none); a store that is to replace it opens above that."""
    leases = FarLeases(place).look()
    check_notebook(place, leases, identity, take_over=take_over)
    return leases.generation


def check_place(place: Place, leases: FarLeases, store: Store, *, take_over: bool) -> None:
    """Raise ForeignStore (or StoreTooNew) where `store` must not write there; writes nothing."""
    try:
        found = place.read("FORMAT")
    except FileNotFoundError:
        found = b""
    if not FORMAT_LINE.startswith(found):  # a FORMAT that is cut short is sent again
        check_line(found, place.name)
    check_holder(place, leases.look(), store, take_over=take_over)


def check_holder(place: Place, leases: FarLeases, store: Store, *, take_over: bool) -> None:
    """Raise ForeignStore where the leases, as they were looked at, say that another holds the mirror."""
    check_notebook(place, leases, store.identity, take_over=take_over)
    mine = {path.name for path in (store.path / "leases").glob("*.json") if LEASE_NAME.match(path.name)}
    theirs = [name for name in leases.names if name not in mine]
    if not theirs:
        return
    newest = int(max(theirs)[:8])
    if int(max(leases.names)[:8]) > newest:
        return  # the newest there is this store's: it has taken over, and theirs are older
    known = store.leases
    anew = max((lease.generation for lease in known if lease.continues is None), default=0)
    replaces = take_over or anew > newest
    if replaces and store.generation > newest:
        return
    if newest == store.generation and f"{store.lease_name}.json" in leases.names:
        return  # both were written at the same time; `claim` says which one holds
    holder = leases.newest
    raise ForeignStore(
        f"another machine writes to this mirror{_who(holder)}: it has taken over (generation {newest}); stop one of the two, "
        "or run the cell again to go on from what the mirror holds"
    )


def claim(place: Place, leases: FarLeases, store: Store, *, take_over: bool) -> None:
    """After the own lease was written there: withdraw it where another of the same generation came first."""
    seen = leases.look()
    check_holder(place, seen, store, take_over=take_over)
    rivals = [lease for lease in seen.leases if lease.generation == store.generation]
    first = min(rivals, key=_order, default=None)
    mine = next((lease for lease in store.leases if lease.generation == store.generation), None)
    if first is None or mine is None or _order(first) == _order(mine):
        return
    place.remove(f"leases/{store.lease_name}.json")
    raise ForeignStore(
        f"another machine writes to this mirror{_who(first)}; stop one of the two, or run the cell again to go on from what "
        "the mirror holds"
    )


def _who(lease: Lease | None) -> str:
    return "" if lease is None else f" (host {lease.owner.host!r}, process {lease.owner.pid})"


def _order(lease: Lease) -> tuple[float, str, str, int]:
    return lease.created, lease.owner.host, lease.owner.boot, lease.owner.pid
