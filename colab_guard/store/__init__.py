"""Durable bytes: chunks, packs, commits, leases, a mirror, verification. Knows nothing of Python objects.

What enters: drafts of commits (pickled parts, buffers, files) and the name of the notebook that writes. What leaves:
commit records, and state whose every byte was checked. The format, version 4, is meant to be read without colab_guard:

    STORE/FORMAT                                 one line: "colab_guard store 4" and its end, nothing else
    STORE/packs/<blake3>.pack                    chunks; header, index and checksum as told in `packs`
    STORE/commits/<generation>-<seq>-<hash>.json the commit record, written last; <hash> is the first 32 hex digits of
                                                 the BLAKE3-256 of the file's bytes
    STORE/leases/<generation>-<hash>.json        who writes; <hash> is the first 16 hex digits of the BLAKE3-256
    STORE/leases/<generation>-<hash>.released    the lease was given back, one line: "released", the generation and seq of
                                                 the last commit where one was written, and 16 hex digits (see below)
    STORE/leases/<generation>-<hash>.beat        on a mirror only: rewritten every 20 s by a living holder

Generations have 8 digits, seqs 10; all texts are UTF-8. Names that begin with `.tmp-` are of writers that were killed.

A commit record is JSON, gzipped: `format` (4), `generation`, `seq`, `kind` ("step": inside a unit; "unit": one ended; "cell": all
is done), `created` (seconds since the epoch), `parent` (the id, that is name without ".json", of the commit before, or
null), `name` (the NAME), `notebook` ("" where unknown), `cell` (hash of the code), `position` (`text` for people, `depth`,
`unit`, `signature`, `frames`, `functions`: where the code stood), `meta` (versions, source, inputs, what was not kept),
`parts` (name → entry: pickles; under names that begin with `output/`, what the cell printed and displayed, as JSON lines
and images; `secrets`: JSON, where secrets are found that the pickles refer to), `buffers` (list of entries with `key`,
`dtype`, `shape`, `stride` in elements, `label`), `files` and `unit_files` (name → entry with `mode`), `unit` (its group,
key and record, or null), `bytes_total`, `bytes_new`, and `hmac` where a key is set. An entry has `size`, `chunks`
(BLAKE3-256 of each 1 MiB block from the entry's own start, the last one shorter) and `packs` (the pack that holds each).
To read one: for each chunk find its offset and length in the pack's index, and join the blocks.

A lease is JSON: `generation`, `owner` (`pid`, `started`: seconds since the epoch, `boot`: the kernel's boot id, `host`,
`ticks`: its start in clock ticks since that boot, or null; leases of the first writers have none), `notebook`, `continues`
([generation, seq] of the commit that it goes on from, or null: it begins anew), `created`, `hmac`.
The digits of a `.released` are of the SHA-256 of its lease's name without ".json", a space, and the line before them.
`hmac` is the HMAC-SHA256, by the key, of the same JSON without it, without spaces and with the fields in their order;
with a key the digits of a `.released` are of such an HMAC too. What that does and does not prove is told in `signing`.
Marks without digits are of the first writers, and count where there is no key.

Which commits count: those of the newest generation, and of an older one up to the place that every newer lease
continues from (where a lease is missing or damaged: the `parent` of its generation's first commit). The newest two
commits, the newest unit end and the newest cell end keep their state; earlier unit ends keep their record and
`unit_files`. While a record or lease cannot be read, nothing is removed but what the writing process wrote itself.

Versions: a reader refuses a store whose FORMAT has a higher number than it knows, and goes on reading all lower ones. A
store keeps its version as long as it lives; one that goes on elsewhere from a mirror, or replaces what lay there, brings
its own. There are 1, 2 and 4, of which no flipped bit makes another. In versions 1 and 2 a pack's name is the hash of all
its bytes, as told in `packs`; in version 1 commit records are plain JSON.
"""

from __future__ import annotations

from colab_guard.store.disk import make_folder as make_private_folder
from colab_guard.store.disk import write_private
from colab_guard.store.export import Exported, chosen_commit, export
from colab_guard.store.inspect import Changed, Described, Holder, Row, describe, describe_newest, holder, verify
from colab_guard.store.leases import newest_generation
from colab_guard.store.mirror import (
    SETTLE_S,
    Call,
    Fetched,
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
from colab_guard.store.names import is_text as name_is_text
from colab_guard.store.signing import KEY_VARIABLE, the_key, use_key
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
    "BufferDraft",
    "Call",
    "Changed",
    "CommitDraft",
    "CommitKind",
    "CommitRecord",
    "Described",
    "Exported",
    "Fetched",
    "FileInfo",
    "FolderPlace",
    "Holder",
    "Identity",
    "KEY_VARIABLE",
    "Loaded",
    "Mirror",
    "MirrorStatus",
    "PassedOver",
    "Place",
    "Receipt",
    "Row",
    "SETTLE_S",
    "Store",
    "StoreView",
    "Traits",
    "Tried",
    "UrlPlace",
    "Watch",
    "chosen_commit",
    "describe",
    "describe_newest",
    "export",
    "fetch_from_mirror",
    "holder",
    "limited",
    "make_private_folder",
    "name_is_text",
    "mirror_generation",
    "newest_generation",
    "the_key",
    "try_place",
    "use_key",
    "verify",
    "viewed",
    "write_private",
]
