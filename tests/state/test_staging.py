"""Memory of ours into which captures copy: apart from the heap, used again, and by the way that a device takes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from colab_guard.state.staging import MAPPED, Slot, Staging, fill_from_devices


@pytest.mark.parametrize("nbytes", [1, MAPPED - 1, MAPPED, MAPPED + 5])
def test_a_slot_of_any_size_takes_memory_in_and_knows_it_again(nbytes: int) -> None:
    data, other = torch.randint(0, 255, (nbytes,), dtype=torch.uint8), torch.zeros(nbytes, dtype=torch.uint8)
    slot = Slot(nbytes)
    slot.fill(data.data_ptr())
    first = slot.stamp
    assert bytes(slot.view) == data.numpy().tobytes() and slot.holds(data.data_ptr())
    slot.fill(data.data_ptr())
    assert slot.stamp is first and slot.steady == 1
    other[-1] = 255 - data[-1]
    slot.fill(other.data_ptr())
    assert slot.stamp is not first and slot.steady == 0 and bytes(slot.view) == other.numpy().tobytes()


def test_memory_of_some_size_that_cannot_be_had_is_a_memory_error() -> None:
    with pytest.raises(MemoryError, match="for a copy of the state"):
        Slot(2**60)


class Streams:
    """Stands in for CUDA's streams on a machine without them: notes who does what, in which order."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.done: list[tuple[str, Any]] = []
        self._inside: list[Streams.Stream] = []
        real = torch.Tensor.copy_

        def copied(tensor: torch.Tensor, source: torch.Tensor, non_blocking: bool = False) -> torch.Tensor:
            self.done.append(("copy", (self._inside[-1].device if self._inside else None, non_blocking)))
            return real(tensor, source, non_blocking)

        @contextmanager
        def inside(stream: Streams.Stream) -> Iterator[None]:
            self._inside.append(stream)
            yield
            self._inside.pop()

        streams = self

        class Stream(Streams.Stream):
            def wait_stream(self, other: Any) -> None:
                streams.done.append(("wait for", other))

            def synchronize(self) -> None:
                streams.done.append(("synchronize", self.device))

        monkeypatch.setattr(torch.cuda, "Stream", Stream)
        monkeypatch.setattr(torch.cuda, "stream", inside)
        monkeypatch.setattr(torch.cuda, "current_stream", lambda device: "the stream that trains")
        monkeypatch.setattr(torch.Tensor, "copy_", copied)

    class Stream:
        def __init__(self, device: str) -> None:
            self.device = device


def test_a_device_s_tensors_go_over_one_stream_behind_training_without_waiting_in_between(monkeypatch: pytest.MonkeyPatch) -> None:
    tensors = [torch.full((1000 + number,), number, dtype=torch.uint8) for number in range(3)]
    slots = [Slot(tensor.nbytes, torch.empty(tensor.nbytes, dtype=torch.uint8)) for tensor in tensors]
    streams = Streams(monkeypatch)
    monkeypatch.setattr(torch.Tensor, "cpu", lambda tensor: pytest.fail("a copy that waits"))
    fill_from_devices([(tensor.untyped_storage(), "cpu", slot) for tensor, slot in zip(tensors, slots, strict=True)])
    stamps = [slot.stamp for slot in slots]
    copies = [("copy", ("cpu", True))] * 3
    assert streams.done == [("wait for", "the stream that trains"), *copies, ("synchronize", "cpu")]
    assert all(stamps) and len(set(map(id, stamps))) == 3
    assert [bytes(slot.view) for slot in slots] == [tensor.numpy().tobytes() for tensor in tensors]


def test_slots_of_memory_that_is_gone_serve_other_memory_of_the_same_size() -> None:
    staging = Staging()
    before = staging.slots([("cpu", 1, 100), ("cpu", 2, MAPPED)])
    after = staging.slots([("cpu", 3, MAPPED), ("cpu", 1, 100)])
    assert after == [before[1], before[0]] and staging.nbytes == 100 + MAPPED
