"""Hosts are recognised, their limits read from the right place, and folders checked without leaving anything."""

from __future__ import annotations

import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from colab_guard import hosts
from colab_guard.errors import MirrorUnusable
from colab_guard.hosts import SystemProbe, gauges

KINDS = {"COLAB_RELEASE_TAG": "colab", "KAGGLE_KERNEL_RUN_TYPE": "kaggle", "JUPYTERHUB_API_URL": "jupyterhub"}


@pytest.mark.parametrize(("variable", "kind"), KINDS.items())
def test_a_host_is_known_by_its_environment(variable: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KINDS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(variable, "x")
    assert hosts.detect().kind == kind


def test_colab_keeps_its_stores_on_the_fast_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("COLAB_GUARD_HOME", raising=False)
    monkeypatch.setenv("COLAB_RELEASE_TAG", "x")
    assert hosts.home() == Path("/content/.colab_guard")


def tree(root: Path, files: dict[str, str]) -> SystemProbe:
    for name, text in {"proc/meminfo": "MemTotal: 1000 kB\nMemAvailable: 400 kB\n", **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return SystemProbe(root)


def test_without_a_group_the_whole_machine_counts(tmp_path: Path) -> None:
    probe = tree(tmp_path, {})
    assert (probe.host_limit(), probe.host_used()) == (1000 * 1024, 600 * 1024)


def test_the_tightest_limit_up_the_tree_counts_and_cache_does_not(tmp_path: Path) -> None:
    group = "sys/fs/cgroup"
    probe = tree(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            f"{group}/a/b/memory.max": "max\n",
            f"{group}/a/b/memory.current": "300000\n",
            f"{group}/a/memory.max": "500000\n",
            f"{group}/a/memory.current": "400000\n",
            f"{group}/a/memory.stat": "anon 1\ninactive_file 70000\nactive_file 30000\n",
        },
    )
    assert probe.host_limit() == 500_000
    assert probe.host_used() == 300_000, "the group that has the limit is the one that counts"


def test_the_old_kind_of_group_is_read_too(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory"
    probe = tree(
        tmp_path,
        {
            f"{group}/memory.limit_in_bytes": "700000\n",
            f"{group}/memory.usage_in_bytes": "600000\n",
            f"{group}/memory.stat": "total_inactive_file 50000\n",
        },
    )
    assert (probe.host_limit(), probe.host_used()) == (700_000, 550_000)


def test_the_old_kind_of_group_may_have_its_limit_above_the_process(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory"
    probe = tree(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,memory:/a/b\n0::/\n",
            f"{group}/a/b/memory.limit_in_bytes": str(2**63 - 4096),
            f"{group}/a/b/memory.usage_in_bytes": "100000\n",
            f"{group}/a/memory.limit_in_bytes": "800000\n",
            f"{group}/a/memory.usage_in_bytes": "400000\n",
            f"{group}/memory.limit_in_bytes": str(2**63 - 4096),
        },
    )
    assert (probe.host_limit(), probe.host_used()) == (800_000, 400_000)


def test_the_gpu_is_read_whichever_kind_it_is_and_none_is_woken_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def gpu(**has: object) -> object:
        monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(**has))  # type: ignore[arg-type]
        return SystemProbe().gpu()

    def device(initialized: bool) -> SimpleNamespace:
        figures = {"mem_get_info": lambda: (40, 100), "memory_reserved": lambda: 10, "memory_allocated": lambda: 5}
        return SimpleNamespace(is_available=lambda: True, is_initialized=lambda: initialized, **figures)

    none = SimpleNamespace(is_available=lambda: False)
    apples = SimpleNamespace(current_allocated_memory=lambda: 5, driver_allocated_memory=lambda: 10, recommended_max_memory=lambda: 100)
    assert gpu(cuda=device(True)) == gpu(cuda=none, xpu=device(True)) == hosts.GpuMemory(5, 10, 50, 100)
    assert gpu(cuda=device(False), xpu=device(False)) is None
    works = SimpleNamespace(mps=SimpleNamespace(is_available=lambda: True))
    assert gpu(cuda=none, mps=apples, backends=works) == hosts.GpuMemory(5, 10, 0, 100)


def test_kills_are_counted_where_the_process_stands_and_where_colab_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told = tmp_path / "told.events"
    told.write_text("oom 3\noom_kill 2\noom_group_kill 0\n")
    monkeypatch.setenv(gauges.EVENTS_VARIABLE, f"{told} /nowhere/memory.events")
    group = "sys/fs/cgroup"
    tree(tmp_path, {"proc/self/cgroup": "0::/a/b\n", f"{group}/a/memory.events": "oom_kill 5\n", f"{group}/memory.events": "oom_kill 9\n"})
    found = gauges.oom_kills(root=tmp_path)
    assert found == {str(told): 2, str(tmp_path / group / "a/memory.events"): 5}, "those above hold strangers' kills"
    told.write_text("oom_kill 3\n")
    assert gauges.grew(found, gauges.counted(found))
    monkeypatch.delenv(gauges.EVENTS_VARIABLE)
    tree(tmp_path / "bare", {"proc/vmstat": "nr_free_pages 1\noom_kill 4\n"})
    assert list(gauges.oom_kills(root=tmp_path / "bare").values()) == [4], "where no group counts, the machine does"


def test_an_old_group_without_a_limit_is_none(tmp_path: Path) -> None:
    probe = tree(tmp_path, {"sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096)})
    assert probe.host_limit() == 1000 * 1024


def test_a_mirror_folder_is_tried_and_nothing_is_left(tmp_path: Path) -> None:
    assert hosts.mirror_folder(str(tmp_path / "far"), "sweep") == tmp_path / "far" / "colab_guard" / "sweep"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["/proc/nowhere", "drive", "", " "])
def test_a_place_that_cannot_be_a_mirror_is_one_clear_line(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in KINDS:
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(MirrorUnusable, match="--to") as caught:
        hosts.mirror_folder(where, "sweep")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(("kind", "proves"), [("nfs4", True), ("ext4", False), ("fuse.drive", False), ("9p", False)])
def test_only_another_machines_acknowledgement_proves_anything(tmp_path: Path, kind: str, proves: bool) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(f"1 0 0:1 / / rw - ext4 /dev/a rw\n2 1 0:2 / /far rw - {kind} x rw\n")
    assert (hosts.proves_durability(Path("/far/x"), mounts) is not None) == proves
