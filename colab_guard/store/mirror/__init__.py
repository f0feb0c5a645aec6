"""A second store on another machine's disk: a folder that is mounted, or anything that fsspec knows by a URL.

What enters: the local store and a `Place`. What leaves: the files of the store, sent; receipts, which are what the far side
itself says of them; and events. `sending` has the thread; `place`, `folder`, `url` and `receipts` the seam; `copying` what is
there and may go; `owners` and `holders` whose it is; `fetching` the way back, with `reading` and `histories`.
"""

from __future__ import annotations

from colab_guard.store.mirror.calls import Call, limited
from colab_guard.store.mirror.catalogue import viewed
from colab_guard.store.mirror.fetching import Fetched, fetch_from_mirror
from colab_guard.store.mirror.folder import FolderPlace
from colab_guard.store.mirror.holders import Watch
from colab_guard.store.mirror.owners import mirror_generation
from colab_guard.store.mirror.place import Place, Receipt, Traits
from colab_guard.store.mirror.preflight import Tried, try_place
from colab_guard.store.mirror.sending import SETTLE_S, Mirror
from colab_guard.store.mirror.status import MirrorStatus
from colab_guard.store.mirror.url import UrlPlace

__all__ = [
    "SETTLE_S",
    "Call",
    "Fetched",
    "FolderPlace",
    "Mirror",
    "MirrorStatus",
    "Place",
    "Receipt",
    "Traits",
    "Tried",
    "UrlPlace",
    "Watch",
    "fetch_from_mirror",
    "limited",
    "mirror_generation",
    "try_place",
    "viewed",
]
