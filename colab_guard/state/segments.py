"""A segment of the graph: a pickle made at an earlier capture, and how to go on as if it had just been made.

Whoever puts it again has proved that the graph is what it was; it knows of the objects in it by the numbers of their
nodes in a look. Going on takes the pickler's memo, in which each of these objects stands at its place, and the blocks of
memory behind its tensors. Most objects lie where they lay at the capture before, so that what was made then for both is
kept, without holding anything of the user's.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from types import FunctionType
from typing import Any

from colab_guard.state import addresses
from colab_guard.state.blocks import Block, Blocks
from colab_guard.state.look import Look
from colab_guard.state.pointers import Getter, addresses_of, getter
from colab_guard.state.recheck import Recheck

Write = Callable[[Any, Any], None]
Memo = dict[int, Any]
"""A pickler's: places in it and objects, by the addresses of these."""


@dataclass(slots=True)
class _LastMemo:
    """What went into the memo last: the addresses of the objects in a row, one by one, and a table with these as keys.

    `names`: what people call objects, by these addresses.
    """

    row: bytes = b""
    addresses: list[int] = field(default_factory=list)
    table: Memo = field(default_factory=dict)
    names: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class _LastBlocks:
    """The blocks of all tensors as they were last: where they lay, and for each tensor its block."""

    places: list[tuple[str, int, int]] = field(default_factory=list)
    of_tensors: list[Block] = field(default_factory=list)
    users: list[int] = field(default_factory=list)
    made: Blocks = field(default_factory=Blocks)


@dataclass(slots=True)
class Segment:
    """`tokens` is what the look at it found, `data` its pickle."""

    name: str
    tokens: list[Any]
    data: bytes
    memorized: Getter
    """Of all nodes those that the pickler knows by now."""
    indices: tuple[int, ...]
    """Of each of these its place in the pickler's memo."""
    fillers: Memo
    """What stands in the memo for objects that nobody can refer to."""
    tensors: Getter
    """Of all nodes the tensors, whose blocks have these `keys` and lie on these `devices`."""
    keys: tuple[str, ...]
    devices: tuple[str, ...]
    described: dict[str, tuple[int, str, Any, Any, Any]]
    classes: dict[str, type]
    functions: dict[str, FunctionType]
    """Definitions of the notebook that travel by name, and that the pickle speaks of."""
    labels: tuple[tuple[int, str], ...]
    """What people call some of the memorized nodes, with their places among these."""
    numbers: Counter[int]
    """In the pickle, numbers that may be an object's address."""
    recheck: Recheck | None = None
    rechecks: int = 0
    """How often one was made anew, which is not for nothing a few times only."""
    _memo: _LastMemo = field(default_factory=_LastMemo)
    _blocks: _LastBlocks = field(default_factory=_LastBlocks)

    def known(self, memo: Memo, nodes: Sequence[Any]) -> tuple[Memo, dict[int, str]]:
        """The memo with what it holds of this segment, and names of objects by their addresses, which are not to be changed."""
        own = self.memorized(nodes)
        last, row = self._memo, addresses_of(own)
        if last.row != row:
            last.row, last.addresses = row, list(map(id, own))
            last.table = dict.fromkeys(last.addresses) | self.fillers
            last.names = {last.addresses[place]: label for place, label in self.labels}
        if len(memo) < len(last.table):
            memo = last.table | memo
        else:
            memo.update(self.fillers)
        memo.update(zip(last.addresses, zip(self.indices, own, strict=True), strict=True))
        return memo, last.names

    def put_blocks(self, blocks: Blocks, nodes: Sequence[Any]) -> bool:
        """Let the tensors have the blocks that the pickle speaks of; whether they share memory as they did."""
        tensors = self.tensors(nodes)
        storages = [tensor.untyped_storage() for tensor in tensors]
        places = [
            (device, storage.data_ptr(), storage.nbytes()) for device, storage in zip(self.devices, storages, strict=True)
        ]
        if places == self._blocks.places and self._put_last(blocks, tensors, storages):
            return True
        before = len(blocks.by_place)
        of_tensors = []
        for tensor, storage, key, place in zip(tensors, storages, self.keys, places, strict=True):
            expected = blocks.by_key.get(key)
            block = blocks.at(*place, storage, torch=True, key=key, tensor=tensor)
            if block.key != key or (expected is not None and expected is not block):
                return False
            of_tensors.append(block)
        for key, described in self.described.items():
            block = blocks.by_key[key]
            block.users, block.label, block.dtype, block.shape, block.stride = described
        self._blocks = _LastBlocks()
        own = dict.fromkeys(of_tensors)
        # memory without bytes has no place, and what is shared with another segment is not this one's alone
        if len(blocks.by_place) - before == len(own) and all(place[2] for place in places):
            made = Blocks({(b.device, b.address, b.nbytes): b for b in own}, {b.key: b for b in own})
            self._blocks = _LastBlocks(places, of_tensors, [block.users for block in of_tensors], made)
        return True

    def _put_last(self, blocks: Blocks, tensors: Sequence[Any], storages: Sequence[Any]) -> bool:
        """The blocks of last time, as all lie where they lay; whether nobody before has blocks in the same places."""
        last = self._blocks
        if not (blocks.by_place.keys().isdisjoint(last.made.by_place) and blocks.by_key.keys().isdisjoint(last.made.by_key)):
            return False
        for block, tensor, storage, users in zip(last.of_tensors, tensors, storages, last.users, strict=True):
            block.owner = storage
            block.used_by(users, tensor if users == 1 else None)
        blocks.by_place.update(last.made.by_place)
        blocks.by_key.update(last.made.by_key)
        return True

    def let_go(self) -> None:
        """The capture is over: hold nothing of the user's."""
        for block in self._blocks.of_tensors:
            block.owner = block.tensor = None


def made(
    name: str, tokens: list[Any], pickler: Any, file: io.BytesIO, write: Write, look: Look, root: Any, begun: tuple[int, int, int]
) -> Segment | None:
    """Pickle a segment and note how it can be put again; None where its pickle depends on more than the look saw.

    `begun`: where it begins in the file, among the look's nodes, and among its tensors.
    """
    at, nodes_at, tensors_at = begun
    known, classes, functions = len(pickler.memo.copy()), set(pickler.classes), set(pickler.functions)
    pickler.walked = 1
    try:
        write(pickler, root)
    finally:
        pickler.walked = 0
    memo = pickler.memo.copy()
    nodes = range(nodes_at, len(look.nodes))
    numbers = [node for node in nodes if memo.get(id(look.nodes[node]), (-1,))[0] >= known]
    indices = tuple(memo[id(look.nodes[node])][0] for node in numbers)
    filled = set(indices)
    fillers: Memo = {}
    for index in range(known, len(memo)):
        if index not in filled:
            filler = object()
            fillers[id(filler)] = (index, filler)
    keys, devices, own = [], [], look.tensors[tensors_at:]
    for number in own:
        storage = look.nodes[number].untyped_storage()
        devices.append(str(storage.device))
        key = pickler.blocks.key_of(devices[-1], storage.data_ptr(), storage.nbytes(), storage)
        if key is None:
            return None
        keys.append(key)
    if len(memo) - known != len(filled) + len(fillers):
        return None
    described = {
        key: (block.users, block.label, block.dtype, block.shape, block.stride)
        for key in dict.fromkeys(keys)
        if (block := pickler.blocks.by_key[key])
    }
    labels = tuple((place, label) for place, node in enumerate(numbers) if (label := pickler.label(look.nodes[node])))
    with file.getbuffer() as written:
        data = bytes(written[at:])
    return Segment(
        name=name,
        tokens=tokens,
        data=data,
        memorized=getter(numbers),
        indices=indices,
        fillers=fillers,
        tensors=getter(own),
        keys=tuple(keys),
        devices=tuple(devices),
        described=described,
        classes={key: value for key, value in pickler.classes.items() if key not in classes},
        functions={key: value for key, value in pickler.functions.items() if key not in functions},
        labels=labels,
        numbers=addresses.numbers_in(data),
    )
