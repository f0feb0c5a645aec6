"""Classes that were there before the cell: what it changed in them holds, and nothing else of them."""

from __future__ import annotations

from typing import Any

import pytest

from colab_guard import state
from colab_guard.errors import CannotResume
from colab_guard.state import Live

SETUP = """
import enum
class Net:
    def forward(self): return 'forward'
    def other(self): return 'other'
class Kind(enum.Enum):
    A = 1
    def __init__(self, number): self.note, self.seen = 'note', []
"""


def notebook(source: str) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "__main__"}
    exec(source, names)
    return names


def live(names: dict[str, Any]) -> Live:
    return Live(names, dict(names), classes=state.classes_of(names))


def changed(names: dict[str, Any], cell: str) -> tuple[Live, state.Captured]:
    """The notebook as the cell found it, and what was captured after it ran."""
    found = live(names)
    exec(cell, names)
    wanted = {name: value for name, value in names.items() if not name.startswith("__") and name != "enum"}
    return found, state.capture({"names": wanted}, {"names": {}}, found)


def test_a_method_that_was_edited_wins_where_the_cell_changed_another() -> None:
    _, captured = changed(notebook(SETUP), "Net.forward = lambda self: 'patched'\nKind.A.seen.append(1)\nnet = Net()")
    fresh = notebook(SETUP.replace("return 'other'", "return 'edited'").replace("'note', []", "'edited', []"))
    back, _ = state.restore(captured.parts, {}, live(fresh))
    net = back["names"]["net"]
    assert (net.forward(), net.other()) == ("patched", "edited")
    assert (fresh["Kind"].A.note, fresh["Kind"].A.seen) == ("edited", [1])


def test_what_changed_after_the_snapshot_is_undone_in_the_same_kernel() -> None:
    names = notebook(SETUP)
    before, captured = changed(names, "Net.forward = lambda self: 'patched'\ndel Net.other\nnet = Net()")
    exec("Net.forward = Net.other = lambda self: 'later'\nNet.more = 1\nNet.__len__ = lambda self: 3\nKind.A.note = 'later'", names)
    back, _ = state.restore(captured.parts, {}, before)
    net = back["names"]["net"]
    assert net.forward() == "patched" and names["Kind"].A.note == "note"
    assert not any(hasattr(net, name) for name in ("other", "more", "__len__"))


def test_a_cell_that_changes_nothing_in_a_class_stores_nothing_of_its_code() -> None:
    _, captured = changed(notebook(SETUP), "net = Net()\nkind = Kind.A")
    assert b"forward" not in captured.parts["graph"] and b"note" not in captured.parts["graph"]


def test_a_hash_that_asks_for_what_is_not_there_yet_is_not_called_a_missing_library() -> None:
    source = (
        "class Node:\n    def __init__(self): self.box = [[self, 1]]; self.near = {}\n"
        "    def __hash__(self): return hash(self.box[0][1])\nnode = Node()\nnode.near[node] = 1"
    )
    _, captured = changed(notebook(""), source)
    with pytest.raises(CannotResume, match=r"cannot be rebuilt here: AttributeError: 'Node' object has no attribute 'box'"):
        state.restore(captured.parts, {}, Live({}, {}))


def test_a_definition_that_a_library_has_no_more_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    import fractions

    names = notebook("import fractions\nhalf = fractions.Fraction(1, 2)")
    captured = state.capture({"names": {"half": names["half"]}}, {"names": {}}, live(names))
    monkeypatch.delattr(fractions, "Fraction")
    with pytest.raises(CannotResume, match=r"a library or a definition that is not here: .*Fraction"):
        state.restore(captured.parts, {}, Live({}, {}))
