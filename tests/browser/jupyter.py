"""Real Jupyter servers on 127.0.0.1 (JupyterLab, Notebook 7), and a real Chromium that looks at them."""

from __future__ import annotations

import atexit
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, Protocol

REPOSITORY = Path(__file__).parents[2]
START_LIMIT_S = 90
BROWSER_ARGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

# by application: its module, its class, and where it opens a notebook
APPLICATIONS = {
    "lab": ("jupyterlab", "LabApp", "lab/tree/{name}?reset"),
    "notebook": ("notebook", "JupyterNotebookApp", "notebooks/{name}"),
}

# the indicator says "idle" before the session is there: ask the session itself
READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    const kernel = panel?.context?.isReady && panel.sessionContext?.isReady && panel.sessionContext.session?.kernel;
    return Boolean(kernel) && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""
# a busy kernel answers a new page's first question when the cell has ended, so its status is not known until then; a cell that
# is run before the session is found would start another kernel
FOUND = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    return Boolean(panel?.context?.isReady && panel.sessionContext?.isReady && panel.sessionContext.session?.kernel);
}"""


def notebook(cells: list[str], kernel: str = "python3") -> str:
    """A notebook of code cells, as JSON."""
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": cell, "execution_count": None, "outputs": []}
        for n, cell in enumerate(cells)
    ]
    spec = {"name": kernel, "display_name": kernel, "language": "python"}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": spec}, "cells": made})


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    return port


def add_kernels(data: Path, kernels: Mapping[str, str]) -> None:
    """Kernel specifications by name, each with its Python, in a Jupyter data folder."""
    for name, python in kernels.items():
        folder = data / "kernels" / name
        folder.mkdir(parents=True)
        argv = [python, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
        (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": name, "language": "python"}))


def environment(own: Path) -> dict[str, str]:
    """What a server and its kernels find: folders of their own, and this checkout."""
    # kernels that find pytest's variable do not read what child processes write
    outside = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
    return {
        **outside,
        "JUPYTER_CONFIG_DIR": str(own / "config"),
        "JUPYTER_DATA_DIR": str(own / "data"),
        "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
        "IPYTHONDIR": str(own / "ipython"),
        "COLAB_GUARD_HOME": str(own / "home"),
        "PYTHONPATH": str(REPOSITORY),
    }


class Server:
    """A Jupyter server with folders of its own; `kernels` are Pythons by name, beside "python3", which is this one.

    `options` are traits of the server, as on its command line without the dashes.
    """

    def __init__(
        self,
        folder: Path,
        application: str = "lab",
        kernels: Mapping[str, str] | None = None,
        options: Mapping[str, object] | None = None,
    ) -> None:
        self.folder = folder
        self.application = application
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = folder / "server.log"
        self._process = self._start(kernels or {}, options or {})
        self._wait()

    def _start(self, kernels: Mapping[str, str], more: Mapping[str, object]) -> subprocess.Popen[bytes]:
        own = self.folder / ".own"
        settings = own / "settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
        add_kernels(own / "data", kernels)
        module, application, _ = APPLICATIONS[self.application]
        options = {
            "ServerApp.ip": "127.0.0.1",
            "ServerApp.port": self.port,
            "ServerApp.port_retries": 0,
            "IdentityProvider.token": "",
            "ServerApp.password": "",
            "ServerApp.root_dir": self.folder,
            f"{application}.user_settings_dir": own / "settings",
            f"{application}.workspaces_dir": own / "workspaces",
            f"{application}.expose_app_in_browser": True,
            **more,
        }
        command = [sys.executable, "-m", module, "--no-browser", "--allow-root"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with self._log.open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment(own), start_new_session=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log()
            try:
                self.ask("api/status")
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.1)
            else:
                return
        raise TimeoutError(self.log())

    def ask(self, path: str) -> Any:
        """The JSON at `path`, asked for so that the server does not take it as activity."""
        with urllib.request.urlopen(f"{self.url}/{path}?no_track_activity=1", timeout=10) as answer:
            return json.load(answer)

    def log(self) -> str:
        """The last words of the server."""
        return self._log.read_text(errors="replace")[-3000:]

    def address(self, name: str, base: str | None = None) -> str:
        """Where a page opens the notebook `name`; `base` where it goes through a proxy."""
        return f"{base or self.url}/{APPLICATIONS[self.application][2].format(name=name)}"

    def close(self) -> None:
        """End the server and its kernels: they are one process group, or children that end with it."""
        end(self._process)


def end(process: subprocess.Popen[bytes], limit_s: float = 15) -> None:
    """SIGTERM, and SIGKILL for the whole group of what has not ended by then."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(limit_s)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


class Site(Protocol):
    """Where a notebook lies, and where a page finds it."""

    @property
    def folder(self) -> Path:
        """The folder that the server serves."""

    def address(self, name: str, base: str | None = None) -> str:
        """The address of the notebook `name`."""


class Lab(Server):
    """JupyterLab with this Python's kernel."""


def executable() -> str:
    """Chromium as installed on the machine."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert found, "Chromium is needed"
    return found


@contextmanager
def tabs(folder: Path, *arguments: str) -> Iterator[Any]:
    """A window of Chromium with tabs, as people have it: one behind another is hidden, and its timers are throttled.

    Playwright's own windows are all in front, and it tells Chromium not to throttle.
    """
    port = free_port()
    own = ["--headless=new", f"--remote-debugging-port={port}", f"--user-data-dir={folder}", *BROWSER_ARGS, *arguments]
    with (folder / "chromium.log").open("wb") as log:
        process = subprocess.Popen([executable(), *own, "about:blank"], stdout=log, stderr=log, start_new_session=True)
    try:
        _wait_for_port(port, process)
        browser = _playwright().chromium.connect_over_cdp(f"http://127.0.0.1:{port}", no_defaults=True)
        yield browser.contexts[0]
        browser.close()
    finally:
        end(process)


def _wait_for_port(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_LIMIT_S
    while True:
        assert process.poll() is None and time.monotonic() < deadline, "Chromium did not start"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium in the background, each of whose pages is a window of its own."""
    browser = _playwright().chromium.launch(executable_path=executable(), args=BROWSER_ARGS)
    yield browser
    browser.close()


@cache
def _playwright() -> Any:
    """One for all browsers of this process: a second one beside it is refused."""
    from playwright.sync_api import sync_playwright

    started = sync_playwright().start()
    atexit.register(started.stop)
    return started


class Page:
    """A notebook opened in a page. `base` is the address of a proxy before the server, where there is one."""

    def __init__(
        self,
        server: Site,
        browser: Any,
        name: str,
        cells: list[str],
        kernel: str = "python3",
        base: str | None = None,
        **view: Any,
    ) -> None:
        self.path = server.folder / f"{name}.ipynb"
        self.path.write_text(notebook(cells, kernel))
        self.errors: list[str] = []
        self.console: list[str] = []
        self.loads = 0
        self.address = server.address(self.path.name, base)
        self._browser, self._view = browser, view
        self._open()
        self._wait_until(READY)

    def _open(self) -> None:
        self.page = self._browser.new_page(**self._view)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", self._on_console)
        self.page.on("dialog", self._on_dialog)
        self.page.on("load", self._on_load)
        self.page.goto(self.address)

    def _on_dialog(self, dialog: Any) -> None:
        if dialog.type == "beforeunload":
            dialog.accept()
            return
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def _on_console(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.console.append(message.text[:300])

    def _on_load(self, page: object) -> None:
        self.loads += 1

    def _wait_until(self, condition: str) -> None:
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=90_000)
        self.page.wait_for_function(condition, timeout=90_000)

    def reload(self) -> None:
        """Load the page again and wait until the notebook has found its kernel, which may be busy."""
        self.page.reload()
        self._wait_until(FOUND)

    def open_again(self) -> None:
        """Close the page, as a person closes a tab, and open the notebook in a new one; its kernel lives on."""
        self.page.close()
        self._open()
        self._wait_until(FOUND)

    def shut_down(self) -> None:
        """End the kernel; the page stays."""
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")

    def command(self, name: str, **arguments: Any) -> None:
        """A command of Lab; not waited for."""
        self.page.evaluate("([n, a]) => { window.jupyterapp.commands.execute(n, a) }", [name, arguments])

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def run_cell(self, number: int) -> None:
        """Run one cell; not waited for."""
        self.page.evaluate("n => { window.jupyterapp.shell.currentWidget.content.activeCellIndex = n }", number)
        self.command("notebook:run-cell")

    def cell(self, number: int) -> Any:
        """The cell, as Playwright finds it."""
        return self.page.locator(".jp-Notebook .jp-Cell").nth(number)

    def prompt(self, number: int) -> str:
        """`[*]:` while a cell runs or waits, `[3]:` after it. The kernel's status turns "idle" with any request beside it."""
        text: str = self.cell(number).locator(".jp-InputPrompt").first.inner_text()
        return text.strip()

    def outputs(self, number: int) -> str:
        """All words in the output of a cell."""
        text: str = self.cell(number).locator(".jp-Cell-outputArea").inner_text()
        return text

    def wait_for_text(self, text: str | re.Pattern[str], limit_s: float = 30) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=limit_s * 1000)

    def save(self) -> None:
        """Save the notebook, and wait for it."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")

    def saved(self) -> dict[str, Any]:
        """The notebook as saved on disk."""
        self.save()
        made: dict[str, Any] = json.loads(self.path.read_text())
        return made

    def close(self) -> None:
        """Shut the kernel down, and close the page."""
        self.shut_down()
        self.page.close()
