"""A real JupyterLab server on 127.0.0.1 and a real Chromium that looks at it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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

# Lab's own indicator says "idle" before the session is there: ask the session itself
READY = """() => {
    const panel = window.jupyterapp?.shell.currentWidget;
    const kernel = panel?.context?.isReady && panel.sessionContext?.isReady && panel.sessionContext.session?.kernel;
    return Boolean(kernel) && kernel.connectionStatus === 'connected' && kernel.status === 'idle';
}"""


def notebook(cells: list[str]) -> str:
    """A notebook of code cells, as JSON."""
    made: list[dict[str, Any]] = [
        {"cell_type": "code", "id": f"c{n}", "metadata": {}, "source": cell, "execution_count": None, "outputs": []}
        for n, cell in enumerate(cells)
    ]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    return json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": made})


class Lab:
    """JupyterLab with folders of its own; its kernels find this checkout."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.url = f"http://127.0.0.1:{free.getsockname()[1]}"
        self._log = folder / "server.log"
        self._process = self._start()
        self._wait()

    def _start(self) -> subprocess.Popen[bytes]:
        own = self.folder / ".own"
        settings = own / "settings/@jupyterlab/apputils-extension"
        settings.mkdir(parents=True)
        (settings / "notification.jupyterlab-settings").write_text('{"fetchNews": "false", "checkForUpdates": false}')
        options = {
            "ip": "127.0.0.1",
            "port": self.url.rsplit(":", 1)[1],
            "ServerApp.port_retries": "0",
            "IdentityProvider.token": "",
            "ServerApp.password": "",
            "ServerApp.root_dir": str(self.folder),
            "LabApp.user_settings_dir": str(own / "settings"),
            "LabApp.workspaces_dir": str(own / "workspaces"),
            "LabApp.expose_app_in_browser": "True",
        }
        environment = {
            **os.environ,
            "JUPYTER_CONFIG_DIR": str(own / "config"),
            "JUPYTER_DATA_DIR": str(own / "data"),
            "JUPYTER_RUNTIME_DIR": str(own / "runtime"),
            "IPYTHONDIR": str(own / "ipython"),
            "COLAB_GUARD_HOME": str(own / "home"),
            "PYTHONPATH": str(REPOSITORY),
        }
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"--{name}={value}" for name, value in options.items()]
        with self._log.open("wb") as log:
            return subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self._log.read_text()[-2000:]
            try:
                urllib.request.urlopen(f"{self.url}/api/status", timeout=5).close()
            except (urllib.error.URLError, TimeoutError):
                time.sleep(0.1)
            else:
                return
        raise TimeoutError(self._log.read_text()[-2000:])

    def close(self) -> None:
        """End the server and its kernels: they are one process group, or children that end with it."""
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(15)
        except subprocess.TimeoutExpired:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()


@contextmanager
def chromium() -> Iterator[Any]:
    """Chromium as installed on the machine, else Playwright's own; an error where there is neither."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
        browser = playwright.chromium.launch(executable_path=path, args=BROWSER_ARGS)
        yield browser
        browser.close()


class Page:
    """A notebook opened in a page."""

    def __init__(self, lab: Lab, browser: Any, name: str, cells: list[str], **view: Any) -> None:
        self._lab = lab
        self.path = lab.folder / f"{name}.ipynb"
        self.path.write_text(notebook(cells))
        self.page = browser.new_page(**view)
        self.errors: list[str] = []
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("dialog", self._on_dialog)
        self.page.goto(f"{lab.url}/lab/tree/{self.path.name}?reset")
        self.page.locator(".jp-Notebook .jp-Cell").first.wait_for(timeout=60_000)
        self.page.wait_for_function(READY, timeout=60_000)

    def _on_dialog(self, dialog: Any) -> None:
        self.errors.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def command(self, name: str, **arguments: Any) -> None:
        """A command of Lab; not waited for."""
        self.page.evaluate("([n, a]) => { window.jupyterapp.commands.execute(n, a) }", [name, arguments])

    def run_all(self) -> None:
        self.command("notebook:run-all-cells")

    def wait_for_text(self, text: str, limit_s: float = 30) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=limit_s * 1000)

    def saved(self) -> dict[str, Any]:
        """The notebook as saved on disk."""
        self.page.evaluate("() => window.jupyterapp.commands.execute('docmanager:save')")
        made: dict[str, Any] = json.loads(self.path.read_text())
        return made

    def close(self) -> None:
        self.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.shutdown()")
        self.page.close()
