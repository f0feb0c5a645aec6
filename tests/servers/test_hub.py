"""JupyterHub and jupyterhub-idle-culler at 20 s: idle servers go, those with guarded work and `%keepalive` stay until it ends."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.browser.jupyter import Page, chromium
from tests.servers.hub import Hub, User
from tests.servers.test_culling import IDLE_S, KEEPALIVE, LOAD, STAYS_S, WORK

CULLED_WITHIN_S = 120


@dataclass
class Seen:
    """How long each user's server ran after it was left alone, and whether it ran while it should."""

    lived_s: dict[str, float] = field(default_factory=dict)
    stayed: dict[str, bool] = field(default_factory=dict)


def left_running(hub: Hub, name: str, *cells: str) -> User:
    """A user's server whose kernel has run `cells`, and goes on with the last; no page is open, nobody is connected."""
    user = User(hub, name)
    user.start()
    kernel = user.client.kernel()
    for cell in cells[:-1]:
        kernel.run(cell)
    kernel.run(cells[-1].replace("NAME", name), wait_for="begun")
    return user


def opened(hub: Hub, browser: Any, name: str, *cells: str) -> tuple[User, Page]:
    """The same in a page, which stays open."""
    user = User(hub, name)
    user.start()
    page = Page(user, browser, name, [cell.replace("NAME", name) for cell in cells], storage_state=user.log_in(browser))
    for number in range(len(cells)):
        page.run_cell(number)
    page.wait_for_text("begun", limit_s=60)
    return user, page


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    """All servers are started, left alone for three timeouts, then their work ends. They wait at the same time."""
    hub = Hub(tmp_path_factory.mktemp("hub"), IDLE_S)
    found = Seen()
    try:
        with chromium() as browser:
            kept = left_running(hub, "kept", LOAD, KEEPALIVE, WORK)
            watched, page = opened(hub, browser, "watched", LOAD, KEEPALIVE, WORK)
            users = [left_running(hub, "idle", 'print("begun")'), left_running(hub, "busy", LOAD, WORK), kept, watched]
            began = time.monotonic()
            waiting = {user.name: user for user in users}

            def wait(until: Callable[[], bool]) -> None:
                """Note who goes, until `until` says yes."""
                limit = time.monotonic() + STAYS_S + CULLED_WITHIN_S
                while not until():
                    assert time.monotonic() < limit, f"still there: {set(waiting)}\n{hub.log()}"
                    for name in [name for name, user in waiting.items() if not user.running]:
                        found.lived_s[name] = time.monotonic() - began
                        del waiting[name]
                    browser.contexts[0].pages[0].wait_for_timeout(500)  # an open page goes on working

            wait(lambda: time.monotonic() - began > STAYS_S and not {"idle", "busy"} & set(waiting))
            for user in (kept, watched):
                found.stayed[user.name] = user.running
                (user.folder / f"{user.name}.enough").touch()
            page.page.goto("about:blank")  # a notebook asks its server for news, and the hub takes that as activity
            wait(lambda: not waiting)
        yield found
    finally:
        hub.close()


def test_an_idle_server_is_ended(seen: Seen) -> None:
    assert seen.lived_s["idle"] < STAYS_S + CULLED_WITHIN_S


def test_guarded_work_alone_does_not_keep_a_server(seen: Seen) -> None:
    assert "busy" in seen.lived_s


@pytest.mark.parametrize("name", ["kept", "watched"])
def test_with_keepalive_it_stays_for_as_long_as_guarded_work_runs_and_is_ended_afterwards(seen: Seen, name: str) -> None:
    assert seen.stayed[name], f"ended after {seen.lived_s[name]:.0f} s of work"
    assert seen.lived_s[name] > STAYS_S
