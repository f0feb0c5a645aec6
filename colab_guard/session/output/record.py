"""What a cell has printed and displayed so far, as a front end would show it now: `Record`.

Updates change the display that they are for, `clear_output` empties the record, progress bars are folded. It grows at
its open end only; behind that lie sealed segments. Its beginning and its end are kept up to a limit, and what was left
out between them is counted. As parts of a commit:

    output/index      JSON: format, the segments in order, what was left out, newer contents of displays
    output/000012     a segment: JSON lines, {"stream", "text"} or {"display", "id", "data", "blobs", "metadata"}
    output/<hash>     an image or another large representation: its bytes
"""

from __future__ import annotations

import json
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

from colab_guard.session.output.bundles import Bundle, bundled
from colab_guard.session.output.folding import Folded
from colab_guard.session.output.items import LIMITS, ClearNext, Displayed, LeftOut, Limits, Printed, size_words
from colab_guard.session.output.segments import ITEM_BYTES, Item, Segment, Shown, Text, decoded, encoded, sealed

AnItem = TypeVar("AnItem", Text, Shown)

FORMAT = 1
PREFIX = "output/"
INDEX = PREFIX + "index"


ELSEWHERE = 64
"""Displays of other cells whose newest update is kept."""


class Record:
    """The output of one cell."""

    def __init__(self, limits: Limits = LIMITS) -> None:
        self._limits = limits
        self._elsewhere: dict[str, Bundle] = {}
        self._next_display = self._next_segment = 0
        self._empty()

    def _empty(self) -> None:
        self._clear_next = False
        self._head: list[Segment] = []
        self._tail: deque[Segment] = deque()
        self._left_out = LeftOut()
        self._open: list[Item] = []
        self._closed_weight = self._blob_bytes = self._blob_count = 0
        self._open_displays: dict[int, Shown] = {}
        self._updated: dict[int, Shown] = {}
        self._numbers: dict[str, list[int]] = {}
        self._blobs: dict[str, bytes] = {}
        self._uses: Counter[str] = Counter()

    def __bool__(self) -> bool:
        return bool(self._open or self._head or self._elsewhere)

    # what happens

    def write(self, stream: str, text: str) -> None:
        most = self._limits.segment[0]
        for start in range(0, len(text), most):
            self._clear_if_asked()
            last = self._open[-1] if self._open else None
            if not isinstance(last, Text) or last.stream != stream:
                last = self._begin(Text(stream))
            last.folded.add(text[start : start + most])
            if self._closed_weight + last.folded.size > most:
                self._seal()

    def show(self, bundle: Bundle, display_id: str | None = None) -> None:
        self._clear_if_asked()
        bundle = self._bounded(bundle)
        number = self._next_display
        self._next_display += 1
        shown = self._open_displays[number] = self._begin(Shown(number, bundle, display_id))
        if display_id is not None:
            self._numbers.setdefault(display_id, []).append(number)
        self._hold(bundle)
        self._closed_weight += sum(len(text) for text in bundle.inline.values())
        self._blob_bytes += sum(len(blob) for _, _, blob in shown.bundle.blobs.values())
        self._blob_count += len(bundle.blobs)
        if _exceeds((self._closed_weight, self._blob_bytes, self._blob_count), self._limits.segment):
            self._seal()

    def update(self, bundle: Bundle, display_id: str) -> None:
        bundle = self._bounded(bundle)
        if display_id not in self._numbers or display_id in self._elsewhere:
            self._elsewhere.pop(display_id, None)
            self._elsewhere[display_id] = bundle
            if len(self._elsewhere) > ELSEWHERE:
                del self._elsewhere[next(iter(self._elsewhere))]
        for number in self._numbers.get(display_id, ()):
            before = self._open_displays.get(number) or self._updated.get(number)
            self._hold(bundle)
            if before is None:
                self._updated[number] = Shown(number, bundle, display_id)
            else:
                self._let_go(before.bundle)
                before.bundle = bundle

    def open_line(self, stream: str) -> int:
        """Places that the line takes in which the next text of `stream` begins."""
        last = self._open[-1] if self._open else None
        return last.folded.open_width if isinstance(last, Text) and last.stream == stream else 0

    def knows(self, display_id: str | None) -> bool:
        """Whether a display of this id is in the record."""
        return display_id in self._numbers

    def clear(self, wait: bool) -> None:
        if wait:
            self._clear_next = True
        else:
            self._empty()

    # as parts of a commit, and back

    def parts(self) -> dict[str, bytes]:
        """All of it as it is now; sealed segments and blobs are the very bytes that they were before."""
        open_name = self._segment_name()
        segments = [*self._head, *self._tail]
        index = {
            "format": FORMAT,
            "head": [segment.name for segment in self._head],
            "left_out": [self._left_out.bytes, self._left_out.displays],
            "tail": [segment.name for segment in self._tail],
            "open": open_name if self._open else None,
            "updated": [shown.to_json() for shown in self._updated.values()],
            "elsewhere": {display_id: bundle.to_json() for display_id, bundle in self._elsewhere.items()},
            "clear_next": self._clear_next,
            "next": [self._next_segment, self._next_display],
        }
        parts = {PREFIX + segment.name: segment.lines for segment in segments}
        if self._open:
            parts[PREFIX + open_name] = encoded(self._open)
        elsewhere = [blob for bundle in self._elsewhere.values() for blob in bundle.blobs.values()]
        blobs = self._blobs | {name: blob for _, name, blob in elsewhere}
        parts |= {PREFIX + name: blob for name, blob in blobs.items()}
        return {INDEX: json.dumps(index, separators=(",", ":")).encode(), **parts}

    @classmethod
    def from_parts(cls, parts: Mapping[str, bytes], limits: Limits = LIMITS) -> Record:
        """The record of a commit, empty where it has none; ValueError if it is of a newer format."""
        record = cls(limits)
        if INDEX not in parts:
            return record
        index = json.loads(parts[INDEX])
        if index["format"] > FORMAT:
            raise ValueError("it was recorded by a newer colab_guard")

        def blob(name: str) -> bytes:
            return bytes(parts[PREFIX + name])

        for told in index["updated"]:
            shown = Shown(told["display"], Bundle.from_json(told, blob), told["id"])
            record._updated[shown.number] = shown
            record._hold(shown.bundle)
        record._elsewhere = {name: Bundle.from_json(told, blob) for name, told in index["elsewhere"].items()}
        for name in [*index["head"], *index["tail"]]:
            items = [_item(told, blob) for told in decoded(parts[PREFIX + name])]
            segment = sealed(name, items)
            (record._head if name in index["head"] else record._tail).append(segment)
            record._remember(items)
        if index["open"] is not None:
            items = [_item(told, blob) for told in decoded(parts[PREFIX + index["open"]])]
            record._open = items
            record._open_displays = {item.number: item for item in items if isinstance(item, Shown)}
            record._remember(items)
            record._weigh()
        record._left_out = LeftOut(*index["left_out"])
        record._clear_next = index["clear_next"]
        record._next_segment, record._next_display = index["next"]
        return record

    def items(self) -> Iterator[Printed | Displayed | LeftOut | ClearNext]:
        """What a front end has to show, in order."""
        for display_id, bundle in self._elsewhere.items():
            yield Displayed(bundle, display_id, update=True)
        for segment in self._head:
            yield from self._shown_again(segment.lines)
        if self._left_out.bytes:
            yield self._left_out
        for segment in self._tail:
            yield from self._shown_again(segment.lines)
        yield from self._shown_again(encoded(self._open))
        if self._clear_next:
            yield ClearNext()

    def _shown_again(self, lines: bytes) -> Iterator[Printed | Displayed]:
        for told in decoded(lines):
            if "stream" in told:
                yield Printed(told["stream"], told["text"])
            elif told["display"] in self._updated:
                yield Displayed(self._updated[told["display"]].bundle, told["id"])
            else:
                yield Displayed(Bundle.from_json(told, self._blobs.__getitem__), told["id"])

    # inside

    def _begin(self, item: AnItem) -> AnItem:
        """A new item at the open end; what was last is over."""
        last = self._open[-1] if self._open else None
        if isinstance(last, Text):
            self._closed_weight += last.folded.size
        self._closed_weight += ITEM_BYTES
        self._open.append(item)
        return item

    def _seal(self) -> None:
        """The open items become a segment; the line that is being written stays open."""
        last = self._open[-1]
        rest: list[Item] = []
        if isinstance(last, Text):
            complete = Text(last.stream, Folded.whole(last.folded.split()))
            self._open[-1:] = [complete] if complete.folded.size else []
            rest = [last] if last.folded.text() else []
        if not self._open:
            self._open = rest
            return
        segment = sealed(self._segment_name(), self._open)
        self._next_segment += 1
        self._open = rest
        self._open_displays.clear()
        self._weigh()
        if not self._tail and not self._left_out.bytes and not _exceeds(_weight(self._head, segment), self._limits.head):
            self._head.append(segment)
            return
        self._tail.append(segment)
        while len(self._tail) > 1 and _exceeds(_weight(self._tail), self._limits.tail):
            self._leave_out(self._tail.popleft())

    def _leave_out(self, segment: Segment) -> None:
        self._left_out = LeftOut(
            self._left_out.bytes + segment.text_bytes + segment.blob_bytes, self._left_out.displays + len(segment.displays)
        )
        for name in segment.blobs:
            self._release(name)
        gone = set(segment.displays)
        for number in gone & self._updated.keys():
            self._let_go(self._updated.pop(number).bundle)
        for display_id, numbers in list(self._numbers.items()):
            self._numbers[display_id] = [number for number in numbers if number not in gone]
            if not self._numbers[display_id]:
                del self._numbers[display_id]

    def _remember(self, items: list[Item]) -> None:
        """Displays of a record that comes back: their ids and blobs."""
        for item in items:
            if isinstance(item, Shown):
                self._hold(item.bundle)
                if item.display_id is not None:
                    self._numbers.setdefault(item.display_id, []).append(item.number)

    def _weigh(self) -> None:
        """The weight of the open items, anew; that of the last text is known by itself."""
        shown = [item.bundle for item in self._open if isinstance(item, Shown)]
        self._closed_weight = ITEM_BYTES * len(self._open)
        self._closed_weight += sum(item.folded.size for item in self._open[:-1] if isinstance(item, Text))
        self._closed_weight += sum(len(text) for bundle in shown for text in bundle.inline.values())
        self._blob_bytes = sum(len(blob) for bundle in shown for _, _, blob in bundle.blobs.values())
        self._blob_count = sum(len(bundle.blobs) for bundle in shown)

    def _bounded(self, bundle: Bundle) -> Bundle:
        if bundle.size <= self._limits.head[1]:
            return bundle
        return bundled({"text/plain": f"... a display of {size_words(bundle.size)} left out ..."}, {})

    def _clear_if_asked(self) -> None:
        if self._clear_next:
            self._empty()

    def _segment_name(self) -> str:
        return f"{self._next_segment:06d}"

    def _hold(self, bundle: Bundle) -> None:
        for _, name, blob in bundle.blobs.values():
            self._blobs[name] = blob
            self._uses[name] += 1

    def _let_go(self, bundle: Bundle) -> None:
        for _, name, _ in bundle.blobs.values():
            self._release(name)

    def _release(self, name: str) -> None:
        self._uses[name] -= 1
        if self._uses[name] <= 0:
            del self._uses[name]
            self._blobs.pop(name, None)


def _item(told: dict[str, Any], blob: Callable[[str], bytes]) -> Item:
    if "stream" not in told:
        return Shown(told["display"], Bundle.from_json(told, blob), told["id"])
    text = Text(told["stream"])
    text.folded.add(told["text"])
    return text


def _weight(segments: Iterable[Segment], *more: Segment) -> tuple[int, int, int]:
    every = [*segments, *more]
    return sum(s.weight for s in every), sum(s.blob_bytes for s in every), sum(len(s.blobs) for s in every)


def _exceeds(weight: tuple[int, int, int], limit: tuple[int, int, int]) -> bool:
    return any(mine > most for mine, most in zip(weight, limit, strict=True))
