"""`guard`: the magics' Python twins, with the same words. Each gives back one line: what is in force, how to undo it."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from colab_guard.errors import BadOption
from colab_guard.session import checks, found, words
from colab_guard.session.options import CheckpointOptions
from colab_guard.session.plainwork import microbatches
from colab_guard.session.session import Session, current

OVERLAPS = ("params", "full")
LEAST_PERCENT = 0.01
"""A limit in percent below this is a fraction with a sign too many."""


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
        touch: bool = False,
    ) -> Notice:
        """Signs of life while guarded work runs. `word`: "" or "on", "status", "doctor", "off".

        every        seconds between two of them (60)
        release      give Colab's machine back when all guarded work has ended and is durable
        notify       an address that is told: done, failed, needs you
        page_script  give a script for Colab's own page; `touch` lets it touch the page as well, at the account's risk
        """
        options = {"--every": every is not None, "--release": release, "--notify": notify is not None}
        options |= {"--page-script": page_script, "--touch": touch}
        if word not in ("", "on", "status", "doctor", "off"):
            raise BadOption(f"keepalive knows on, status, doctor and off, not {word}. Type %keepalive -h")
        if word in ("status", "doctor", "off") and any(options.values()):
            given = next(option for option, is_given in options.items() if is_given)
            raise BadOption(f"%keepalive {word} takes no {given}; type %keepalive {given} to switch that on, or %keepalive {word}")
        if touch and not page_script:
            raise BadOption("--touch belongs to the page's script; type %keepalive --page-script --touch")
        keepalive = self._session().keepalive
        if word == "doctor":
            return Notice(keepalive.doctor())
        if word == "off":
            keepalive.off()
            return Notice("keep-alive: off. Switch it on: %keepalive")
        if word == "status":
            return Notice(str(keepalive.status()))
        every_s = None if every is None else words.seconds(every, "--every")
        to = None if notify is None else importlib.import_module("colab_guard.keepalive").address(notify)
        if page_script and self._session().host.kind != "colab":
            label = self._session().host.label
            raise BadOption(f"--page-script is for Colab's page, and this is {label}: its page reconnects by itself. Leave it out")
        fresh = not keepalive.in_force
        keepalive.on(every_s, release=release, notify=to)
        if page_script:
            return Notice(keepalive.page_script(touch=touch))
        return Notice(" ".join(filter(None, [str(keepalive.status()), self._to_resume() if fresh else ""])))

    def _to_resume(self) -> str:
        """In a kernel that has run no guarded work yet: what was left unfinished here."""
        session = self._session()
        return "" if session.work is not None or session.ended else found.to_resume(found.look())

    def memguard(
        self,
        limit: float | str | None = None,
        *,
        soft: float | str | None = None,
        hard: float | str | None = None,
        allow: str | None = None,
    ) -> Notice:
        """Cap GPU memory at `limit` (0.85 or "85%"); None or "status" says what is in force, "off" takes it back.

        `soft` and `hard` are shares of host memory: from the first caches are cleared, at the second the work is saved.
        `allow="shorter"` permits cutting sequences where nothing else fits; another limit without it takes that back.
        """
        session = self._session()
        memory = session.memory
        shares = {
            name: words.fraction(value, f"--{name}", f"--{name} {example}")
            for name, value, example in (("soft", soft, "0.85"), ("hard", hard, "0.9"))
            if value is not None
        }
        if limit in ("off", "status") and shares:
            raise BadOption(f"%memguard {limit} takes no --soft and no --hard; type %memguard 0.85 --soft 0.8 --hard 0.9")
        if limit in ("off", "status") and allow is not None:
            raise BadOption(f"%memguard {limit} takes no --allow; type %memguard 0.85 --allow shorter")
        allowed = None if allow is None else _allowed(allow)
        if limit == "off":
            memory.off()
            session.allowed = frozenset()
            return Notice("memory guard: off. Switch it on: %memguard 0.85")
        if limit is None and shares and not memory.in_force:
            raise BadOption("no limit is set for --soft and --hard to go with; type %memguard 0.85 --soft 0.8 --hard 0.9")
        if limit is not None and limit != "status":
            memory.on(_limit(limit), **shares)
            session.allowed = allowed or frozenset()
        elif shares:
            memory.on(**shares)
        if allowed is not None:
            session.allowed = allowed
        return Notice(str(memory.status()) + _allowed_words(session))

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
        source, timed = checks.untimed(source)
        checks.check_cell(session.shell, source)
        if explain:
            return Notice(session.explain(name, source, options))
        began, process_began = time.perf_counter(), time.process_time()
        try:
            return session.run_checkpointed(name, source, options)
        finally:
            if timed:
                cpu_s, wall_s = time.process_time() - process_began, time.perf_counter() - began
                print(f"CPU time: {words.duration(cpu_s)}\nWall time: {words.duration(wall_s)}")

    def status(self) -> Notice:
        """What is in force, how the running work stands, what went wrong in the background."""
        session = self._session()
        none = "guarded work: none is running" + (f"; the last: {session.ended}" if session.ended else "")
        lines = [str(session.work.status()) if session.work is not None else none]
        keepalive, memory = session.in_force()
        lines.append(str(session.keepalive.status()) if keepalive else "keep-alive: off. Switch it on: %keepalive")
        guarded = str(session.memory.status()) if memory else "memory guard: off. Switch it on: %memguard 0.85"
        lines.append(guarded + _allowed_words(session))
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

    def clear(self) -> Notice:
        """Free memory that nothing needs: what errors and `Out[]` keep, garbage, caches; and say who holds the rest."""
        return Notice(self._session().clearing.words())

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
        session.allowed = frozenset()
        return Notice(
            "keep-alive and memory guard: off. What is saved stays. Take out the magics too: %unload_ext colab_guard"
        )

    microbatches = staticmethod(microbatches)

    def names(self) -> list[str]:
        """The NAMEs that have a store here. Reads only."""
        return found.names()

    def __repr__(self) -> str:
        return "colab_guard.guard: keepalive, memguard, checkpointed, status, stop, commit, checkpoints, clear, panel, off"


def _limit(value: float | str) -> float:
    found = words.fraction(value, "%memguard", "%memguard 0.85")
    if found <= LEAST_PERCENT and "%" in str(value):
        number = str(value).strip().rstrip("%").strip()
        meant = f"type %memguard {number}, or {found * 1e4:g}%"
        raise BadOption(f"%memguard {value} would leave a hundredth of the memory, or less; {meant}")
    return found


def _allowed(word: str) -> frozenset[str]:
    if word == "4bit":
        raise BadOption('--allow 4bit: bits are chosen when a model is loaded; write autoconfig(..., allow="4bit")')
    if word != "shorter":
        raise BadOption(f"--allow {word} means nothing here; type --allow shorter")
    return frozenset({word})


def _allowed_words(session: Session) -> str:
    return " Sequences may be cut where nothing else fits (--allow shorter)." if session.allowed else ""


guard = Guard()
