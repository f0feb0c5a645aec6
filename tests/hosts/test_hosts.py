"""Hosts are recognised, their limits read from the right place, and folders checked without leaving anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from colab_guard import hosts
from colab_guard.errors import MirrorUnusable
from colab_guard.hosts import SystemProbe

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
            f"{group}/a/memory.stat": "anon 1\ninactive_file 100000\n",
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
