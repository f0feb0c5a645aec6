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
    STORE/leases/<generation>-<hash>.beat        on a mirror only: rewritten every 20 s by a living holder: one line, of 16
                                                 random hex digits
    STORE/replaced/<time>/…                      files of the working folder as they were before a resume put the commit's in
                                                 their place; under `committed/` the commit's, where the others were left

Generations have 8 digits, seqs 10; all texts are UTF-8. Names that begin with `.tmp-` count for nothing: they are of writers
that were killed (on a mirror `leases/.tmp-probe-…` too, by which it was tried), or of a living one: `.tmp-<pid>-file-<n>` in
STORE are copies of files for the next commit.

A commit record is JSON, gzipped: `format` (4), `generation`, `seq`, `kind` ("step": inside a unit; "unit": one ended;
"cell": all is done), `created` (seconds since the epoch), `parent` (the id, that is name without ".json", of the commit
before, or null), `name` (the NAME), `notebook` ("" where unknown), `cell` (hash of the code), `position` (`text` for
people, `depth`, `unit`, `signature`, `frames`, `functions`: where the code stood), `meta` and `parts` (name → entry; see
below), `buffers` (list of entries with `key`, `dtype`, `shape`, `stride` in elements, `label`), `files` and `unit_files`
(name → entry with `mode`), `unit` (its group, key and record, or null), `bytes_total`, `bytes_new`, and `hmac` where a
key is set. An entry has `size`, `chunks` (BLAKE3-256 of each 1 MiB block from the entry's own start, the last one
shorter) and `packs` (the pack that holds each). To read one: for each chunk find its offset and length in the pack's
index, and join the blocks.

`meta` is for comparing and for people; any of it may be missing: `cell` (hash of the code), `source` (the cell's text),
`versions` (of python and libraries), `cwd` (the working folder), `inputs` (name → a print of what the cell reads: `kind`,
`hash`, `words`, and `recipe`, a hash of the code that made it), `inexact` (why the last bits may differ from an
uninterrupted run), `surroundings` (what decides last bits: machine, libraries in use, threads, devices, hash seed), `outside`
(what of the process was `lost`, is `registered` by the user, or is put back, as `threads` are), `memory` (what fits: sizes of
micro-batches that the guard of memory found), `not_kept` ("path: reason" of objects that are in no pickle), `held_files`
(names of `files` that the cell had open for writing).

Parts are state, and what the cell put out:

    `graph-NN`, `graph`, `addresses`   pickles: one stream in this order, whose memo goes on from one to the next. The first are
                                       models and optimizers, `graph` is the rest, `addresses` says where numbers are ids
    `blocks`                           JSON: where the memory lies that the pickles refer to (see below)
    `small`                            bytes: memory of less than 1 KiB each, one after the other
    `orders`                           a pickle: the order in which sets are iterated
    `outside`                          JSON: what is put back of the process: `environment`, `folder`, `from`, `path`, `ahead`
    `secrets`                          JSON: where secrets are found that the pickles refer to
    `output/index`                     JSON: `format` (1), the segments in order, what was left out between them, newer displays
    `output/NNNNNN`                    a segment of what was printed and displayed: JSON lines
    `output/<hash>`                    an image, or another large representation: its bytes

`blocks` has `groups`, each a range of memory that objects share: `nbytes`, `device`, `torch` (whether it is torch's), `sole`
(only one object looks into it), and `key`, that of the buffer which holds it, or `at`, where it begins in `small`. A short
[nbytes, at, flags] is one in `small`, with the flags 1 for torch and 2 for sole. Its `blocks` are by the key that the
pickles have: [group, offset in it, bytes], or a group's number for all of it; `next_hook` is torch's number of the next hook.
What dtype and shape a block in `small` has, stands in the pickles alone, and `pickletools.dis` shows it without running
them: `rebuild_tensor` is given (block, dtype, offset, shape, stride), in elements; `rebuild_array` block, dtype, shape,
strides, offset, in bytes; and a block is `rebuild_block` of its key.

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

from colab_guard.store.disk import NO_SPACE, write_private
from colab_guard.store.disk import make_folder as make_private_folder
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
    "NO_SPACE",
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
