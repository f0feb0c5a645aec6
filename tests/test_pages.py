"""Widgets that any page can draw, and that stay when their cell has ended."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from colab_guard import pages


class Closing:
    """A widget that notes when it is closed, and its layout."""

    def __init__(self) -> None:
        self.closed = 0
        self.layout: Any = self

    def close(self) -> None:
        self.closed += 1


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    pages.close_kept()
    yield
    pages.close_kept()


def test_a_widget_asks_for_any_version_of_the_page_s_halves_and_so_does_its_layout() -> None:
    from colab_guard.panel.widget import PanelWidget

    state = PanelWidget(**pages.any_version()).get_state()
    assert (state["_model_module"], state["_model_module_version"], state["_view_module_version"]) == ("anywidget", "*", "*")
    traits = pages.any_version()
    layout = traits["layout"].get_state()
    assert (layout["_model_name"], layout["_model_module_version"], layout["_view_module_version"]) == ("LayoutModel", "*", "*")


def test_what_hears_the_page_s_buttons_asks_for_any_version_too() -> None:
    from colab_guard.panel.widget import Controls

    state = Controls(lambda content: None, hears=False).get_state()
    assert (state["_model_module"], state["_model_module_version"]) == ("@jupyter-widgets/base", "*")


def test_on_colab_and_in_vs_code_the_libraries_own_versions_stand(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as colab:
        colab.setitem(sys.modules, "google.colab", ModuleType("google.colab"))
        assert pages.any_version() == {}
    with monkeypatch.context() as code:
        code.setenv("VSCODE_PID", "1")
        assert pages.any_version() == {}
    assert pages.any_version() != {}


def test_vs_code_is_known_by_the_notebook_s_name_where_its_server_is_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    shell = SimpleNamespace(user_ns={"__vsc_ipynb_file__": "/home/me/train.ipynb"})
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    assert pages.any_version() == {}


def test_widgets_of_ended_cells_stay_until_there_are_many_and_all_go_in_the_end() -> None:
    made = [Closing() for _ in range(pages.KEPT + 2)]
    for widget in made:
        pages.keep(widget)
    assert [widget.closed for widget in made] == [2, 2] + [0] * pages.KEPT
    pages.close_kept()
    assert all(widget.closed == 2 for widget in made)


def test_unloading_closes_what_stayed() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    from colab_guard import extension

    shell = InteractiveShell()
    extension.load(shell)
    widget = Closing()
    pages.keep(widget)
    extension.unload(shell)
    assert widget.closed == 2
