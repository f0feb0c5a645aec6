"""Signs of life while guarded work runs, and honest words about what they are worth on this host.

Two signs: the kernel's heartbeat (a comm message, which hosts that judge by the kernel's messages count as activity) and the
browser's pings (which tell whether the page is still there). What enters is the beginning and the end of guarded work;
what leaves are the messages and the events HeartbeatSent, PingHeard and HeartbeatLost. Nothing acts while no guarded work
runs, and no prompt of a host is ever answered.
"""

from __future__ import annotations

from colab_guard.keepalive.alive import KeepAlive, KeepAliveStatus

__all__ = ["KeepAlive", "KeepAliveStatus"]
