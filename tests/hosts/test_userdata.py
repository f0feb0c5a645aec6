"""Colab's user data in a process that has no page."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

from colab_guard.hosts import userdata


def test_a_process_without_a_page_asks_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setitem(sys.modules, "google.colab.userdata", SimpleNamespace(get=lambda name: asked.append(name) or "value"))  # type: ignore[arg-type]
    monkeypatch.setattr(userdata, "_page", [True])
    monkeypatch.setattr(userdata, "_read", {"known": "before"})
    userdata.without_page()
    assert userdata.user_data("COLAB_GUARD_KEY") is None and asked == []
    assert userdata.user_data("known") == "before"
