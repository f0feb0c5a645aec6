"""What goes into a commit, without the secrets in it: what is said of the state, of its memory, of a unit, and its files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from colab_guard.snapshots import Position, UnitRecord
from colab_guard.snapshots.drafting import Drafting
from colab_guard.state import Captured, tokens
from colab_guard.store import BufferDraft, CommitDraft

HF = "hf_" + "aB3" * 12
HERE = Position("step 2", 1)


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    tokens.forget_known()
    yield
    tokens.forget_known()


def captured(*labels: str) -> Captured:
    return Captured({"graph": b"x"}, [BufferDraft(f"b{n}", b"", label=label) for n, label in enumerate(labels)], [])


def drafted(position: Position = HERE, state: Captured | None = None, *units: UnitRecord, **given: Any) -> tuple[CommitDraft, list[str]]:
    """The draft, and the files that are said to be left out."""
    lost: list[str] = []
    drafting = Drafting(lambda name, why: lost.append(f"{name}: {why}"), **given)
    draft, *_ = drafting.drafts("unit" if units else "step", position, state or captured(), units)
    return draft, lost


def test_the_position_holds_no_secret() -> None:
    draft, _ = drafted(Position(f"model {HF}, step 2", 1, frames=[{"source": f"login('\n{HF}')"}]))
    assert draft.position["text"] == "model (secret), step 2"
    assert draft.position["frames"] == [{"source": "login('\n(secret)')"}]


def test_what_is_said_of_the_cell_holds_no_secret() -> None:
    draft, _ = drafted(meta={"source": f"x = '''\n{HF}'''"}, facts=lambda: {"inputs": {"auth": HF}})
    assert draft.meta["source"] == "x = '''\n(secret)'''" and draft.meta["inputs"] == {"auth": "(secret)"}


def test_a_units_record_holds_no_secret() -> None:
    draft, _ = drafted(HERE, None, UnitRecord("sweep", "k", {"metrics": {"note": f"x\n{HF}"}, "traceback": f"401\n\t{HF}"}))
    assert draft.unit is not None
    assert draft.unit["record"] == {"metrics": {"note": "x\n(secret)"}, "traceback": "401\n\t(secret)"}


def test_a_units_file_that_holds_a_secret_is_left_out_and_named(tmp_path: Path) -> None:
    files = {name: tmp_path / name for name in ("a.json", "b.txt", "c.txt")}
    files["a.json"].write_text(f'{{"a": "x\\n{HF}"}}')
    files["b.txt"].write_text(HF)
    files["c.txt"].write_text("task-01HZX5J8Q2W3E4R5T6Y7U8I9O0")
    draft, lost = drafted(HERE, None, UnitRecord("sweep", "k", {}, files))
    assert draft.unit_files == {"c.txt": files["c.txt"]}
    assert lost == [f"{name}: it holds a Hugging Face token, which no commit stores" for name in ("a.json", "b.txt")]


def test_a_buffer_is_not_called_by_a_secret() -> None:
    draft, _ = drafted(HERE, captured("model.weight", f"model.t_{HF}"))
    assert [(buffer.key, buffer.label) for buffer in draft.buffers] == [("b0", "model.weight"), ("b1", "model.t_(secret)")]


def test_buffers_that_are_called_by_no_secret_are_the_very_same() -> None:
    state = captured("model.weight", "")
    assert drafted(HERE, state)[0].buffers is state.buffers
