"""`guard`: the magics' Python twins, with the same words. Each gives back one line: what is in force, how to undo it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from colab_guard.errors import BadOption
from colab_guard.session import checks, found, words
from colab_guard.session.options import CheckpointOptions
from colab_guard.session.session import Session, current

OVERLAPS = ("params", "full")


@dataclass(frozen=True, slots=True)
class Notice:
    """A message that shows as itself, in a notebook and in print."""

    text: str

    def __str__(self) -> str:
        return self.text

    __repr__ = __str__


class Guard:
    """`colab_guard.guard.keepalive(every=60)` is `%keepalive --every 60`, and so on for every word.

    Values may be numbers or the magics' text: `every=120`, `every="2m"`. Mistakes raise `UserMistake`.
    """

    def __init__(self, session: Callable[[], Session] = current) -> None:
        self._session = session

    def keepalive(
        self,
        word: str = "",
        *,
        every: float | str | None = None,
        release: bool = False,
        notify: str | None = None,
        page_script: bool = False,
    ) -> Notice:
        """Signs of life while guarded work runs. `word`: "" or "on", "status", "doctor", "off"."""
        _not_yet(("--release", release), ("--notify", notify), ("--page-script", page_script))
        if word not in ("", "on", "status", "doctor", "off"):
            raise BadOption(f"keepalive knows on, status, doctor and off, not {word}. Type %keepalive -h")
        keepalive = self._session().keepalive
        if word == "doctor":
            return Notice(checks.doctor(self._session().host, keepalive.host_words()))
        if word == "off":
            keepalive.off()
            return Notice("keep-alive: off. Switch it on: %keepalive")
        if word != "status" and (every is not None or not keepalive.in_force):
            keepalive.on(words.seconds(60 if every is None else every, "--every"))
        return Notice(str(keepalive.status()))

    def memguard(
        self, limit: float | str | None = None, *, soft: float | str | None = None, hard: float | str | None = None
    ) -> Notice:
        """Cap GPU memory at `limit` (0.85 or "85%"); None or "status" says what is in force, "off" takes it back."""
        _not_yet(("--soft", soft), ("--hard", hard))
        session = self._session()
        if limit == "off":
            session.memory.off()
            return Notice("memory guard: off. Switch it on: %memguard 0.85")
        if limit is not None and limit != "status":
            fraction = words.fraction(limit, "%memguard", "%memguard 0.85")
            session.memory.on(fraction)
        return Notice(str(session.memory.status()))

    def checkpointed(
        self,
        name: str,
        source: str,
        *,
        to: str | None = None,
        every: float | str = "60s",
        mirror_every: float | str | None = None,
        budget: float | str = "1%",
        fresh: bool = False,
        resume: bool = False,
        take_over: bool = False,
        keep: Iterable[str] = (),
        skip: Iterable[str] = (),
        files: Iterable[str] = (),
        overlap: str = "params",
        explain: bool = False,
    ) -> object:
        """Run `source` in the notebook's namespace as guarded work; give the value of its last expression.

        With `explain`, run nothing and write nothing: say where safe points are, and what would be saved.
        """
        __tracebackhide__ = True
        if fresh and resume:
            raise BadOption("--fresh forgets what was saved and --resume goes on with it: type one of them")
        if overlap not in OVERLAPS:
            raise BadOption(f"--overlap {overlap} is not one of {', '.join(OVERLAPS)}")
        options = CheckpointOptions(
            to=to,
            every_s=words.seconds(every, "--every"),
            mirror_every_s=None
            if mirror_every in (None, "auto", "AUTO")
            else words.seconds(mirror_every or "", "--mirror-every"),
            budget=words.fraction(budget, "--budget", "--budget 1%"),
            fresh=fresh,
            resume=resume,
            take_over=take_over,
            keep=tuple(keep),
            skip=tuple(skip),
            files=tuple(files),
            overlap="full" if overlap == "full" else "params",
            explain=explain,
        )
        session = self._session()
        words.work_name(name)
        checks.check_cell(session.shell, source)
        if explain:
            return Notice(session.explain(name, source, options))
        return session.run_checkpointed(name, source, options)

    def status(self) -> Notice:
        """What is in force, how the running work stands, what went wrong in the background."""
        session = self._session()
        none = "guarded work: none is running" + (f"; the last: {session.ended}" if session.ended else "")
        lines = [_work_words(session.work.status()) if session.work is not None else none]
        keepalive, memory = session.in_force()
        lines.append(str(session.keepalive.status()) if keepalive else "keep-alive: off. Switch it on: %keepalive")
        lines.append(str(session.memory.status()) if memory else "memory guard: off. Switch it on: %memguard 0.85")
        lines += [f"failed in the background: {failure}" for failure in session.failures]
        lines += [f"a listener failed: {who}: {error}" for who, error in session.bus.failures]
        return Notice("\n".join(lines))

    def stop(self) -> Notice:
        """Ask the running work to stop at its next safe point."""
        if not self._session().request_stop("magic"):
            return Notice("guarded work: none is running, nothing to stop")
        return Notice("stopping at the next safe point, after saving. The interrupt button pressed twice stops at once")

    def commit(self) -> Notice:
        """Ask the running work for a snapshot at its next safe point."""
        if not self._session().request_commit():
            return Notice("guarded work: none is running, nothing to save")
        return Notice("saving at the next safe point")

    def checkpoints(self, name: str | None = None) -> Notice:
        """What is saved here: of all NAMEs the newest, of one NAME the newest ten. Reads only."""
        stores = found.look() if name is None else [found.one(found.home() / words.work_name(name))]
        lines = [line for store in stores for line in found.words(store, 1 if name is None else found.SHOWN)]
        return Notice("\n".join(lines) or f"nothing is saved under {found.home()}")

    def panel(self) -> Notice | None:
        """Show the panel in this cell."""
        if not self._session().show_panel():
            return Notice("no panel: load the extension first, %load_ext colab_guard")
        return None

    def off(self) -> Notice:
        """Take back keep-alive and memory guard. What is saved stays."""
        session = self._session()
        keepalive, memory = session.in_force()
        if keepalive:
            session.keepalive.off()
        if memory:
            session.memory.off()
        return Notice(
            "keep-alive and memory guard: off. What is saved stays. Take out the magics too: %unload_ext colab_guard"
        )

    def names(self) -> list[str]:
        """The NAMEs that have a store here. Reads only."""
        return found.names()

    def __repr__(self) -> str:
        return "colab_guard.guard: keepalive, memguard, checkpointed, status, stop, commit, checkpoints, panel, off"


def _work_words(status: object) -> str:
    from colab_guard.session.checkpointing import WorkStatus, not_saved

    if not isinstance(status, WorkStatus):
        return str(status)
    saved = f"saved {status.position} ({status.snapshots} snapshots so far)" if status.saved else "NOT SAVED yet"
    cost = f"saving every {status.interval_s:.3g} s costs {status.guard_share:.1%} of the time"
    words = [f"{status.name}: running, {saved}", cost, f"mirror: {status.mirror}", *not_saved(status)]
    return f"{'; '.join(words)}. Stop it: %guard stop"


def _not_yet(*options: tuple[str, object]) -> None:
    for option, value in options:
        if value:
            raise BadOption(f"{option} is not there yet, and nothing was changed; leave it out")


guard = Guard()
