"""`KeepAlive`: what is in force, from `%keepalive` to `%keepalive off`, and the signs of life in between."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from colab_guard import hosts
from colab_guard.clock import Clock
from colab_guard.errors import UserMistake
from colab_guard.events import EventBus, HostLimitNear, ListenerFailed
from colab_guard.keepalive import page_script
from colab_guard.keepalive.limits import LimitWatch, spoken
from colab_guard.keepalive.messages import Messages
from colab_guard.keepalive.notify import Address, News
from colab_guard.keepalive.release import OnlyHere, Release
from colab_guard.keepalive.signs import Signs
from colab_guard.keepalive.status import KeepAliveStatus
from colab_guard.workers import Worker, Workers

if TYPE_CHECKING:
    from colab_guard.hosts import Host

HEARTBEAT_S = 60.0  # hosts cull after minutes to hours; the official Colab client refreshes every 60 s too
LIMIT_LOOK_S = 30.0


@dataclass(frozen=True, slots=True)
class _Work:
    """Guarded work that runs: its name, whether it saves its state, when it began (monotonic)."""

    name: str
    saves: bool
    began: float


def _nothing_to_commit() -> bool:
    return False


class KeepAlive:
    """Signs of life of one kernel. `on` and `off` are the user's; `work_started` and `work_ended` come with guarded work.

    Safe to call in any order and twice; what is switched on while work runs begins at once. `commit` asks the running work
    for a snapshot; `started` tells when this runtime began, in seconds since the epoch.
    """

    def __init__(
        self,
        shell: object,
        bus: EventBus,
        clock: Clock,
        workers: Workers,
        host: Host,
        *,
        commit: Callable[[], bool] = _nothing_to_commit,
        started: Callable[[], float] = hosts.started_at,
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._workers = workers
        self._host = host
        self._commit = commit
        self._started = started
        self._every_s = HEARTBEAT_S
        self._on = False
        self._work: _Work | None = None
        self._limit: Worker | None = None
        self._nonce = ""
        self._signs = Signs(shell, bus, clock, workers)
        self._messages = Messages(bus, workers, lambda: self._signs.page)
        self.release = Release(shell, host, clock, workers, bus, self._released)

    @property
    def in_force(self) -> bool:
        """Whether `%keepalive` has been said and not taken back."""
        return self._on

    def on(self, every_s: float | None = None, *, release: bool = False, notify: Address | None = None) -> None:
        """Give signs of life every `every_s` seconds (60, or as before), while guarded work runs.

        `release` and `notify` are added to what is in force. A first message is sent to `notify`, which takes seconds at most.
        """
        if every_s is not None or not self._on:
            self._end("begun anew by %keepalive")
            self._every_s = HEARTBEAT_S if every_s is None else every_s
        was, self._on = self._on, True
        if release:
            self.release.switch_on()
        if notify is not None:
            self._messages.open(notify, f"will write here from {self._host.label}: done, failed, needs you")
        if self._work is not None and (every_s is not None or not was):
            self._begin()

    def off(self) -> None:
        """Take all of it back; publishes nothing any more."""
        self._on = False
        self._end("ended by %keepalive off")
        self.release.switch_off()
        self._messages.close()
        self._signs.let_go()

    def page_script(self, *, touch: bool = False) -> str:
        """What `--page-script` prints. From the next guarded work on, the widget tells the page around it that work runs."""
        self._nonce = self._nonce or secrets.token_hex(16)
        return page_script.printed(self._nonce, touch=touch)

    def work_started(self, name: str, *, saves: bool = True, cannot_prove: str = "") -> None:
        """Guarded work begins; `saves`: its state, so that it can go on elsewhere; `cannot_prove`: why that is never durable."""
        self._work = _Work(name, saves, self._clock.monotonic())
        self._spare_the_work("--release did not begin", lambda: self.release.work_started(name, cannot_prove))
        if self._on:
            self._spare_the_work("keep-alive did not begin", self._begin)

    def work_ended(self, error: BaseException | None = None, only_here: OnlyHere = lambda: "") -> None:
        """Guarded work has ended, with `error` where it raised: every thread, the comm and the widget end with it.

        `only_here` says later why what it saved is on this machine alone, "" where it is durable.
        """
        work = self._work
        if work is None:
            return
        outcome = "done" if error is None else "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
        with ExitStack() as last:  # an interrupt while a message is on its way leaves nothing running
            hear = partial(self.release.work_ended, work.name, outcome, only_here)
            last.callback(self._spare_the_work, "--release did not hear the end", hear)
            last.callback(self._forget_work)
            last.callback(self._spare_the_work, "keep-alive did not end cleanly", self._end)
            self._spare_the_work("keep-alive did not tell the end", lambda: self._tell_end(work, outcome, error))

    def needs_you(self, name: str, words: str, *, wait: bool = False) -> None:
        """Tell that a person has to decide or look; nothing where nobody asked to be told.

        Before work and after it there may be no page that hears it (see `messages`).
        """
        if self._on:
            self._messages.needs_you(name, words, wait=wait)

    def status(self) -> KeepAliveStatus:
        """How it stands; reads only."""
        return KeepAliveStatus(
            on=self._on,
            active=self._signs.active,
            every_s=self._every_s,
            beats=self._signs.beats,
            last_beat=self._signs.last_beat,
            browser=self._signs.heard,
            now=self._clock.time(),
            host_words=self.host_words(),
            note=self._signs.note,
            more=tuple(self._more()),
        )

    def host_words(self) -> str:
        """What this host does with idle machines, and what a sign of life can do about it."""
        rule = self._host.idle_rule.rstrip(". ")
        if self._host.kind == "colab":
            return f"{self._host.label}: {rule}. Nothing inside the machine can extend Colab's limits."
        return f"{self._host.label}: {rule}."

    def doctor(self) -> str:
        """This host's rules, what is in force here, what is left, and the official way; reads only."""
        from colab_guard.keepalive import doctor

        status = self.status()
        in_force = [str(status).replace(f" {status.host_words}", "")]
        return doctor.report(self._host, in_force, self._started(), self._clock.time())

    def _more(self) -> Sequence[str]:
        told = [str(self.release)]
        if self._messages.notifier is not None:
            told.append(f"It {self._messages.notifier}.")
        if self._nonce:
            told.append("The page script is told while guarded work runs.")
        return [words for words in told if words]

    def _spare_the_work(self, what: str, action: Callable[[], object]) -> None:
        # the one place where an error ends here: a sign of life is a courtesy, training goes on without it
        try:
            action()
        except Exception as error:
            self._signs.note = f"{what}: {type(error).__name__}: {error}."
            name = self._work.name if self._work else ""
            self._bus.post(ListenerFailed(name=name, who=what, error=f"{type(error).__name__}: {error}"))

    def _begin(self) -> None:
        work = self._work
        assert work is not None
        self._messages.listen()
        self._limit = self._watch_limit()
        self._signs.begin(
            work.name,
            self._every_s,
            status=" ".join(filter(None, [str(self.release) if self.release.works_here else "", self.host_words()])),
            resume=_resume_words(work),
            nonce=self._nonce,
            page=page_script.COLAB_PAGE if self._nonce else "",
        )

    def _end(self, why: str = "ended with the work") -> None:
        limit, self._limit = self._limit, None
        if limit is not None:
            self._workers.stop_one(limit)
        self._signs.end(str(self.release) if self.release.works_here else "", why)

    def _forget_work(self) -> None:
        self._work = None

    # the host's limit

    def _watch_limit(self) -> Worker | None:
        if not self._host.limits:
            return None
        watch = LimitWatch(self._host.limits, self._started())
        return self._workers.periodic("host limit", LIMIT_LOOK_S, lambda: self._look_at_limit(watch))

    def _look_at_limit(self, watch: LimitWatch) -> None:
        near, work = watch.due(self._clock.time()), self._work
        if near is None or work is None:
            return
        asked = False
        if work.saves:
            try:
                asked = self._commit()
            except UserMistake as error:  # work that has no safe points says so
                self._signs.note = f"No commit before the host's limit: {error}."
        limit = near.limit
        self._bus.post(HostLimitNear(name=work.name, left_s=near.seconds, limit_s=limit.seconds, whose=limit.whose, asked=asked))
        words = f"{self._host.label} may end this machine in {spoken(near.seconds)} ({limit.seconds / 3600:g} h, {limit.whose}); "
        words += "a commit was asked for" if asked else "nothing of this work can be saved"
        self._messages.needs_you(work.name, words)

    # the end

    def _tell_end(self, work: _Work, outcome: str, error: BaseException | None) -> None:
        if not self._on:
            return
        words = f"{outcome} after {spoken(self._clock.monotonic() - work.began)} on {self._host.label}"
        if error is not None and outcome == "failed":
            words += f": {type(error).__name__}: {error}"
        self._messages.say(News(outcome, f"{work.name}: {outcome}", words, work.name), wait=True)

    def _released(self, gone: bool, words: str) -> None:
        self._signs.say(words)
        if not gone:
            self.needs_you("", words)


def _resume_words(work: _Work) -> str:
    if not work.saves:
        return "run the cell again, from its start: with work() saves nothing"
    return f"run the same cells again in the new kernel: {work.name} goes on from its last commit"
