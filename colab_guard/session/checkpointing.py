"""One guarded cell from beginning to end: what `%%checkpointed` and its Python twin do.

Nothing touches the disk before the cell is parsed and its options are checked. Then the store is opened (a lost local
store is fetched from the mirror), the newest commit that verifies is found, and the cell runs: from its start, from the
commit's position, or not at all where it had ended.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from colab_guard import cells, hosts, state, store
from colab_guard.errors import BadCell, BadOption
from colab_guard.events import (
    CommitPassedOver,
    EventBus,
    NoSafePoint,
    NotBitExact,
    NotKept,
    Resumed,
    StopRequested,
    WorkEnded,
    WorkStarted,
)
from colab_guard.session import changes, differences, explain, inputs, named, surroundings
from colab_guard.session.cell_files import CellFiles
from colab_guard.session.durable import DurableEnd
from colab_guard.session.interrupt import Interrupts
from colab_guard.session.mirroring import Mirroring
from colab_guard.session.notes import Notes
from colab_guard.session.options import CheckpointOptions
from colab_guard.session.output import CellOutput
from colab_guard.session.requests import RequestFolder
from colab_guard.session.status import WorkStatus
from colab_guard.snapshots import Engine, FolderWatch, Position, Schedule, UnitRecord
from colab_guard.sweep import apart

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from colab_guard.session import Session

MIRROR_CLOSE_S = 20.0
RELEASE_WAIT_S = 3600.0
"""How long a cell may take longer so that its end becomes durable, where the machine is to be given back after it."""


class GuardedCell:
    """The work of one `%%checkpointed` cell."""

    saves = True

    def __init__(self, session: Session, name: str, source: str, options: CheckpointOptions) -> None:
        self.name = name
        self._session = session
        self._bus: EventBus = session.bus
        self._options = options
        self._source = source
        self._loops = session.library_loops()
        names = {name for loop in self._loops for name in loop.call_names}
        self.cell = cells.compile_cell(session.shell, source, names)
        self.engine: Engine | None = None
        self._end = DurableEnd(options.to)
        self._found = differences.Differences()
        self._output = CellOutput(session.shell, session.clock, self._not_recorded)
        self._outside: state.Outside | None = None
        self._fetched: Collection[str] = ()
        """Commits that came from the mirror."""
        self._well = False
        """The cell has ended, and without an error."""
        self._regridded: list[object] = []
        """Sweeps that were made for a restore, which finds them by their names."""

    # what the session asks of running work

    @property
    def mirror(self) -> store.Mirror | None:
        return self._end.mirror

    def request_stop(self, by: str, *, after_unit: bool = False) -> None:
        if self.engine is not None:
            ask = self.engine.request_stop_after_unit if after_unit else self.engine.request_stop
            ask(by)
            self._bus.post(StopRequested(name=self.name, by=by, after_unit=after_unit))

    def request_commit(self) -> None:
        if self.engine is not None:
            self.engine.request_commit()

    def make_room(self) -> None:
        if self.engine is not None:
            self.engine.request_room()

    def plan_changed(self, what: str) -> None:
        if self.engine is not None:
            self.engine.name_inexact(what)

    def status(self) -> WorkStatus:
        engine, saved = self.engine, self._end.saved
        return WorkStatus(
            name=self.name,
            saved=saved.id if saved else None,
            position=str(saved.position["text"]) if saved else "NOT SAVED yet",
            snapshots=engine.taken if engine is not None else 0,
            refused=tuple(engine.refusals.words()) if engine is not None else (),
            stall_share=engine.schedule.stall_share if engine is not None else 0.0,
            guard_share=engine.schedule.guard_share if engine is not None else 0.0,
            interval_s=engine.schedule.interval_s if engine is not None else self._options.every_s,
            mirror=self.mirror.status.state if self.mirror is not None else "off",
        )

    def cannot_prove(self) -> str:
        return self._end.cannot_prove()

    @property
    def only_here(self) -> Callable[[], str]:
        return self._end.only_here

    # the run

    def run(self) -> Any:
        __tracebackhide__ = True
        options, bus = self._options, self._bus
        self._ask_for_key()
        state.remember_typed(changes.transformed(self._session.shell, self._source))
        local = hosts.home() / self.name
        identity = store.Identity(self.name, hosts.kernel_notebook(self._session.shell), self.cell.hash)
        far = Mirroring.at(self.name, options, self._session.workers, bus, self._session.clock)
        if options.fresh or (far is None and not local.exists()):
            self._check_names()  # before anything is written or forgotten
        with ExitStack() as undo:
            above = far.look(local, identity) if far is not None else 0
            self._fetched = far.fetched if far is not None else ()
            opened = store.Store.open(
                local, identity, clock=self._session.clock, take_over=options.take_over, above=above
            )
            undo.callback(self._give_back, opened)
            if options.fresh:
                opened.clear()
            loaded, passed_over = opened.newest()
            for step in (step for step in passed_over if far is None or not far.said(step)):
                bus.post(CommitPassedOver(name=self.name, commit=step.commit, reason=step.reason))
            if loaded is not None:
                loaded = self._check_changes(opened, loaded, undo)
            else:
                self._check_names()  # a commit may hold what this kernel has not made yet
                self._found = self._begun()
            if far is not None:
                far.try_it()
                self._end.tried = far.tried
                mirror = self._end.mirror = far.open(opened)
                undo.callback(mirror.close, MIRROR_CLOSE_S)
                undo.callback(self._wait_for_durable)
            files = CellFiles(self.name, options, opened.path, bus)
            engine = self._open_engine(opened, files.watch, undo)
            bus.post(WorkStarted(name=self.name, where=options.to))
            if loaded is None:
                self._say_what_has_no_points()
            try:
                value, outcome = self._run_cell(opened, loaded, engine, files)
            except BaseException as error:
                ended = "stopped" if isinstance(error, KeyboardInterrupt) else "failed"
                self._over(engine, ended)
                bus.post(WorkEnded(name=self.name, outcome=ended, reason=f"{type(error).__name__}: {error}"))
                raise
            finally:
                self._session.left[self.name] = inputs.leave(self._found.inputs, self._session.shell.user_ns)
            self._over(engine, outcome)
            self._well = True
            if outcome == "restored":
                self._session.keepalive.release.restored(self.name, self.only_here)
            bus.post(WorkEnded(name=self.name, outcome=outcome, guard_share=engine.schedule.guard_share))
            return value

    def _give_back(self, opened: store.Store) -> None:
        """How the cell ended stands already: a lease that stays on a disk which cannot be written is free with this process."""
        try:
            opened.close()
        except OSError as error:
            self._session.failed(f"giving back the lease of {opened.path}", error)

    def _wait_for_durable(self) -> None:
        """With `%keepalive --release` the machine is to be let go: what was saved last is waited for, if it can be proved."""
        release = self._session.keepalive.release
        if self._well and release.on and release.works_here:
            self._end.wait(self._session.clock, RELEASE_WAIT_S)

    def _ask_for_key(self) -> None:
        """On Colab: the key by which commits are signed, from its user data, where the environment has none. Asked once."""
        if self._session.host.kind != "colab" or os.environ.get(store.KEY_VARIABLE):
            return
        try:
            store.use_key(hosts.user_data(store.KEY_VARIABLE))
        except hosts.NoAnswer as silence:
            why = f"{silence}; without {store.KEY_VARIABLE} commits are not signed, and unsigned ones are taken up"
            self._bus.post(NotKept(name=self.name, what=f"the key {store.KEY_VARIABLE} of Colab's user data", why=why))

    def _check_names(self) -> None:
        shell = self._session.shell
        named.check(self._options, changes.transformed(shell, self._source), shell.user_ns)

    def _begun(self) -> differences.Differences:
        """A first run: its inputs, and which of them a run before in this kernel has changed, of which nothing was saved."""
        session, here = self._session, self._look_at_inputs()
        changed = inputs.changed_before(session.begun.get(self.name, {}), here, session.left.get(self.name, {}), session.shell.user_ns)
        session.begun[self.name] = here
        if not changed or self._options.fresh:
            return differences.Differences(inputs=here)
        why = f"the run before has changed {', '.join(changed)}, and nothing of it was saved; run the cells that make them again"
        return differences.Differences(inputs=here, inexact_now=(why,))

    def _say_what_has_no_points(self) -> None:
        try:
            told = explain.before_first_run(self.cell, self._session)
        except Exception as error:  # a look at the user's objects never keeps the work from running
            self._session.failed("the look for places without safe points", error)
            told = ()
        if told:
            self._bus.post(NoSafePoint(name=self.name, places=told))
        if self._found.inexact_now:
            self._bus.post(NotBitExact(name=self.name, reasons=self._found.inexact_now, since="begun"))

    def _over(self, engine: Engine, outcome: str) -> None:
        engine.say_refusals()
        status = self.status()
        self._session.ended = "; ".join([f"{self.name} ({outcome})", f"{status.snapshots} snapshots", *status.not_saved])

    def _run_cell(
        self, opened: store.Store, loaded: store.Loaded | None, engine: Engine, files: CellFiles
    ) -> tuple[Any, str]:
        __tracebackhide__ = True
        shell = self._session.shell
        scope = changes.GrownScope(
            shell.user_ns,
            self.cell.original,
            keep=self._options.keep,
            skip=self._options.skip,
            overlap=self._options.overlap,
        )
        scope.grown = self._found.grown
        engine.on_shed.append(scope.shed)
        scope.ask_for_room(self._session.memory.room)
        self._outside = scope.outside
        units = [unit_record(record) for record in opened.units()]
        self._regridded = self._session.make_sweeps(self._found.grids)
        self._session.adopt(units, opened.path)
        loaded = self._reopened_by_new_units(opened, loaded, units)
        execution: cells.Execution

        def newest() -> store.Loaded | None:
            """For going back: as a resume in a new kernel would find it, with the files and the units of then."""
            found = opened.newest()[0]
            if found is not None:
                execution.units = [unit_record(record) for record in opened.units()]
                engine.forget_owed()
                self._session.went_back(execution.units)
                files.restore(opened, found.record)
                self._output.go_back(found.parts)
            return found

        execution = cells.Execution(
            self.cell,
            scope,
            engine,
            self._session.clock.monotonic,
            policies=self._session.policy_factories(anew=loaded is None),
            loops=self._loops,
            units=units,
            newest=newest,
            readable=opened.readable,
            say=engine.name_inexact,
            way_back=self._output,
            recovery=self._session.recovery,
        )
        if loaded is None:
            return self._guarded(execution, None, engine), "done"
        files.restore(opened, loaded.record)
        self._output.take_up(loaded.parts)
        self._session.recovery.adopt(loaded.record.meta.get("memory", {}))
        position = Position.from_json(loaded.record.position)
        finished = loaded.record.kind == "cell"
        ident = loaded.record.id
        source = "mirror" if ident in self._fetched else "local"
        self._bus.post(Resumed(name=self.name, commit=ident, position=position.text, depth=position.depth, source=source))
        self._found.say(self.name, self._bus)
        if finished:
            self._end.saved = loaded.record
            with self._output.heard():
                value = execution.restore_finished(loaded)
                self._output.end()
                return value, "restored"
        return self._guarded(execution, loaded, engine), "done"

    def _guarded(self, execution: cells.Execution, loaded: store.Loaded | None, engine: Engine) -> Any:
        __tracebackhide__ = True
        session = self._session
        interrupts = Interrupts(
            engine, execution.none_ahead, notes=Notes(session.shell), workers=session.workers, bus=session.bus
        )
        heard = hosts.heard_user_data(state.remember_user_data)
        guarding = apart.guarded_by(self._guarding(engine))
        aside = session.output_aside(self._output.aside)
        with aside, session.guarded(self), interrupts, RequestFolder(self, session), self._output.heard(), heard, guarding:
            return execution.run(loaded)

    def _guarding(self, engine: Engine) -> apart.Guarding:
        options = self._options
        return apart.Guarding(
            self.name,
            options.every_s,
            options.budget,
            options.fresh,
            options.resume,
            stop_asked=lambda: engine.stop_asked is not None,
        )

    def _not_recorded(self, why: str) -> None:
        self._bus.post(NotKept(name=self.name, what="the cell's output", why=why))

    # parts

    def _open_engine(self, opened: store.Store, files: FolderWatch, undo: ExitStack) -> Engine:
        clock = self._session.clock
        self.engine = Engine(
            self.name,
            opened,
            schedule=Schedule(clock, self._options.every_s, self._options.budget),
            bus=self._bus,
            clock=clock,
            workers=self._session.workers,
            files=files,
            meta={
                "cell": self.cell.hash,
                "source": self._source,
                "versions": surroundings.versions(),
                "cwd": os.getcwd(),
                **self._found.meta,
            },
            facts=self._facts,
            output=self._output.parts,
            on_saved=self._end.hear,
        )
        undo.callback(self.engine.close)
        return self.engine

    def _facts(self) -> dict[str, Any]:
        """What holds at a commit: the machine, and what of its state lies outside the names."""
        outside = self._outside.facts() if self._outside is not None else {}
        known = self._session.recovery.to_json()
        return {
            "surroundings": surroundings.facts() | {"threads kept": outside.pop("threads", False)},
            "outside": outside,
            **({"memory": known} if known else {}),
        }

    def _look_at_inputs(self) -> dict[str, inputs.Input]:
        shell = self._session.shell
        run_before = shell.user_ns.get("In", [])[:-1]  # the last is this cell
        return inputs.look(changes.transformed(shell, self._source), shell.user_ns, run_before)

    def _check_changes(self, opened: store.Store, loaded: store.Loaded, undo: ExitStack) -> store.Loaded:
        """What is to be taken up; or the error that names what changed. Raised before anything runs or is restored."""
        session, here = self._session, self._look_at_inputs()
        left = session.left.get(self.name, {})
        self._found = found = differences.look(session.shell, self.name, self.cell, opened, loaded, here, left, self._options)
        if found.missing_devices:
            undo.enter_context(state.mapped_to_cpu(found.missing_devices))
        return found.loaded

    def _reopened_by_new_units(
        self, opened: store.Store, loaded: store.Loaded | None, units: list[UnitRecord]
    ) -> store.Loaded | None:
        """A finished cell whose sweep has grown goes on at its newest unit end."""
        groups = sorted({unit.group for unit in units})
        if loaded is None or loaded.record.kind != "cell" or not self._session.unfinished_units(groups):
            return loaded
        for record in opened.commits():
            if record.kind == "unit":
                return opened.load(record)
        return None


def unit_record(record: store.CommitRecord) -> UnitRecord:
    unit = record.unit or {}
    return UnitRecord(str(unit["group"]), str(unit["key"]), unit["record"])


def run(session: Session, name: str, source: str, options: CheckpointOptions) -> Any:
    """Run `source` as the guarded cell `name`; the value of its last expression."""
    __tracebackhide__ = True
    if session.work is not None:
        raise BadOption(f"{session.work.name!r} is running; one guarded cell at a time")
    if not source.strip():
        raise BadCell("%%checkpointed found no code in the cell; put it above the code that is to be resumable")
    return GuardedCell(session, name, source, options).run()
