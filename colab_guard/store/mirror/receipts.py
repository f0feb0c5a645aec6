"""What an object store's own answer proves of a file that was sent to it.

    gs   md5Hash, or else crc32c, that Google computed of what it holds (cloud.google.com/storage/docs/hashes-etags)
    s3   the ETag: the MD5 of one that came in one request; the MD5 of the parts' MD5s with their number for a multipart
         upload; neither under SSE-KMS or SSE-C (docs.aws.amazon.com/AmazonS3/latest/API/API_Object.html)
    hf   the sha256 of an LFS file; the git hash of a small one

Where a checksum is missing, or is not one of these, the file is read back through the same interface: the answer then comes
from the far side, which a mount's cache cannot do. A size alone proves nothing.
"""

from __future__ import annotations

import base64
import hashlib
import importlib
import math
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from colab_guard.store.mirror.place import Receipt
from colab_guard.store.packs import PIECE_BYTES

KINDS = {"gs": "gs", "gcs": "gs", "s3": "s3", "s3a": "s3", "hf": "hf"}
"""Protocols whose checksums are understood, by the service behind them."""
READ_BACK = frozenset({*KINDS, "az", "abfs", "abfss", "adl"})
"""Protocols whose reads are answered by the service itself."""
MIB = 2**20
PART_BYTES = tuple(size * MIB for size in (5, 8, 10, 15, 16, 25, 32, 50, 64, 100, 128, 256, 512))
"""Sizes of parts that clients of S3 use (s3fs: 50 MiB, older ones 5; boto3: 8)."""


class Sums:
    """Checksums of a local file, each computed once and only if asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.size = path.stat().st_size

    @cached_property
    def md5(self) -> bytes:
        return self._digest(hashlib.md5(usedforsecurity=False))

    @cached_property
    def sha256(self) -> str:
        return self._digest(hashlib.sha256()).hex()

    @cached_property
    def git(self) -> str:
        return self._digest(hashlib.sha1(b"blob %d\0" % self.size, usedforsecurity=False)).hex()

    def parts(self, part_bytes: int) -> str:
        """S3's ETag of a multipart upload in parts of that size."""
        sums = []
        with self._path.open("rb") as file:
            while piece := file.read(part_bytes):
                sums.append(hashlib.md5(piece, usedforsecurity=False).digest())
        return f"{hashlib.md5(b''.join(sums), usedforsecurity=False).hexdigest()}-{len(sums)}"

    def crc32c(self) -> str | None:
        """As Google writes it; None where no library computes it."""
        try:
            checksum = importlib.import_module("google_crc32c").Checksum()
        except ImportError:
            return None
        self._feed(checksum)
        return base64.b64encode(checksum.digest()).decode()

    def _digest(self, hasher: Any) -> bytes:
        self._feed(hasher)
        return bytes(hasher.digest())

    def _feed(self, hasher: Any) -> None:
        with self._path.open("rb") as file:
            while piece := file.read(PIECE_BYTES):
                hasher.update(piece)


def by_checksum(protocol: str, info: Mapping[str, Any], sums: Sums) -> Receipt | None:
    """A receipt where the far side's checksum is that of the file; None where it names none, or one that says nothing."""
    proofs = {"gs": _google, "s3": _s3, "hf": _hub}
    kind = KINDS.get(protocol)
    if kind is None or info.get("size") != sums.size:
        return None
    proof = proofs[kind](info, sums)
    return None if proof is None else Receipt(proof)


def _google(info: Mapping[str, Any], sums: Sums) -> str | None:
    if info.get("md5Hash"):
        return "Google Cloud Storage's md5" if info["md5Hash"] == base64.b64encode(sums.md5).decode() else None
    if info.get("crc32c") and info["crc32c"] == sums.crc32c():
        return "Google Cloud Storage's crc32c"
    return None


def _s3(info: Mapping[str, Any], sums: Sums) -> str | None:
    etag = str(info.get("ETag") or "").strip('"')
    if "-" not in etag:
        return "S3's ETag, the md5" if etag == sums.md5.hex() else None
    count = int(etag.rpartition("-")[2]) if etag.rpartition("-")[2].isdigit() else 0
    for part in PART_BYTES:
        if math.ceil(sums.size / part) == count and sums.parts(part) == etag:
            return f"S3's ETag of {count} parts"
    return None


def _hub(info: Mapping[str, Any], sums: Sums) -> str | None:
    large = info.get("lfs")
    if large:
        found = large.get("sha256") if isinstance(large, Mapping) else getattr(large, "sha256", None)
        return "Hugging Face's sha256" if found == sums.sha256 else None
    return "Hugging Face's git hash" if info.get("blob_id") == sums.git else None
