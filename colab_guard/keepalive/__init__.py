"""Signs of life while guarded work runs, and honest words about what they are worth on this host.

Two signs: the kernel's heartbeat (a comm message, which hosts that judge by the kernel's messages count as activity) and the
browser's pings (which tell whether the page is still there). What enters is the beginning and the end of guarded work;
what leaves are the messages and the events HeartbeatSent, PingHeard, HeartbeatLost, HostLimitNear and RuntimeReleased, and, where
the user asked for it, a message to an address of theirs and the machine itself. Nothing acts while no guarded work runs, and no
prompt of a host is ever answered.

    alive        what is in force              limits       the countdown to the host's end
    signs        heartbeat and pings at work   notify       --notify: one message to one address
    heartbeat    the kernel's comm             messages     what is told, and when
    connection   the widget that pings         release      --release: the machine is given back
    pings        what the browser said         page_script  --page-script, and the words printed with it
    status       the line that is shown        doctor       this host's rules
"""

from __future__ import annotations

from colab_guard.keepalive.alive import KeepAlive
from colab_guard.keepalive.doctor import report
from colab_guard.keepalive.notify import address
from colab_guard.keepalive.status import KeepAliveStatus

__all__ = ["KeepAlive", "KeepAliveStatus", "address", "report"]
