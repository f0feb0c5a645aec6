"""What machine this is, what it allows, and what it has.

What enters: environment variables, /proc and /sys, torch's view of its devices. What leaves: a `Host` with its rules in
words, the folders where things are kept, and figures about memory. This room knows nothing of what they are used for.
"""

from __future__ import annotations

from colab_guard.hosts.detect import Host, detect, kernel_notebook
from colab_guard.hosts.devices import Device, devices
from colab_guard.hosts.places import (
    MirrorPlace,
    drive_is_mounted,
    home,
    local_part,
    mirror_folder,
    mirror_place,
    mounted_drive,
    proves_durability,
)
from colab_guard.hosts.probe import FakeProbe, GpuMemory, MemoryProbe, SystemProbe
from colab_guard.hosts.userdata import NoAnswer, forget_user_data, heard_user_data, user_data

__all__ = [
    "Device",
    "FakeProbe",
    "GpuMemory",
    "Host",
    "MemoryProbe",
    "MirrorPlace",
    "NoAnswer",
    "SystemProbe",
    "detect",
    "devices",
    "drive_is_mounted",
    "forget_user_data",
    "heard_user_data",
    "home",
    "kernel_notebook",
    "local_part",
    "mirror_folder",
    "mirror_place",
    "mounted_drive",
    "proves_durability",
    "user_data",
]
