"""What machine this is, what it allows, and what it has.

What enters: environment variables, /proc and /sys, torch's view of its devices. What leaves: a `Host` with its rules in
words, the folders where things are kept, and figures about memory. This room knows nothing of what they are used for.
"""

from __future__ import annotations

from colab_guard.hosts.colab import NotReleased, download, release
from colab_guard.hosts.detect import Host, detect, kernel_notebook, page_fetches_widgets, started_at
from colab_guard.hosts.devices import Device, devices
from colab_guard.hosts.places import (
    MirrorPlace,
    disk,
    drive_is_mounted,
    home,
    local_part,
    mirror_folder,
    mirror_place,
    mounted_drive,
    proves_durability,
)
from colab_guard.hosts.probe import FakeProbe, GpuMemory, MemoryProbe, SystemProbe
from colab_guard.hosts.rules import Fact, HostKind, Limit, Rules
from colab_guard.hosts.userdata import NoAnswer, forget_user_data, heard_user_data, user_data, without_page

__all__ = [
    "Device",
    "Fact",
    "FakeProbe",
    "GpuMemory",
    "Host",
    "HostKind",
    "Limit",
    "MemoryProbe",
    "MirrorPlace",
    "NoAnswer",
    "NotReleased",
    "Rules",
    "SystemProbe",
    "detect",
    "devices",
    "disk",
    "download",
    "drive_is_mounted",
    "forget_user_data",
    "heard_user_data",
    "home",
    "kernel_notebook",
    "local_part",
    "mirror_folder",
    "mirror_place",
    "mounted_drive",
    "page_fetches_widgets",
    "proves_durability",
    "release",
    "started_at",
    "user_data",
    "without_page",
]
