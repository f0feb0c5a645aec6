"""The graph in segments: models, and what optimizers remember, are pickled ahead of the rest and only when they changed.

The pickles of a graph are one stream: what comes later refers to objects of what came before by the pickler's memo, so
that aliases stay aliases. A segment is put ahead of the rest as it was made at an earlier capture if a `Look` at it
finds the same; the memo is then filled as if it had been pickled anew, and the memory behind its tensors is copied anew.
Segments follow each other in a fixed order: after the first that has changed, all are made again. One that changes
every time, or of which not everything can be looked at, belongs to the rest.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from colab_guard.state import training_objects
from colab_guard.state.levels import NoRecheck
from colab_guard.state.look import Look, Unknown
from colab_guard.state.recheck import recheck_of
from colab_guard.state.reducers import ReducersFound
from colab_guard.state.segments import Segment, Write, made
from colab_guard.state.staging import Staging

RESTLESS = 3
"""Captures in a row at which a segment had changed, after which it is no segment any more."""
MOST_RECHECKS = 4
"""In a row that were made and did not hold, after which a segment is looked at every time."""
BEFORE = "graph-"
"""Begins the names of the parts that are read ahead of the graph, in the order of their names."""


class Split:
    """The segments of one piece of guarded work, from capture to capture. It holds nothing of the user's meanwhile.

    What a capture with it copied lies in its `staging`, and holds until the next one.
    """

    def __init__(self) -> None:
        self.segments: list[Segment] = []
        self.staging = Staging()
        self.reducers = ReducersFound()
        self.pickled = 0
        """Bytes of the last capture's pickles."""
        self.reused = 0
        self.too_deep = False
        """Whether a graph was too deep for the deep stack."""
        self._plain: dict[type, bool] = {}
        self._changes: dict[str, int] = {}
        self._whole: dict[str, str] = {}
        """Names that are no segments, and why."""

    def begin(self) -> None:
        """A capture begins."""
        if self.reducers.are_others():
            self.segments = []
            self._plain.clear()

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
                if not old.put_blocks(pickler.blocks, look.nodes):
                    return self._no_segment(name, "tensors that share memory in another way")
                self._changes.pop(name, None)
                self.segments.append(old)
                self.reused += 1
                same += 1
                continue
            try:
                look.look_at(root)
            except Unknown as reason:
                return self._no_segment(name, str(reason))
            except RecursionError:
                return self._no_segment(name, "it is nested too deep")
            tokens = look.tokens[tokens_at:]
            if old is not None and self.reused == len(self.segments) and old.name == name and old.tokens == tokens:
                if not old.put_blocks(pickler.blocks, look.nodes):
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
                segment = made(name, tokens, pickler, file, write, look, root, begun)
            except Exception:  # said by the capture that follows, which pickles it with the rest
                return self._no_segment(name, "it cannot be pickled by itself")
            if segment is None:
                return self._no_segment(name, "a class or function that travels by value")
            self.segments.append(segment)
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
            memo, names = segment.known(memo, look.nodes)
            pickler.name_all(names)
            pickler.classes.update(segment.classes)
            pickler.functions.update(segment.functions)
        pickler.memo = memo

    def let_go(self) -> None:
        """The capture is over: hold nothing of the user's."""
        for segment in self.segments:
            segment.let_go()


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
