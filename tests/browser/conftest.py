"""Servers and one browser for all tests of this folder. Where Chromium is missing they fail; they are never skipped."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.browser.gated import stacks
from tests.browser.jupyter import Lab, Server, chromium
from tests.kernels.harness import pythons

Servers = Callable[[str], Server]


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    made = Lab(tmp_path_factory.mktemp("lab"))
    yield made
    made.close()


@pytest.fixture(scope="session")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """A server of each application ("lab", "notebook"), started when it is first asked for, with kernels of all stacks."""
    made: dict[str, Server] = {}

    def get(application: str) -> Server:
        if application not in made:
            made[application] = Server(tmp_path_factory.mktemp(application), application, stacks(pythons()))
        return made[application]

    yield get
    for server in made.values():
        server.close()


@pytest.fixture(scope="session")
def browser() -> Iterator[Any]:
    with chromium() as made:
        yield made
