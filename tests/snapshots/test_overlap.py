"""What is copied beside training is bit for bit what lay there at the safe point, or it is never published."""

from __future__ import annotations

import os
import random
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

import pytest
import torch

from colab_guard import state
from colab_guard.clock import SystemClock
from colab_guard.events import Event, EventBus, SnapshotNotTaken, SnapshotSaved
from colab_guard.snapshots import Engine, Leaving, Position, Schedule
from colab_guard.snapshots.schedule import RETRY_S
from colab_guard.state import Live, Overlap, Overlapping, Split
from colab_guard.store import CommitDraft, CommitRecord
from colab_guard.workers import Workers

WIDE = 192
"""Squared, in floats: more than what is copied at once in any case."""
LIVE = Live({}, {})
WAYS: list[Overlapping] = ["params", "full"]


@pytest.fixture(autouse=True)
def nothing_was_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("colab_guard.state.graph.anything_compiled", lambda: False)


@pytest.fixture(autouse=True)
def late_copier(monkeypatch: pytest.MonkeyPatch) -> None:
    """The copier begins somewhere in the forward and backward pass, or not at all before it is joined."""
    plain = Overlap.work_beside

    def late(self: Overlap) -> None:
        time.sleep(random.choice((0.0, 0.0005, 0.001, 0.002, 0.004)))
        plain(self)

    monkeypatch.setattr(Overlap, "work_beside", late)


@dataclass
class Sink:
    """Keeps the bytes of each commit as they are while it is written."""

    commits: list[tuple[int, dict[str, bytes], dict[str, bytearray]]] = field(default_factory=list)
    not_removed: str = ""

    def commit(self, draft: CommitDraft) -> CommitRecord:
        buffers = {buffer.key: bytearray(buffer.data) for buffer in draft.buffers}
        time.sleep(0.0005)
        assert buffers == {buffer.key: bytearray(buffer.data) for buffer in draft.buffers}, "written to while it is read"
        number = int(draft.position["text"])
        self.commits.append((number, {name: bytes(part) for name, part in draft.parts.items()}, buffers))
        return CommitRecord(f"1-{number}-x", 1, number, draft.kind, 0.0, None, draft.position, {}, None, {})


class Work:
    """A loop that passes safe points, and a copy of all it holds that is made at each at once."""

    def __init__(self, names: dict[str, Any], way: Overlapping) -> None:
        self.names = names
        self.sink = Sink()
        self.events: list[Event] = []
        bus = EventBus(synchronous=True)
        bus.subscribe(lambda event, at: self.events.append(event))
        clock = SystemClock()
        self.engine = Engine("work", self.sink, schedule=Schedule(clock, 0.0, 0.99), bus=bus, clock=clock, workers=Workers())
        self._split, self._way = Split(), way
        self.at: dict[int, tuple[dict[str, bytes], dict[str, bytearray]]] = {}
        self.later = 0

    def safe_point(self, number: int, kind: Any = "step") -> bool:
        whole = self._captured(None, None)
        self.at[number] = ({name: bytes(part) for name, part in whole.parts.items()}, buffers_of(whole))
        return self.engine.take(kind, Position(str(number), 1), lambda: self._captured(self._split, self._way))

    def _captured(self, split: Split | None, way: Overlapping | None) -> state.Captured:
        captured = state.capture({"names": self.names}, {"names": {}}, LIVE, split, way)
        self.later += len(captured.overlap.copies) if captured.overlap is not None else 0
        return captured

    def check(self) -> int:
        """How many snapshots were published; each must be what was there at its safe point."""
        self.engine.close()
        for number, parts, buffers in self.sink.commits:
            same(state.restore(parts, buffers, LIVE)[0]["names"], state.restore(*self.at[number], LIVE)[0]["names"])
        return len(self.sink.commits)

    @property
    def given_up(self) -> list[str]:
        return [event.reason for event in self.events if isinstance(event, SnapshotNotTaken)]


def buffers_of(captured: state.Captured) -> dict[str, bytearray]:
    return {buffer.key: bytearray(buffer.data) for buffer in captured.buffers}


def same(one: Any, other: Any) -> None:
    assert type(one) is type(other)
    if isinstance(one, torch.Tensor):
        assert one.dtype == other.dtype and one.shape == other.shape
        assert torch.equal(one.detach().reshape(-1).view(torch.uint8), other.detach().reshape(-1).view(torch.uint8))
        same(one.grad, other.grad)
    elif isinstance(one, dict):
        assert len(one) == len(other)
        for (a, b), (c, d) in zip(one.items(), other.items(), strict=True):
            same(a, c)
            same(b, d)
    elif isinstance(one, (list, tuple)):
        assert len(one) == len(other)
        for a, b in zip(one, other, strict=True):
            same(a, b)
    elif isinstance(one, (torch.nn.Module, torch.optim.Optimizer)):
        attributes = {key: value for key, value in vars(one).items() if "hook" not in key}
        same(attributes, {key: value for key, value in vars(other).items() if "hook" not in key})


class ByHand:
    """An optimizer of the user's own, of which no hook knows."""

    def __init__(self, parameters: Any) -> None:
        self.parameters = list(parameters)
        self.momentum = [torch.zeros_like(p) for p in self.parameters]

    def step(self, closure: Any = None) -> None:
        with torch.no_grad():
            for parameter, moment in zip(self.parameters, self.momentum, strict=True):
                moment.mul_(0.9).add_(parameter.grad)
                parameter.sub_(moment, alpha=0.01)

    def zero_grad(self, set_to_none: bool = True) -> None:
        for parameter in self.parameters:
            parameter.grad = None


OPTIMIZERS: dict[str, Callable[[Any], Any]] = {
    "SGD with momentum": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9),
    "SGD for each": lambda p: torch.optim.SGD(p, 0.01, momentum=0.9, foreach=True),
    "Adam": lambda p: torch.optim.Adam(p, amsgrad=True),
    "AdamW one by one": lambda p: torch.optim.AdamW(p, foreach=False),
    "AdamW for each": lambda p: torch.optim.AdamW(p, foreach=True),
    "AdamW fused": lambda p: torch.optim.AdamW(p, fused=True),
    "RMSprop": lambda p: torch.optim.RMSprop(p, momentum=0.5, centered=True),
    "Adagrad": torch.optim.Adagrad,
    "NAdam": torch.optim.NAdam,
    "LBFGS": lambda p: torch.optim.LBFGS(p, max_iter=2, history_size=3),
    "by hand": ByHand,
}
UNSEEN = {"AdamW fused", "by hand"}


def started(make: Callable[[Any], Any]) -> dict[str, Any]:
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(WIDE, WIDE), torch.nn.Tanh(), torch.nn.Linear(WIDE, WIDE))
    return {"model": model, "optimizer": make(model.parameters()), "x": torch.randn(8, WIDE), "losses": []}


def iterate(names: dict[str, Any], between: Callable[[dict[str, Any]], Any] | None = None, *, first_zero: bool = False) -> None:
    """One iteration; `between` is done after the safe point and before the step."""
    model, optimizer = names["model"], names["optimizer"]
    if first_zero:
        optimizer.zero_grad()

    def closure() -> torch.Tensor:
        loss: torch.Tensor = model(names["x"]).square().mean()
        loss.backward()
        return loss

    loss = closure()
    if between is not None:
        between(names)
    names["optimizer"].step(closure)
    names["losses"].append(loss.item())
    if not first_zero:
        optimizer.zero_grad()


@pytest.mark.parametrize("first_zero", [False, True], ids=["zero_grad last", "zero_grad first"])
@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_every_published_snapshot_is_what_was_there_at_its_safe_point(kind: str, way: Overlapping, first_zero: bool) -> None:
    work = Work(started(OPTIMIZERS[kind]), way)
    for number in range(10):
        iterate(work.names, first_zero=first_zero)
        assert work.safe_point(number)
    assert work.check() >= 8
    assert (work.later > 0) is (kind not in UNSEEN), "what is copied beside training"


def change_state(names: dict[str, Any]) -> None:
    for moments in names["optimizer"].state.values():
        moments["exp_avg"].mul_(0.5)


def other_state(names: dict[str, Any]) -> None:
    names["optimizer"].load_state_dict(names["optimizer"].state_dict())


def other_optimizer(names: dict[str, Any]) -> None:
    names["optimizer"] = torch.optim.AdamW(names["model"].parameters())


def average(names: dict[str, Any]) -> None:
    """The model's parameters take in those of an average, as after an evaluation."""
    with torch.no_grad():
        for parameter in names["model"].parameters():
            parameter.lerp_(torch.ones_like(parameter), 0.1)


def swapped(names: dict[str, Any]) -> None:
    for parameter in names["model"].parameters():
        parameter.data = parameter.data.clone().mul_(0.9)


def clamped(names: dict[str, Any]) -> None:
    for parameter in names["model"].parameters():
        parameter.data.clamp_(-0.01, 0.01)


def cleared(names: dict[str, Any]) -> None:
    names["optimizer"].state.clear()


def no_model(names: dict[str, Any]) -> None:
    torch.manual_seed(len(names["losses"]))
    names["model"] = torch.nn.Sequential(torch.nn.Linear(WIDE, WIDE), torch.nn.Tanh(), torch.nn.Linear(WIDE, WIDE))
    names["optimizer"] = torch.optim.AdamW(names["model"].parameters())


HOSTILE: dict[str, Callable[[dict[str, Any]], Any]] = {
    "gradients zeroed in place": lambda n: n["optimizer"].zero_grad(set_to_none=False),
    "gradients clipped": lambda n: torch.nn.utils.clip_grad_norm_(n["model"].parameters(), 0.01),
    "an average taken in": average,
    "a pass to evaluate": lambda n: n["model"].eval()(n["x"]),
    "a state dict loaded": other_state,
    "a model's state dict loaded": lambda n: n["model"].load_state_dict({k: v * 0.5 for k, v in n["model"].state_dict().items()}),
    "moments changed": change_state,
    "the state cleared": cleared,
    "another optimizer": other_optimizer,
    "another model": no_model,
    "parameters frozen": lambda n: n["model"][0].requires_grad_(not n["model"][0].weight.requires_grad),
    "data exchanged": swapped,
    "a second step": lambda n: n["optimizer"].step(),
    "data clamped": clamped,
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("what", HOSTILE)
def test_what_the_loop_does_before_its_step_tears_no_snapshot(what: str, way: Overlapping) -> None:
    if (what, way) == ("data clamped", "full"):
        pytest.skip("writes by .data are what loops under --overlap full must not do")
    work = Work(started(torch.optim.AdamW), way)
    for number in range(10):
        iterate(work.names, HOSTILE[what])
        work.safe_point(number)
    assert work.check() >= 5
    assert work.later > 0 or (what, way) == ("another model", "params")  # which has no moments at a safe point


def test_memory_that_changed_is_said_and_copied_at_the_safe_point_from_then_on() -> None:
    work = Work(started(torch.optim.AdamW), "params")
    iterate(work.names)
    assert work.safe_point(0)
    work.engine._overlapping._copies.put(None)  # no copier: the join makes all the copies, after the change
    iterate(work.names, change_state)
    assert "changed while it was copied beside training" in work.given_up[0]
    assert work.engine.torn == 1 and work.sink.commits == []
    time.sleep(RETRY_S)
    assert work.engine.due(), "another is taken soon"
    assert work.safe_point(1)
    iterate(work.names, change_state)
    assert work.check() == 1 and len(work.given_up) == 1


def test_nothing_is_published_before_the_step_that_follows() -> None:
    work = Work(started(torch.optim.AdamW), "params")
    iterate(work.names)
    work.safe_point(0)
    time.sleep(0.05)
    assert work.sink.commits == [] and not any(isinstance(event, SnapshotSaved) for event in work.events)
    iterate(work.names)
    work.engine.wait()
    assert len(work.sink.commits) == 1


@pytest.mark.parametrize("kind", ["unit", "cell"])
def test_ends_of_units_and_cells_are_saved_at_once(kind: str) -> None:
    work = Work(started(torch.optim.AdamW), "full")
    iterate(work.names)
    work.safe_point(0, kind)
    assert len(work.sink.commits) == 1
    change_state(work.names)
    assert work.check() == 1


@pytest.mark.parametrize("ask", [lambda engine: engine.request_commit(), lambda engine: engine.request_stop("test")])
def test_a_commit_that_somebody_waits_for_is_not_overlapped(ask: Callable[[Engine], None]) -> None:
    work = Work(started(torch.optim.AdamW), "full")
    iterate(work.names)
    ask(work.engine)
    try:
        work.safe_point(0)
    except Leaving:
        pass
    change_state(work.names)
    assert work.check() == 1


def test_the_last_snapshot_before_an_error_is_published_when_the_work_ends() -> None:
    work = Work(started(torch.optim.AdamW), "params")
    iterate(work.names)
    work.safe_point(0)
    with pytest.raises(ZeroDivisionError):
        iterate(work.names, lambda names: 1 / 0)
    assert work.check() == 1


def test_a_forked_child_neither_joins_nor_publishes() -> None:
    work = Work(started(torch.optim.SGD), "full")
    iterate(work.names)
    work.safe_point(0)
    child = os.fork()
    if child == 0:
        with torch.no_grad():
            work.names["optimizer"].step()
        os._exit(0 if work.sink.commits == [] and work.engine._overlapping.held else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    iterate(work.names)
    assert work.check() == 1


def test_the_hook_before_steps_is_gone_when_the_work_is_over() -> None:
    from torch.optim import optimizer

    before, threads = len(optimizer._global_optimizer_pre_hooks), set(threading.enumerate())
    work = Work(started(torch.optim.AdamW), "params")
    iterate(work.names)
    work.safe_point(0)
    assert len(optimizer._global_optimizer_pre_hooks) == before + 1
    work.check()
    assert len(optimizer._global_optimizer_pre_hooks) == before
    assert not any("copier" in thread.name for thread in set(threading.enumerate()) - threads)


def test_a_step_in_another_thread_gives_the_snapshot_up() -> None:
    work = Work(started(torch.optim.AdamW), "params")
    iterate(work.names)
    work.safe_point(0)
    other = threading.Thread(target=iterate, args=(work.names,))
    other.start()
    other.join()
    assert work.check() == 0 and "another thread" in work.given_up[0]


def test_memory_for_staging_is_the_state_s_size_also_when_a_model_follows_another() -> None:
    work = Work(started(torch.optim.AdamW), "params")
    for number in range(4):
        no_model(work.names)
        iterate(work.names)
        before = {id(slot) for slot in work._split.staging._slots.values()}
        work.safe_point(number)
        size = sum(len(data) for data in work.at[number][1].values())
        assert work._split.staging.nbytes == size
        work.engine.wait()
        assert work.engine._committing.pending is None
        assert not before or before & {id(slot) for slot in work._split.staging._slots.values()}, "slots are used again"
    work.check()


def test_moments_that_code_may_reach_unseen_are_copied_at_the_safe_point() -> None:
    names = started(torch.optim.AdamW)
    iterate(names)
    careful = Live({}, {}, reaches_moments=True)
    assert state.capture({"names": names}, {"names": {}}, careful, Split(), "params").overlap is None
    assert state.capture({"names": names}, {"names": {}}, LIVE, Split(), "params").overlap is not None


def frozen_work() -> Work:
    """With a frozen matrix that was seen unchanged often enough."""
    names = started(torch.optim.AdamW)
    names["base"] = torch.randn(256, 256)
    work = Work(names, "params")
    for number in range(6):
        iterate(names)
        assert work.safe_point(number)
    work.engine.wait()
    return work


def left_of(names: dict[str, Any], split: Split, live: Live = LIVE) -> set[int]:
    """Addresses of what the next capture leaves to be compared or copied beside training."""
    overlap = state.capture({"names": names}, {"names": {}}, live, split, "params").overlap
    places = {copy.place[1] for copy in overlap.copies} if overlap is not None else set()
    if overlap is not None:
        overlap.join()
    return places


def test_frozen_memory_is_compared_beside_training() -> None:
    work = frozen_work()
    base = work.names["base"]
    assert base.data_ptr() in left_of(work.names, work._split)
    assert base.data_ptr() not in left_of(work.names, work._split, Live({}, {}, writes_unseen=True))
    assert base.data_ptr() not in left_of(work.names, Split()), "nothing is known of it yet"
    assert not work.given_up
    assert work.check() == 6


@pytest.mark.parametrize("write", [lambda base: base.mul_(2), lambda base: base.data[3].zero_()], ids=["counted", "uncounted"])
def test_frozen_memory_that_is_written_to_meanwhile_gives_the_snapshot_up_once(
    write: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Overlap, "work_beside", lambda self: None)  # all is looked at by whoever joins
    work = frozen_work()
    assert work.safe_point(6)
    write(work.names["base"])
    iterate(work.names)
    assert work.given_up
    for number in range(7, 10):
        assert work.safe_point(number)
        write(work.names["base"])
        iterate(work.names)
    assert len(work.given_up) == 1
    assert work.check() == 9


def test_frozen_memory_that_is_written_to_before_the_safe_point_is_seen_to_differ() -> None:
    work = frozen_work()
    with torch.no_grad():
        work.names["base"][0, 0] += 1
    work.safe_point(6)
    iterate(work.names)
    work.safe_point(7)
    assert len(work.given_up) == 1
    assert work.check() == 7


def test_memory_that_numpy_looks_into_is_copied_at_the_safe_point() -> None:
    names = started(torch.optim.AdamW)
    iterate(names)
    names["view"] = next(iter(names["optimizer"].state.values()))["exp_avg"].numpy()
    overlap = state.capture({"names": names}, {"names": {}}, LIVE, Split(), "params").overlap
    places = {copy.place[1] for copy in overlap.copies} if overlap is not None else set()
    assert places and names["view"].ctypes.data not in places


def test_a_join_that_is_interrupted_goes_on_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(started(torch.optim.AdamW), "params")
    iterate(work.names)
    work.safe_point(0)
    from colab_guard.state.staging import Slot

    plain, calls = Slot.fill, []

    def pressed(slot: Slot, address: int) -> None:
        calls.append(address)
        if len(calls) == 1 and threading.current_thread() is threading.main_thread():
            raise KeyboardInterrupt
        plain(slot, address)

    monkeypatch.setattr(Overlap, "work_beside", lambda self: None)
    monkeypatch.setattr(Slot, "fill", pressed)
    try:
        work.engine.wait()
    except KeyboardInterrupt:
        pass
    assert work.check() == 1


def test_a_copy_that_was_chosen_and_not_begun_when_a_key_was_pressed_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    class Pressed(deque[Any]):
        def popleft(self) -> Any:
            taken = super().popleft()
            if len(self) == 1:
                raise KeyboardInterrupt  # as a signal does that comes between two instructions
            return taken

    work = Work(started(torch.optim.AdamW), "params")
    iterate(work.names)
    work.safe_point(0)
    work.engine.wait()
    iterate(work.names)
    plain = Overlap.join

    def join(self: Overlap) -> Any:
        self._waiting = Pressed(self._waiting)
        return plain(self)

    monkeypatch.setattr(Overlap, "work_beside", lambda self: None)
    monkeypatch.setattr(Overlap, "join", join)
    work.safe_point(1)
    with pytest.raises(KeyboardInterrupt):
        work.engine.wait()
    monkeypatch.setattr(Overlap, "join", plain)
    work.engine.wait()
    assert work.check() == 2


@pytest.mark.parametrize("where", ["before it is given on", "when it was given on"])
def test_a_key_pressed_while_a_joined_snapshot_is_given_on_neither_hangs_nor_loses_it(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    work = Work(started(torch.optim.AdamW), "params")
    iterate(work.names)
    plain = SimpleQueue.put
    pressed = []

    class Jobs(SimpleQueue):  # type: ignore[type-arg]
        def put(self, job: Any, block: bool = True, timeout: float | None = None) -> None:
            first = not pressed
            pressed.append(job)
            if not first or where == "when it was given on":
                plain(self, job)
            if first:
                raise KeyboardInterrupt

    jobs = Jobs()
    committing = work.engine._committing
    committing._jobs.put(None)
    committing._jobs = jobs
    committing._writer = committing._workers.start("writer", committing._write)
    work.safe_point(0)
    with pytest.raises(KeyboardInterrupt):
        iterate(work.names)
    ended = threading.Thread(target=work.engine.wait, daemon=True)
    ended.start()
    ended.join(10)
    assert not ended.is_alive()
    assert [number for number, _, _ in work.sink.commits] == [0]
    assert work.check() == 1


@pytest.mark.parametrize("way", WAYS)
def test_running_averages_that_no_version_counts_tear_no_snapshot(way: Overlapping) -> None:
    names = started(torch.optim.AdamW)
    names["norm"] = torch.nn.BatchNorm1d(20_000)
    work = Work(names, way)
    for number in range(6):
        iterate(names)
        work.safe_point(number)
        names["norm"](torch.randn(2, 20_000) + number)
    work.engine.wait()
    assert work.check() > 0 and work.later > 0
