"""Screenshots of the panel: `python -m tests.panel.screenshots --to FOLDER`."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.browser.jupyter import chromium
from tests.panel import pages
from tests.panel.scenes import SCENES

OFFLINE_S = 75


def offline(page: Any) -> None:
    """Let time pass in which nothing is heard."""
    page.clock.run_for(OFFLINE_S * 1000)


def unfolded(page: Any) -> None:
    """All runs, the best first."""
    page.get_by_role("button", name="show all").click()
    page.get_by_role("button", name="result").click()


def nothing(page: Any) -> None:
    """As it is."""


Touch = Callable[[Any], None]
SHOTS: dict[str, tuple[str, dict[str, Any], Touch]] = {
    "light": ("running", {}, nothing),
    "dark": ("running", {"dark": True}, nothing),
    "narrow": ("running", {"width": 320}, nothing),
    "39-runs": ("39-runs", {}, unfolded),
    "failure": ("failure", {}, nothing),
    "out-of-memory": ("out-of-memory", {}, nothing),
    "out-of-memory-dark": ("out-of-memory", {"dark": True}, nothing),
    "offline": ("running", {}, offline),
    "deaf": ("running", {"answer": None}, nothing),
    "zoomed": ("running", {"width": 520, "device_scale_factor": 2}, nothing),
}
STATIC: dict[str, tuple[str, dict[str, Any]]] = {
    "notebook": ("done", {}),
    "notebook-dark": ("failure", {"dark": True}),
    "notebook-narrow": ("failure", {"width": 320}),
}


def shoot(browser: Any) -> Iterator[tuple[str, Any]]:
    """Each page under its name, ready to be looked at; closed afterwards."""
    for name, (scene, how, touch) in SHOTS.items():
        page = pages.opened(browser, SCENES[scene]().panel.view(), **how)
        touch(page)
        yield name, page
        page.close()
    for name, (scene, how) in STATIC.items():
        page = pages.static(browser, SCENES[scene]().panel.html(), **how)
        yield name, page
        page.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--to", type=Path, required=True, help="folder for the pictures")
    folder: Path = parser.parse_args().to
    folder.mkdir(parents=True, exist_ok=True)
    with chromium() as browser:
        for name, page in shoot(browser):
            page.locator(".colab-guard").first.screenshot(path=str(folder / f"panel-{name}.png"), animations="disabled")
            print(folder / f"panel-{name}.png")


if __name__ == "__main__":
    main()
