"""Hosts: memory figures from trees like the kernel's, places, devices, and what kind of host this is."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from colab_guard import hosts
from colab_guard.errors import MirrorUnusable, UserMistake
from colab_guard.hosts import places
from colab_guard.hosts.devices import _works
from colab_guard.hosts.fake_colab import FakeColab, SecretNotFoundError

MIB = 2**20
COLAB = ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "JUPYTERHUB_API_URL", "JUPYTERHUB_USER", "COLAB_GUARD_HOME")


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in COLAB:
        monkeypatch.delenv(name, raising=False)


def tree(root: Path, files: dict[str, str]) -> hosts.SystemProbe:
    meminfo = {"proc/meminfo": "MemTotal:       16384 kB\nMemFree: 1 kB\nMemAvailable:    4096 kB\n"}
    for name, text in {**meminfo, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return hosts.SystemProbe(root)


def v2(group: str, limit: str, current: int, inactive: int) -> dict[str, str]:
    return {
        f"{group}/memory.max": f"{limit}\n",
        f"{group}/memory.current": f"{current}\n",
        f"{group}/memory.stat": f"anon 5\ninactive_file {inactive}\n",
    }


def test_without_groups_the_machine_s_own_figures_count(tmp_path: Path) -> None:
    probe = tree(tmp_path, {})
    assert (probe.host_limit(), probe.host_used()) == (16 * MIB, 12 * MIB)


def test_a_v2_group_limits_and_its_file_cache_does_not_count_as_used(tmp_path: Path) -> None:
    files = {"proc/self/cgroup": "0::/box\n", **v2("sys/fs/cgroup/box", str(8 * MIB), 6 * MIB, 2 * MIB)}
    probe = tree(tmp_path, files)
    assert (probe.host_limit(), probe.host_used()) == (8 * MIB, 4 * MIB)


def test_the_tighter_group_above_gives_both_the_limit_and_what_is_used(tmp_path: Path) -> None:
    outer, inner = "sys/fs/cgroup/outer", "sys/fs/cgroup/outer/inner"
    files = {"proc/self/cgroup": "0::/outer/inner\n", **v2(outer, str(4 * MIB), 3 * MIB, 0), **v2(inner, str(9 * MIB), MIB, 0)}
    probe = tree(tmp_path, files)
    assert (probe.host_limit(), probe.host_used()) == (4 * MIB, 3 * MIB)


def test_a_group_without_limit_or_above_the_machine_s_memory_does_not_count(tmp_path: Path) -> None:
    for limit in ("max", str(64 * MIB)):
        files = {"proc/self/cgroup": "0::/box\n", **v2("sys/fs/cgroup/box", limit, MIB, 0)}
        probe = tree(tmp_path, files)
        assert (probe.host_limit(), probe.host_used()) == (16 * MIB, 12 * MIB)


def test_a_v1_group_limits_unless_its_limit_is_the_kernel_s_word_for_none(tmp_path: Path) -> None:
    def v1(root: Path, limit: int) -> hosts.SystemProbe:
        old = "sys/fs/cgroup/memory"
        files = {
            f"{old}/memory.limit_in_bytes": str(limit),
            f"{old}/memory.usage_in_bytes": str(5 * MIB),
            f"{old}/memory.stat": f"inactive_file 7\ntotal_inactive_file {MIB}\n",
        }
        return tree(root, {"proc/self/cgroup": "3:memory:/box\n", **files})

    limited, free = v1(tmp_path / "a", 8 * MIB), v1(tmp_path / "b", 9223372036854771712)
    assert (limited.host_limit(), limited.host_used()) == (8 * MIB, 4 * MIB)
    assert (free.host_limit(), free.host_used()) == (16 * MIB, 12 * MIB)


def test_the_real_machine_has_figures_that_make_sense() -> None:
    probe = hosts.SystemProbe()
    assert 0 < probe.host_used() < probe.host_limit()


def test_home_is_what_the_environment_says_and_is_not_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "here"))
    assert hosts.home() == tmp_path / "here" and not (tmp_path / "here").exists()
    monkeypatch.delenv("COLAB_GUARD_HOME")
    assert hosts.home() == Path.home() / ".colab_guard"
    monkeypatch.setenv("COLAB_RELEASE_TAG", "release")
    assert hosts.home() == Path("/content/.colab_guard")


@pytest.mark.parametrize(
    ("variable", "kind"),
    [("COLAB_RELEASE_TAG", "colab"), ("KAGGLE_KERNEL_RUN_TYPE", "kaggle"), ("JUPYTERHUB_API_URL", "jupyterhub")],
)
def test_the_kind_of_host_follows_from_the_environment(variable: str, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(variable, "x")
    found = hosts.detect()
    assert found.kind == kind and found.label and found.idle_rule


def test_a_kernel_without_a_known_host_is_jupyter_and_no_kernel_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())  # type: ignore[arg-type]
    assert hosts.detect().kind == "jupyter"
    for name in ("ipykernel", "ipykernel.kernelapp"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert hosts.detect().kind == "terminal"


def test_a_mirror_s_folder_is_named_checked_and_not_made(tmp_path: Path) -> None:
    assert hosts.mirror_folder(str(tmp_path / "new"), "sweep") == tmp_path / "new" / "colab_guard" / "sweep"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["file", "file/below", "made/colab_guard"])
def test_a_mirror_that_cannot_be_written_is_refused_in_one_line_and_leaves_nothing(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "colab_guard").write_text("in the way")
    where = str(tmp_path / name) if not name.startswith("made") else str(tmp_path / "made")
    with pytest.raises(MirrorUnusable) as caught:
        hosts.mirror_folder(where, "sweep")
    assert "\n" not in str(caught.value) and "give a folder" in str(caught.value)
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["colab_guard", "file", "made"]


def test_a_write_that_fails_half_way_leaves_no_probe_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(MirrorUnusable, match="No space left on device"):
        hosts.mirror_folder(str(tmp_path), "sweep")
    assert list(tmp_path.iterdir()) == []


def test_a_url_is_named_and_not_tried() -> None:
    found = hosts.mirror_place("gs://bucket/runs/", "sweep")
    assert (found.url, found.folder, found.proof) == ("gs://bucket/runs/colab_guard/sweep", None, None)


def test_a_url_of_this_machines_file_system_is_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for scheme in ("file", "local"):
        found = hosts.mirror_place(f"{scheme}://{tmp_path}/far", "sweep")
        assert (found.url, found.folder, found.drive) == (None, tmp_path / "far/colab_guard/sweep", False)
    monkeypatch.chdir(tmp_path)
    assert hosts.mirror_place("file://drive", "sweep").folder == tmp_path / "drive/colab_guard/sweep", "not Google's"


@pytest.mark.parametrize("where", ["gs://", "s3:///", "hf:// ", "hf://datasets/", "gcs://", "file://", "local:// ", "", " "])
def test_a_place_that_names_nothing_of_ones_own_is_one_line(where: str) -> None:
    with pytest.raises(MirrorUnusable, match=r"names no place.*give a folder|names no place of yours.*give one like") as caught:
        hosts.mirror_place(where, "sweep")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("where", ["memory://", "gs://bucket", "hf://datasets/me", "hf://me/it"])
def test_a_url_that_names_a_place_is_taken_as_it_is(where: str) -> None:
    assert hosts.mirror_place(where, "sweep").url == f"{where}{'' if where.endswith('/') else '/'}colab_guard/sweep"


def test_a_home_folder_of_nobody_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for where in ("~nobody-of-that-name/x", "file://~nobody-of-that-name/x"):
        with pytest.raises(MirrorUnusable, match="no user of that name"):
            hosts.mirror_place(where, "sweep")
    monkeypatch.setenv("COLAB_GUARD_HOME", "~nobody-of-that-name/x")
    with pytest.raises(UserMistake, match=r"^COLAB_GUARD_HOME=~nobody-of-that-name/x: there is no user"):
        hosts.home()


def test_drive_proves_nothing_and_keeps_what_is_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DRIVE_MOUNT", tmp_path / "drive")
    with FakeColab():
        found = hosts.mirror_place("drive", "sweep")
    assert found.drive and found.proof is None and found.folder == tmp_path / "drive/MyDrive/colab_guard/sweep"


def test_drive_is_mounted_on_colab_and_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DRIVE_MOUNT", tmp_path / "drive")
    with FakeColab() as colab:
        assert hosts.detect().kind == "colab"
        folder = hosts.mirror_folder("drive", "sweep")
        assert folder == tmp_path / "drive/MyDrive/colab_guard/sweep"
        hosts.mirror_folder("drive", "sweep")
        assert colab.mounted == [tmp_path / "drive"], "mounted once"
    assert "google.colab" not in sys.modules and hosts.detect().kind != "colab"


def test_drive_without_consent_or_without_my_drive_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(places, "DRIVE_MOUNT", tmp_path / "drive")
    with FakeColab(consent=False), pytest.raises(MirrorUnusable, match=r"could not be mounted \(mount failed\)"):
        hosts.mirror_folder("drive", "sweep")
    with FakeColab() as colab:
        monkeypatch.setattr(sys.modules["google.colab.drive"], "mount", lambda point: colab.mounted.append(Path(point)))
        with pytest.raises(MirrorUnusable, match="is not there"):
            hosts.mirror_folder("drive", "sweep")
    assert list(tmp_path.iterdir()) == []


def test_drive_elsewhere_than_on_colab_is_refused() -> None:
    with pytest.raises(MirrorUnusable, match="Google Colab only"):
        hosts.mirror_folder("drive", "sweep")


def test_the_fake_answers_like_colab_and_leaves_other_google_libraries_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = SimpleNamespace(protobuf=1)
    monkeypatch.setitem(sys.modules, "google", library)  # type: ignore[arg-type]
    with FakeColab(secrets={"HF_TOKEN": "x"}) as colab:
        from google.colab import files, runtime, userdata  # type: ignore[import-not-found,import-untyped,unused-ignore]

        (tmp_path / "a.zip").write_bytes(b"a")
        files.download(str(tmp_path / "a.zip"))
        runtime.unassign()
        assert userdata.get("HF_TOKEN") == "x" and colab.unassigned and colab.downloaded == [tmp_path / "a.zip"]
        with pytest.raises(SecretNotFoundError):
            userdata.get("other")
    assert sys.modules["google"] is library and vars(library) == {"protobuf": 1}


def mounts(root: Path, *lines: tuple[Path, str]) -> Path:
    file = root / "mountinfo"
    first = "22 1 0:21 / / rw,relatime shared:1 - ext4 /dev/sda rw"
    rest = [f"23 22 0:22 / {str(p).replace(' ', chr(92) + '040')} rw shared:2 - {kind} server:/x rw" for p, kind in lines]
    file.write_text("\n".join([first, *rest]) + "\n")
    return file


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mountinfo is Linux's")
def test_only_mounts_whose_server_acknowledges_fsync_prove_anything(tmp_path: Path) -> None:
    nas, drive = tmp_path / "the nas", tmp_path / "drive"
    table = mounts(tmp_path, (nas, "nfs4"), (drive, "fuse.drive"), (nas / "scratch", "tmpfs"))
    assert hosts.proves_durability(nas / "a" / "b", table) == "nfs4: the server acknowledges fsync"
    for folder in (drive / "a", tmp_path / "the nas 2", nas / "scratch" / "a", tmp_path):
        assert hosts.proves_durability(folder, table) is None
    assert hosts.proves_durability(nas, tmp_path / "none") is None


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="mountinfo is Linux's")
def test_a_link_on_a_server_s_mount_to_the_local_disk_proves_nothing(tmp_path: Path) -> None:
    nas, local = tmp_path / "nas", tmp_path / "local"
    nas.mkdir(), local.mkdir()
    (nas / "link").symlink_to(local)
    assert hosts.proves_durability(nas / "link", mounts(tmp_path, (nas, "nfs"))) is None


def torch_with(*arch: str, works: bool = True) -> SimpleNamespace:
    class Ones:
        def __matmul__(self, other: object) -> Ones:
            if not works:
                raise RuntimeError("no kernel image is available for execution on the device")
            return self

        def sum(self) -> Ones:
            return self

        def item(self) -> float:
            return 512.0

    return SimpleNamespace(cuda=SimpleNamespace(get_arch_list=lambda: list(arch)), ones=lambda *a, **k: Ones())


def test_a_gpu_that_the_build_has_no_code_for_does_not_count() -> None:
    assert not _works(torch_with("sm_70", "sm_75", "sm_80"), 0, (6, 0)), "a P100 without sm_60"
    assert not _works(torch_with("sm_70", works=False), 0, (7, 0))


def test_a_gpu_that_the_build_has_code_for_counts() -> None:
    assert _works(torch_with("sm_70", "sm_75"), 0, (7, 5))
    assert _works(torch_with("sm_80", "sm_90a"), 0, (9, 0))
    assert _works(torch_with("sm_90", "compute_90"), 0, (12, 0)), "newer than the build: compiled when first used"


def test_the_cpu_is_the_last_device_and_always_there() -> None:
    last = hosts.devices()[-1]
    assert last.kind == "cpu" and 0 < last.free <= last.total and not last.bf16


def test_a_mirror_on_this_machine_is_known_by_a_url_too() -> None:
    assert hosts.local_part("file:///mnt/x") == "/mnt/x"
    assert hosts.local_part("backup") == "backup"
    assert hosts.local_part("gs://bucket/x") is None


def test_the_disk_of_local_stores_is_told_before_their_folder_is_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "not" / "made"))
    told = hosts.disk()
    usage = shutil.disk_usage(tmp_path)
    assert told is not None
    assert told[1] == usage.total and 0 < told[0] <= usage.total
    assert not (tmp_path / "not").exists()


def test_a_mounted_drive_is_not_asked_for_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", "/content/drive/MyDrive/stores")
    assert hosts.disk() is None
