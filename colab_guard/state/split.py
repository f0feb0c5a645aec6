"""The graph in segments: models, and what optimizers remember, are pickled ahead of the rest and only when they changed.

The pickles of a graph are one stream: what comes later refers to objects of what came before by the pickler's memo, so
that aliases stay aliases. A segment is put ahead of the rest as it was made at an earlier capture if a `Look` at it
finds the same; the memo is then filled as if it had been pickled anew, and the memory behind its tensors is copied anew.
Segments follow each other in a fixed order: after the first that has changed, all are made again. One that changes
every time, or of which not everything can be looked at, belongs to the rest.
"""

from __future__ import annotations

import io
import operator
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import FunctionType
from typing import Any

from colab_guard.state import training_objects
from colab_guard.state.look import Look, Unknown
from colab_guard.state.recheck import NoRecheck, Recheck, recheck_of
from colab_guard.state.staging import Staging

RESTLESS = 3
"""Captures in a row at which a segment had changed, after which it is no segment any more."""
MOST_RECHECKS = 4
"""In a row that were made and did not hold, after which a segment is looked at every time."""
BEFORE = "graph-"
"""Begins the names of the parts that are read ahead of the graph, in the order of their names."""
Write = Callable[[Any, Any], None]


@dataclass(slots=True)
class Segment:
    """A pickle, and how to go on as if it had just been made. Numbers are those of the look's nodes."""

    name: str
    tokens: list[Any]
    data: bytes
    memorized: Callable[[Sequence[Any]], tuple[Any, ...]]
    """Of all nodes those that the pickler knows by now, and one more."""
    indices: tuple[int, ...]
    """Of each of these its place in the pickler's memo."""
    fillers: dict[int, tuple[int, object]]
    """What stands in the memo for objects that nobody can refer to."""
    blocks: list[tuple[int, str]]
    described: dict[str, tuple[int, str, Any, Any, Any]]
    classes: dict[str, type]
    functions: dict[str, FunctionType]
    """Definitions of the notebook that travel by name, and that the pickle speaks of."""
    labels: list[tuple[int, str]]
    recheck: Recheck | None = None
    rechecks: int = 0
    """How often one was made anew, which is not for nothing a few times only."""


class Split:
    """The segments of one piece of guarded work, from capture to capture. It holds nothing of the user's meanwhile.

    What a capture with it copied lies in its `staging`, and holds until the next one.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.staging = Staging()
        self.pickled = 0
        """Bytes of the last capture's pickles."""
        self.reused = 0
        self.too_deep = False
        """Whether a graph was too deep for the deep stack."""
        self._plain: dict[type, bool] = {}
        self._changes: dict[str, int] = {}
        self._whole: dict[str, str] = {}
        """Names that are no segments, and why."""

    def roots(self, names: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """What becomes a segment: modules first, since optimizers refer to their parameters."""
        torch = sys.modules.get("torch")
        if torch is None:
            return []
        modules = [(name, value) for name, value in names.items() if isinstance(value, torch.nn.Module)]
        states = [
            (f"{name}.state", value.state) for name, value in names.items() if isinstance(value, torch.optim.Optimizer)
        ]
        return [(name, value) for name, value in sorted(modules, key=_by_name) + sorted(states, key=_by_name) if name not in self._whole]

    def put(self, pickler: Any, file: io.BytesIO, roots: Sequence[tuple[str, Any]], write: Write) -> bool:
        """Put all segments ahead of the rest; False where one could not be pickled and the caller has to begin again.

        The pickler has written nothing but its stand-in for the namespace, and writes into `file`.
        """
        look, filled = Look(pickler, self._plain), False
        before, self.segments, self.reused = self.segments, [], 0
        same = 0
        for name, root in roots:
            if look.has(root):
                continue  # a part of another
            pickler.ahead.add(id(root))
            old = before[len(self.segments)] if len(self.segments) < len(before) else None
            tokens_at, nodes_at, tensors_at = len(look.tokens), len(look.nodes), len(look.tensors)
            classes_before = set(look.classes)
            may = old is not None and self.reused == len(self.segments) == same and old.name == name
            if may and old is not None and _is_as_it_was(old, root, look):
                if not _reuse_blocks(pickler, look, old):
                    return self._no_segment(name, "tensors that share memory in another way")
                self._changes.pop(name, None)
                self.segments.append(old)
                self.reused += 1
                same += 1
                continue
            try:
                look.feed(root)
                look.check()
            except Unknown as reason:
                return self._no_segment(name, str(reason))
            except RecursionError:
                return self._no_segment(name, "it is nested too deep")
            tokens = look.tokens[tokens_at:]
            if old is not None and self.reused == len(self.segments) and old.name == name and old.tokens == tokens:
                if not _reuse_blocks(pickler, look, old):
                    return self._no_segment(name, "tensors that share memory in another way")
                self._changes.pop(name, None)
                _prepare(old, root, look, nodes_at, [kind for kind in look.classes if kind not in classes_before])
                self.segments.append(old)
                self.reused += 1
                continue
            if old is not None and old.name == name and self.reused == len(self.segments):
                self._changes[name] = self._changes.get(name, 0) + 1
                if self._changes[name] >= RESTLESS:
                    return self._no_segment(name, "it changes every time")
            if not filled:
                filled = True
                self._fill_memo(pickler, look)
            if not isinstance(root, sys.modules["torch"].nn.Module):
                training_objects.name_moments(pickler, name, root)
            try:
                begun = (file.tell() if self.segments else 0, nodes_at, tensors_at)
                made = _made(name, tokens, pickler, file, write, look, root, begun)
            except Exception:  # said by the capture that follows, which pickles it with the rest
                return self._no_segment(name, "it cannot be pickled by itself")
            if made is None:
                return self._no_segment(name, "a class or function that travels by value")
            self.segments.append(made)
        if not filled:
            self._fill_memo(pickler, look)
        return True

    def _no_segment(self, name: str, why: str) -> bool:
        self._whole[name] = why
        self.segments = []
        return False

    def _fill_memo(self, pickler: Any, look: Look) -> None:
        """Let the memo know what was pickled at an earlier capture."""
        if not self.reused:
            return
        memo = pickler.memo.copy()
        for segment in self.segments:
            nodes = segment.memorized(look.nodes)[:-1]
            memo.update(zip(map(id, nodes), zip(segment.indices, nodes, strict=True), strict=True))
            memo.update(segment.fillers)
            pickler.classes.update(segment.classes)
            pickler.functions.update(segment.functions)
            pickler.name_all({id(look.nodes[node]): label for node, label in segment.labels})
        pickler.memo = memo


def _is_as_it_was(segment: Segment, root: Any, look: Look) -> bool:
    """Whether the segment is proved to be what it was; the look then knows of its nodes as if it had walked them."""
    if segment.recheck is None:
        return False
    nodes = segment.recheck.nodes(root, look)
    if nodes is None:
        return False
    look.take(nodes, segment.recheck.tensor_nodes, segment.recheck.classes)
    segment.rechecks = 0
    return True


def _prepare(segment: Segment, root: Any, look: Look, nodes_at: int, classes: list[type]) -> None:
    """The look found what it had found before: next time a recheck may do."""
    segment.recheck = None
    if segment.rechecks >= MOST_RECHECKS:
        return
    segment.rechecks += 1
    try:
        segment.recheck = recheck_of(root, look, nodes_at, classes)
    except NoRecheck:
        segment.rechecks = MOST_RECHECKS


def _by_name(entry: tuple[str, Any]) -> str:
    return entry[0]


def _reuse_blocks(pickler: Any, look: Look, segment: Segment) -> bool:
    """Let the tensors of the segment have the blocks that its pickle speaks of; whether they share memory as they did."""
    blocks = pickler.blocks
    by_key, nodes = blocks.by_key, look.nodes
    for node, key in segment.blocks:
        tensor = nodes[node]
        storage = tensor.untyped_storage()
        device = "cpu" if tensor.is_cpu else str(storage.device)
        expected = by_key.get(key)
        block = blocks.at(device, storage.data_ptr(), storage.nbytes(), storage, torch=True, key=key, tensor=tensor)
        if block.key != key or (expected is not None and expected is not block):
            return False
    for key, described in segment.described.items():
        block = by_key[key]
        block.users, block.label, block.dtype, block.shape, block.stride = described
    return True


def _made(
    name: str,
    tokens: list[Any],
    pickler: Any,
    file: io.BytesIO,
    write: Write,
    look: Look,
    root: Any,
    begun: tuple[int, int, int],
) -> Segment | None:
    """Pickle a segment and note how it can be put again; None where its pickle depends on more than the look saw."""
    at, nodes_at, tensors_at = begun
    known, classes, functions = len(pickler.memo.copy()), set(pickler.classes), set(pickler.functions)
    write(pickler, root)
    memo = pickler.memo.copy()
    nodes = range(nodes_at, len(look.nodes))
    numbers = tuple(node for node in nodes if memo.get(id(look.nodes[node]), (-1,))[0] >= known)
    indices = tuple(memo[id(look.nodes[node])][0] for node in numbers)
    filled = set(indices)
    fillers: dict[int, tuple[int, object]] = {}
    for index in range(known, len(memo)):
        if index not in filled:
            filler = object()
            fillers[id(filler)] = (index, filler)
    blocks = []
    for number in look.tensors[tensors_at:]:
        storage = look.nodes[number].untyped_storage()
        key = pickler.blocks.key_of(str(storage.device), storage.data_ptr(), storage.nbytes(), storage)
        if key is None:
            return None
        blocks.append((number, key))
    if len(memo) - known != len(filled) + len(fillers):
        return None
    described = {
        key: (block.users, block.label, block.dtype, block.shape, block.stride)
        for key in dict.fromkeys(key for _, key in blocks)
        if (block := pickler.blocks.by_key[key])
    }
    new_classes = {key: value for key, value in pickler.classes.items() if key not in classes}
    new_functions = {key: value for key, value in pickler.functions.items() if key not in functions}
    labels = [(node, label) for node in nodes if (label := pickler.label(look.nodes[node]))]
    with file.getbuffer() as written:
        data = bytes(written[at:])
    memorized = operator.itemgetter(*numbers, 0)
    return Segment(name, tokens, data, memorized, indices, fillers, blocks, described, new_classes, new_functions, labels)
