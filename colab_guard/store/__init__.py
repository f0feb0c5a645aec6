"""Durable bytes: chunks, packs, commits, leases, a mirror, verification. Knows nothing of Python objects.

What enters: drafts of commits (pickled parts, buffers, files) and the name of the notebook that writes. What leaves:
commit records, and state whose every byte was checked. The format, version 1, is meant to be read without colab_guard:

    STORE/FORMAT                                 one line: "colab_guard store 1"
    STORE/packs/<blake3>.pack                    chunks; header, index and checksum as told in `packs`
    STORE/commits/<generation>-<seq>-<hash>.json the commit record, written last; <hash> is the first 32 hex digits of
                                                 the BLAKE3-256 of the file's bytes
    STORE/leases/<generation>-<hash>.json        who writes: owner (pid, start time, boot id, host), notebook, and the
                                                 place (generation, seq) that this generation continues from
    STORE/leases/<generation>-<hash>.released    the lease was given back: "released", and the generation and seq of the
                                                 last commit where one was written
    STORE/leases/<generation>-<hash>.beat        on a mirror only: rewritten every 20 s by a living holder

A commit record is JSON: `format`, `generation`, `seq`, `kind` ("step", "unit", "cell"), `created` (seconds since the
epoch), `parent` (a commit's id or null), `name`, `notebook`, `cell` (hash of the code), `position` (text, depth, unit,
signature), `meta` (versions, source, what was not kept), `parts` (name → entry: the pickles; under names that
begin with `output/`, what the cell printed and displayed, as JSON lines and images), `buffers` (list of
entries with `key`, `dtype`, `shape`, `stride`, `label`), `files` and `unit_files` (name → entry with `mode`), `unit`
(`group`, `key`, `record`, or null), `bytes_total`, `bytes_new`, and `hmac` where a key is set. An entry has `size`,
`chunks` (BLAKE3-256 of each 1 MiB block from the entry's own start) and `packs` (the pack that holds each). To read
one: for each chunk find its offset and length in the pack's index, and join the blocks.

Which commits count: those of the newest generation, and of an older one up to the place that every newer lease
continues from (where a lease is missing or damaged: the `parent` of its generation's first commit). The newest two
commits, the newest unit end and the newest cell end keep their state; earlier unit ends keep their record and
`unit_files`. While a record or lease cannot be read, nothing is removed but what the writing process wrote itself.
"""

from __future__ import annotations

from colab_guard.store.inspect import Row, describe, verify
from colab_guard.store.leases import newest_generation
from colab_guard.store.mirror import (
    SETTLE_S,
    FolderPlace,
    Mirror,
    MirrorStatus,
    Place,
    Receipt,
    Traits,
    Tried,
    UrlPlace,
    Watch,
    fetch_from_mirror,
    limited,
    mirror_generation,
    try_place,
    viewed,
)
from colab_guard.store.types import (
    BufferDraft,
    CommitDraft,
    CommitKind,
    CommitRecord,
    Identity,
    Loaded,
    PassedOver,
)
from colab_guard.store.view import FileInfo, StoreView
from colab_guard.store.writer import Store

__all__ = [
    "SETTLE_S",
    "BufferDraft",
    "CommitDraft",
    "CommitKind",
    "CommitRecord",
    "FileInfo",
    "FolderPlace",
    "Identity",
    "Loaded",
    "Mirror",
    "MirrorStatus",
    "PassedOver",
    "Place",
    "Receipt",
    "Row",
    "Store",
    "StoreView",
    "Traits",
    "Tried",
    "UrlPlace",
    "Watch",
    "describe",
    "fetch_from_mirror",
    "limited",
    "mirror_generation",
    "newest_generation",
    "try_place",
    "verify",
    "viewed",
]
