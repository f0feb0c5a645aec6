"""When the mirror is sent to next, where `--mirror-every` names no seconds.

At most a quarter of the time is spent sending, so that the network and the CPU are the training's. Where what is deleted
still counts as used (Drive's bin, the Hub's history), at most a twelfth of the free space goes there in an hour, so that a
session of twelve hours does not fill it; where the free space is not known, 1 GiB an hour.
"""

from __future__ import annotations

from colab_guard.store.mirror.place import Traits

SHARE_OF_TIME = 0.25
HOURS = 12
UNKNOWN_BYTES_AN_HOUR = 2**30


def pause_s(traits: Traits, spent_s: float, sent: int, free: int | None) -> float:
    """Seconds to wait after a turn that took `spent_s` seconds and sent `sent` bytes."""
    pause = max(spent_s * (1 / SHARE_OF_TIME - 1), traits.least_pause_s)
    if traits.keeps_deleted and sent:
        an_hour = UNKNOWN_BYTES_AN_HOUR if free is None else max(free / HOURS, 1)
        pause = max(pause, sent / an_hour * 3600)
    return pause
