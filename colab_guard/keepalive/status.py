"""How the signs of life stand, in the line that `%keepalive` prints."""

from __future__ import annotations

from dataclasses import dataclass

from colab_guard.keepalive.pings import Heard
from colab_guard.keepalive.wording import ago


@dataclass(frozen=True, slots=True)
class KeepAliveStatus:
    """How the signs of life stand; `str()` of it is what `%keepalive` prints. Times since the epoch, or None."""

    on: bool
    active: bool
    every_s: float
    beats: int
    last_beat: float | None
    browser: Heard | None
    now: float
    host_words: str
    note: str = ""
    more: tuple[str, ...] = ()
    """Sentences on --release, --notify and the host's limit."""

    def __str__(self) -> str:
        if not self.on:
            return f"keep-alive: off. {self.host_words} Switch it on: %keepalive"
        if not self.active:
            said = (
                f"keep-alive: on, every {self.every_s:g} s while guarded work runs; nothing runs now, so nothing acts."
            )
        else:
            said = f"keep-alive: on; kernel heartbeat {ago(self.last_beat, self.now)} ({self.beats} sent); {self._browser_words()}."
        return " ".join([said, *filter(None, [self.note, *self.more]), self.host_words, "Undo: %keepalive off"])

    def _browser_words(self) -> str:
        heard = self.browser
        if heard is None:
            return "no page to hear from"
        stale = f", {heard.stale} late ones dropped" if heard.stale else ""
        trip = "" if heard.round_trip_s is None else f", round trip {heard.round_trip_s * 1000:.0f} ms"
        return f"browser {'LOST, last heard' if heard.lost else 'heard'} {ago(heard.last, self.now)}{trip}{stale}"
