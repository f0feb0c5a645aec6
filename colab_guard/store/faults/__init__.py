"""File systems that fail on purpose: for tests of this project, and for users' own.

    faults = Faults()
    place = FaultyPlace(FolderPlace(folder), faults)        # or FaultyFileSystem(fsspec.filesystem("memory"), faults)
    faults.fail("send", errno.ENOSPC, match="packs/*", times=2)
    faults.hang("read")                                     # until faults.release()

What enters: a plan of faults (`plan`). What leaves: a `Place` (`place`) and an fsspec file system (`filesystem`) that behave as
the one below them, but for the plan. Nothing heavy is imported; fsspec only with `filesystem`.
"""

from __future__ import annotations

from colab_guard.store.faults.place import FaultyPlace
from colab_guard.store.faults.plan import Faults

__all__ = ["Faults", "FaultyPlace"]
