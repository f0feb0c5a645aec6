"""The limit as typed, the cap on GPUs, and the watch on host RAM."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace

import pytest

from colab_guard.clock import FakeClock
from colab_guard.errors import BadOption
from colab_guard.events import Event, EventBus, MemoryPressure, MemorySampled
from colab_guard.hosts import FakeProbe, GpuMemory
from colab_guard.memory import MemoryGuard, parse_fraction
from colab_guard.memory.caps import COLLECT_FROM, MARGIN, Cap, Caps
from colab_guard.memory.limits import thresholds
from colab_guard.workers import Workers

GIB = 2**30


@pytest.mark.parametrize("text", ["0.85", "85%", 0.85, " 85% "])
def test_a_share_is_read_as_a_fraction_or_in_percent(text: str | float) -> None:
    assert parse_fraction(text) == pytest.approx(0.85)


def test_a_number_meant_as_percent_gets_both_spellings_suggested() -> None:
    with pytest.raises(BadOption, match=r"type 0.85 or 85%"):
        parse_fraction("85")


@pytest.mark.parametrize("text", ["0", "0.05", "-1", "1.5", "150%", "nan", "inf", "much", "", "%"])
def test_what_is_no_share_is_refused_in_one_line(text: str) -> None:
    with pytest.raises(BadOption) as caught:
        parse_fraction(text)
    assert "\n" not in str(caught.value) and "0.85" in str(caught.value)


class FakeCuda:
    """`torch.cuda` with GPUs of 16 GiB, of which others and torch itself use some."""

    def __init__(self, *used_by_others: float, own: float = 0.0) -> None:
        self.others, self.own = used_by_others, own
        self.fractions = dict.fromkeys(range(len(used_by_others)), 1.0)

    def is_available(self) -> bool:
        return bool(self.others)

    is_initialized = is_available

    def device_count(self) -> int:
        return len(self.others)

    def mem_get_info(self, number: int = 0) -> tuple[int, int]:
        return int((16 - self.others[number] - self.own) * GIB), 16 * GIB

    def memory_reserved(self, number: int = 0) -> int:
        return int(self.own * GIB)

    def get_per_process_memory_fraction(self, number: int) -> float:
        return self.fractions[number]

    def set_per_process_memory_fraction(self, fraction: float, number: int) -> None:
        if not 0 <= fraction <= 1:
            raise ValueError(f"Invalid fraction value: {fraction}. Allowed range: 0~1")
        self.fractions[number] = fraction


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> FakeCuda:
    found = FakeCuda(0.5, 8.0)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=found))  # type: ignore[arg-type]
    return found


def test_a_gpu_is_capped_at_the_share_or_lower_where_others_use_it(cuda: FakeCuda) -> None:
    assert Caps().set(0.85) == [Cap("cuda:0", 0.85), Cap("cuda:1", 0.5 - MARGIN)]
    assert cuda.fractions == {0: 0.85, 1: 0.5 - MARGIN}


def test_what_this_process_has_reserved_itself_does_not_lower_its_cap(cuda: FakeCuda) -> None:
    cuda.own = 6.0
    assert [cap.share for cap in Caps().set(0.85)] == [0.85, 0.5 - MARGIN]


def test_a_gpu_that_others_have_filled_gets_a_cap_that_torch_accepts(cuda: FakeCuda) -> None:
    cuda.others = (16.0, 15.9)
    assert all(0 < cap.share <= 0.05 for cap in Caps().set(0.85))


def test_lifting_puts_back_what_was_before_also_after_two_settings(cuda: FakeCuda) -> None:
    cuda.fractions = {0: 0.7, 1: 1.0}
    cap = Caps()
    cap.set(0.85)
    cap.set(0.5)
    cap.lift()
    assert cuda.fractions == {0: 0.7, 1: 1.0}


def test_without_a_gpu_there_is_no_cap_and_nothing_to_lift(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=FakeCuda()))  # type: ignore[arg-type]
    cap = Caps()
    assert cap.set(0.85) == []
    cap.lift()


class FakeCore:
    """`torch._C` with an allocator whose settings begin anew with each call, as PyTorch's do."""

    def __init__(self, settings: str = "") -> None:
        self.settings = settings

    def _accelerator_getAllocatorSettings(self) -> str:
        return self.settings

    def _accelerator_setAllocatorSettings(self, settings: str) -> None:
        self.settings = settings


@pytest.mark.parametrize("before", ["", "max_split_size_mb:64", "garbage_collection_threshold:0.6", "backend:cudaMallocAsync"])
def test_the_allocator_collects_below_the_cap_and_its_settings_come_back(before: str, monkeypatch: pytest.MonkeyPatch) -> None:
    core = FakeCore(before)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=FakeCuda(0.5), _C=core))  # type: ignore[arg-type]
    caps = Caps()
    for _ in range(2):
        caps.set(0.85)
    its_own = "threshold" in before or "Async" in before
    added = f"garbage_collection_threshold:{COLLECT_FROM}"
    assert core.settings == (before if its_own else f"{before},{added}".lstrip(","))
    caps.lift()
    assert core.settings == before


def test_this_pytorch_takes_the_allocators_settings_at_run_time_and_gives_them_back() -> None:
    script = (
        "import torch\nfrom types import SimpleNamespace\nfrom colab_guard.memory.caps import Caps\n"
        "import sys\nfrom tests.memory.test_limits import FakeCuda\n"
        "sys.modules['torch'] = SimpleNamespace(cuda=FakeCuda(0.5), _C=torch._C)\n"
        "caps = Caps()\ncaps.set(0.85)\nprint(torch._C._accelerator_getAllocatorSettings())\n"
        "caps.lift()\nprint(repr(torch._C._accelerator_getAllocatorSettings()))"
    )
    pytest.importorskip("torch")
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert done.stdout.split("\n")[:2] == [f"garbage_collection_threshold:{COLLECT_FROM}", "''"]


def test_a_cap_follows_what_others_use_but_not_each_little_change(cuda: FakeCuda) -> None:
    caps = Caps()
    caps.set(0.85)
    cuda.others = (0.5, 7.9)
    assert caps.set(0.85)[1].share == 0.5 - MARGIN
    cuda.others = (0.5, 1.0)
    assert caps.set(0.85)[1].share == 0.85


def test_apples_gpu_is_capped_too_and_gets_its_default_back(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[float] = []
    mps = SimpleNamespace(set_per_process_memory_fraction=told.append)
    works = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True))
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=FakeCuda(), mps=mps, backends=works))  # type: ignore[arg-type]
    caps = Caps()
    assert caps.set(0.85) == [Cap("mps", 0.85)]
    caps.lift()
    assert told == [0.85, 1.7]


def test_a_tpu_is_said_to_have_no_cap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PJRT_DEVICE", "TPU")
    watch = Watch()
    watch.guard.on(0.85)
    assert "TPU" in watch.guard.status()


@pytest.mark.parametrize(
    ("soft", "hard", "expected"),
    [(None, None, (0.85, 0.9, 0.93)), (0.5, None, (0.5, 0.9, 0.93)), (None, 0.8, (0.75, 0.8, 0.83)), (0.7, 0.95, (0.7, 0.95, 0.98))],
)
def test_thresholds_keep_their_order(soft: float | None, hard: float | None, expected: tuple[float, ...]) -> None:
    found = thresholds(soft, hard)
    assert (found.soft, found.hard, found.last) == pytest.approx(expected)


@pytest.mark.parametrize(("soft", "hard", "words"), [(0.9, 0.8, "--soft"), (None, 0.99, "--hard"), (0.05, None, "--soft"), (0.95, None, "--soft")])
def test_thresholds_that_make_no_sense_are_one_clear_line(soft: float | None, hard: float | None, words: str) -> None:
    with pytest.raises(BadOption, match=words) as caught:
        thresholds(soft, hard)
    assert "\n" not in str(caught.value)


class Watch:
    """A guard whose worker stands still: the test lets it look."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.workers = Workers(self.clock)
        self.bus = EventBus(synchronous=True)
        self.events: list[Event] = []
        self.bus.subscribe(lambda event, at: self.events.append(event))
        self.probe = FakeProbe(limit=100 * GIB, used=10 * GIB)
        self.guard = MemoryGuard(bus=self.bus, clock=self.clock, workers=self.workers, probe=self.probe)

    def look(self, percent: float) -> list[str]:
        """The levels said when use is at `percent`."""
        self.probe.used = int(percent * GIB)
        before = len(self.events)
        self.clock.advance(60)
        self.guard._look()
        return [e.level for e in self.events[before:] if isinstance(e, MemoryPressure)]


@pytest.fixture
def watch() -> Watch:
    found = Watch()
    found.guard.on(0.85)
    return found


def test_each_level_of_pressure_is_said_once(watch: Watch) -> None:
    heard = []
    watch.guard.on_pressure.append(heard.append)
    said = [watch.look(percent) for percent in (50, 84, 86, 87, 91, 92, 94, 95)]
    assert said == [[], [], ["soft"], [], ["hard"], [], ["last"], []]
    assert heard == ["soft", "hard", "last"]


def test_a_level_is_said_again_only_after_use_fell_well_below_it(watch: Watch) -> None:
    said = [watch.look(percent) for percent in (86, 83, 86, 81, 86, 79, 86)]
    assert said == [["soft"], [], [], [], [], [], ["soft"]]


def test_a_jump_past_several_levels_says_the_highest_alone(watch: Watch) -> None:
    assert [watch.look(percent) for percent in (91, 86, 91)] == [["hard"], [], []]


def test_without_a_limit_memory_is_sampled_but_nothing_is_said() -> None:
    watch = Watch()
    assert watch.look(99) == []
    assert [type(event) for event in watch.events] == [MemorySampled]
    assert "no limit is set" in watch.guard.status()


def test_samples_are_taken_every_two_seconds_and_carry_the_gpu(watch: Watch) -> None:
    watch.probe.gpu_memory = GpuMemory(1 * GIB, 2 * GIB, GIB, 16 * GIB)
    for _ in range(10):
        watch.look(20)
    samples = [event for event in watch.events if isinstance(event, MemorySampled)]
    assert len(samples) == 10
    assert samples[-1].gpu_reserved == 2 * GIB and samples[-1].host_used == 20 * GIB


def test_the_cap_follows_once_torch_has_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=FakeCuda()))  # type: ignore[arg-type]
    watch = Watch()
    watch.guard.on(0.8)
    assert "no GPU in use" in watch.guard.status()
    cuda = FakeCuda(0.5)
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))  # type: ignore[arg-type]
    watch.look(20)
    assert cuda.fractions == {0: 0.8} and "cuda:0 at 80%" in watch.guard.status()
    watch.guard.close()
    assert cuda.fractions == {0: 1.0} and not watch.guard.in_force


PRESSED = """
import sys, time
from colab_guard.clock import SystemClock
from colab_guard.errors import HostMemoryPressure
from colab_guard.events import EventBus
from colab_guard.hosts import FakeProbe
from colab_guard.memory import MemoryGuard
from colab_guard.workers import Workers

probe, workers = FakeProbe(limit=100, used=10), Workers()
guard = MemoryGuard(bus=EventBus(synchronous=True), clock=SystemClock(), workers=workers, probe=probe)
guard.on(0.85)
guard.work_started("run")
try:
    until = time.monotonic() + 10
    while time.monotonic() < until:
        probe.used = 99
    print("never")
except HostMemoryPressure as error:
    print("pressed", isinstance(error, MemoryError))
guard.work_ended()
probe.used = 10
guard._look()
probe.used = 99
guard._look()  # no guarded work: nothing may be raised in anybody's thread
for _ in range(1000):
    pass
guard.close()
print("left", workers.stop())
"""


def test_a_loop_in_guarded_work_is_stopped_at_the_last_level_and_nothing_is_raised_after_it() -> None:
    done = subprocess.run([sys.executable, "-c", PRESSED], capture_output=True, text=True, timeout=30, check=False)
    assert done.stdout.split("\n")[:2] == ["pressed True", "left []"], done.stderr
