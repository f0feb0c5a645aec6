"""Files go to the disk whole, past the page cache or through it."""

from __future__ import annotations

import errno
import fcntl
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from colab_guard.store import BufferDraft, CommitDraft, Identity, Store, disk

SIZES = [0, 1, disk.BLOCK - 1, disk.BLOCK, disk.BLOCK + 1, disk.BOUNCE - 1, disk.BOUNCE, disk.BOUNCE + 1, 3 * disk.BOUNCE + 5]
linux = pytest.mark.skipif(sys.platform != "linux", reason="direct writes are Linux's")


def pieces_of(data: bytes) -> list[bytes]:
    """In pieces of odd sizes."""
    return [data[:16], b"", data[16:1_000_003], data[1_000_003:]]


def is_direct(descriptor: int) -> bool:
    return bool(fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_DIRECT)


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_past_the_cache_is_what_was_given(size: int, tmp_path: Path) -> None:
    data = os.urandom(size)
    disk.write_whole(tmp_path / "a", pieces_of(data), past_cache=True)
    assert (tmp_path / "a").read_bytes() == data
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


@linux
@pytest.mark.parametrize("how", ["no such way", "refused when written", "a part of a block", "half of it"])
def test_a_file_system_that_does_not_write_past_the_cache_gets_the_file_the_usual_way(
    how: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data, real, real_fcntl = os.urandom(2 * disk.BOUNCE + 777), os.write, fcntl.fcntl

    def write(descriptor: int, what: Any) -> int:
        if is_direct(descriptor):
            if how == "refused when written":
                raise OSError(errno.EINVAL, "Invalid argument")
            fcntl.fcntl(descriptor, fcntl.F_SETFL, real_fcntl(descriptor, fcntl.F_GETFL) & ~os.O_DIRECT)
            return real(descriptor, what[: 100 if how == "a part of a block" else disk.BLOCK])
        return real(descriptor, what)

    def control(descriptor: int, what: int, *more: int) -> int:
        if how == "no such way" and more and more[0] & os.O_DIRECT:
            raise OSError(errno.EINVAL, "Invalid argument")
        return real_fcntl(descriptor, what, *more)

    monkeypatch.setattr(os, "write", write)
    monkeypatch.setattr(fcntl, "fcntl", control)
    disk.write_whole(tmp_path / "a", pieces_of(data), past_cache=True)
    assert (tmp_path / "a").read_bytes() == data


@linux
def test_a_disk_that_is_full_is_told_and_nothing_half_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(descriptor: int, what: Any) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", write)
    with pytest.raises(OSError, match="No space left"):
        disk.write_whole(tmp_path / "a", [bytes(3 * disk.BOUNCE)], past_cache=True)
    assert not list(tmp_path.iterdir())


@linux
def test_states_of_some_size_go_past_the_cache_and_small_ones_through_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    direct, real = set[int](), os.write

    def write(descriptor: int, what: Any) -> int:
        if is_direct(descriptor):
            direct.add(len(what))
        return real(descriptor, what)

    store = Store.open(tmp_path / "s", Identity("work", "", "0" * 64))
    monkeypatch.setattr(os, "write", write)
    for size in (disk.LARGE // 2, disk.LARGE):
        assert not direct
        data = os.urandom(size)
        store.commit(CommitDraft("step", {"text": "here"}, {}, [BufferDraft("b", data, "uint8", (size,), (1,), "")]))
    assert direct or not takes_direct(tmp_path)
    loaded, _ = store.newest()
    assert loaded is not None and bytes(loaded.buffers["b"]) == data
    store.close()


def takes_direct(folder: Path) -> bool:
    descriptor = os.open(folder / "probe", os.O_WRONLY | os.O_CREAT)
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETFL, fcntl.fcntl(descriptor, fcntl.F_GETFL) | os.O_DIRECT)
    except OSError:
        return False
    finally:
        os.close(descriptor)
    return True
