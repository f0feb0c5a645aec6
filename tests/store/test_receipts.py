"""What a far side's own checksums prove, and what they don't."""

from __future__ import annotations

import base64
import hashlib
import importlib.util
import os
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from colab_guard.errors import MirrorUnusable, MissingExtra, StoreDamaged
from colab_guard.store import FolderPlace, UrlPlace, limited, try_place, verify
from colab_guard.store.faults import Faults
from colab_guard.store.mirror.calls import Call
from colab_guard.store.mirror.receipts import Sums, by_checksum
from colab_guard.workers import Workers
from tests.store.test_store import filled

fsspec = pytest.importorskip("fsspec")
MIB = 2**20


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(12 * MIB + 5))
    return path


def md5(data: bytes) -> bytes:
    return hashlib.md5(data, usedforsecurity=False).digest()


def answer(protocol: str, file: Path) -> dict[str, Any]:
    data = file.read_bytes()
    return {
        "gs": {"md5Hash": base64.b64encode(md5(data)).decode(), "generation": "1"},
        "s3": {"ETag": f'"{md5(data).hex()}"'},
        "hf": {"lfs": {"sha256": hashlib.sha256(data).hexdigest()}, "blob_id": "of the pointer"},
        "hf small": {"lfs": None, "blob_id": hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()},
    }[protocol] | {"size": len(data)}


@pytest.mark.parametrize("protocol", ["gs", "s3", "hf", "hf small"])
def test_the_far_sides_checksum_of_the_same_bytes_is_a_receipt(protocol: str, file: Path) -> None:
    assert by_checksum(protocol.split()[0], answer(protocol, file), Sums(file)) is not None


@pytest.mark.parametrize("protocol", ["gs", "s3", "hf", "hf small"])
def test_of_other_bytes_or_another_size_it_is_none(protocol: str, file: Path, tmp_path: Path) -> None:
    told = answer(protocol, file)
    assert by_checksum(protocol.split()[0], told | {"size": 1}, Sums(file)) is None
    other = tmp_path / "other"
    other.write_bytes(b"x" + file.read_bytes()[1:])
    assert by_checksum(protocol.split()[0], told, Sums(other)) is None


@pytest.mark.parametrize("part", [5, 8, 50])
def test_an_etag_of_parts_is_the_md5_of_their_md5s(part: int, file: Path) -> None:
    data = file.read_bytes()
    pieces = [md5(data[start : start + part * MIB]) for start in range(0, len(data), part * MIB)]
    etag = f'"{md5(b"".join(pieces)).hex()}-{len(pieces)}"'
    told = {"size": len(data), "ETag": etag}
    receipt = by_checksum("s3", told, Sums(file))
    assert receipt is not None and f"{len(pieces)} parts" in receipt.proof
    assert by_checksum("s3", told | {"ETag": etag.replace(etag[1:3], "zz")}, Sums(file)) is None


def test_a_size_alone_and_a_protocol_that_is_not_known_prove_nothing(file: Path) -> None:
    size = {"size": file.stat().st_size}
    assert all(by_checksum(protocol, size, Sums(file)) is None for protocol in ("gs", "s3", "hf", "memory", "sftp"))


class Remote:
    """A folder of this machine under another service's name, with an answer of its own to `info`."""

    def __init__(self, tmp_path: Path, url: str, **info: Any) -> None:
        from colab_guard.store.faults.filesystem import FaultyFileSystem

        class Answering(FaultyFileSystem):
            def info(self, path: str, **more: Any) -> Any:
                return super().info(path, **more) | info

        self.faults = Faults()
        self.place = UrlPlace(f"{url}{tmp_path}/far", filesystem=Answering(fsspec.filesystem("file"), self.faults))
        (tmp_path / "far" / "packs").mkdir(parents=True)


def test_where_the_checksum_says_nothing_the_file_is_read_back_from_the_service(tmp_path: Path, file: Path) -> None:
    data = b"colab_guard store 1\n"
    small = tmp_path / "small"
    small.write_bytes(data)
    remote = Remote(tmp_path, "s3://", ETag='"encrypted by a key of the service"')
    receipt = remote.place.send(small, "FORMAT")
    assert receipt is not None and receipt.proof == "read back through the interface of s3://"
    remote.faults.short = 0.5
    with pytest.raises(StoreDamaged, match="not there as it was sent"):
        remote.place.send(small, "FORMAT")


def test_what_is_there_already_and_has_the_right_checksum_is_not_downloaded(tmp_path: Path) -> None:
    small = tmp_path / "small"
    small.write_bytes(b"x" * 1000)
    remote = Remote(tmp_path, "s3://", ETag=md5(b"x" * 1000).hex())
    assert remote.place.send(small, "packs/a") is not None
    assert remote.place.receipt(small, "packs/a") is not None
    assert remote.faults.done["read"] == 0


@pytest.mark.parametrize("url", ["memory://", "file://", "sftp://"])
def test_what_dies_with_this_machine_or_is_not_known_gives_no_receipt(url: str, tmp_path: Path, file: Path) -> None:
    assert Remote(tmp_path, url).place.send(file, "packs/a") is None


def tried(place: UrlPlace, where: str) -> Any:
    return limited(Workers(), "try", lambda call: try_place(place, where, call))


def test_a_place_is_tried_by_writing_and_reading_back_and_nothing_stays() -> None:
    place = UrlPlace("memory://tried/colab_guard/x")
    found = tried(place, "memory://tried")
    assert found.proof == "" and found.seconds > 0 and place.names("leases") == {}


def test_what_a_kill_leaves_of_the_try_is_no_file_of_the_mirror(tmp_path: Path) -> None:
    filled(tmp_path / "far", 1, 5000)
    place = FolderPlace(tmp_path / "far")
    with mock.patch.object(FolderPlace, "remove"), mock.patch.object(FolderPlace, "read", side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        try_place(place, "far", Call())
    assert any(".tmp-probe-" in path.name for path in (tmp_path / "far" / "leases").iterdir())
    assert verify(tmp_path / "far") == []
    assert not any("probe" in name for name in place.names("leases"))


def test_a_place_that_cannot_be_written_or_reads_back_otherwise_is_one_line(tmp_path: Path) -> None:
    remote = Remote(tmp_path, "file://")
    remote.faults.fail("send", 13)
    with pytest.raises(MirrorUnusable, match=r"--to file://x: cannot be used \(PermissionError.*; give a place") as caught:
        tried(remote.place, "file://x")
    assert "\n" not in str(caught.value)
    remote.faults.heal()
    remote.faults.short = 0.5
    with pytest.raises(MirrorUnusable, match="does not read back equal"):
        tried(remote.place, "file://x")


def test_a_missing_package_an_unknown_protocol_and_a_cache_are_told_with_what_to_type() -> None:
    if importlib.util.find_spec("gcsfs") is None:
        with pytest.raises(MissingExtra, match="%pip install gcsfs"):
            UrlPlace("gs://bucket/colab_guard/x")
    with pytest.raises(MirrorUnusable, match=r"Protocol not known: nowhere\); give a place"):
        UrlPlace("nowhere://x")
    with pytest.raises(MirrorUnusable, match="give the plain URL"):
        UrlPlace("simplecache::s3://bucket")
