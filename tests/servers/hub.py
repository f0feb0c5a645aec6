"""JupyterHub with its proxy and jupyterhub-idle-culler, started for real on 127.0.0.1.

Users log in with any password; their servers are processes of this account, each in a folder of its own. Without
configurable-http-proxy (`npm ci` in this folder) nothing starts, and the tests fail.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import sys
import time
import urllib.error
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.browser.jupyter import end, environment, free_port
from tests.servers.kernels import Client

PROXY = Path(__file__).parent / "node_modules/.bin/configurable-http-proxy"
START_LIMIT_S = 180
REPORTS_S = 5  # how often servers and proxy tell the hub about activity; 300 s by default
PASSED_ON = ("JUPYTER_", "IPYTHONDIR", "COLAB_GUARD_", "PYTHONPATH")

CONFIGURATION = """
c.JupyterHub.bind_url = VALUES["url"]
c.JupyterHub.hub_bind_url = VALUES["hub"]
c.JupyterHub.db_url = "sqlite://"
c.JupyterHub.cookie_secret_file = VALUES["folder"] + "/cookie_secret"
c.JupyterHub.pid_file = VALUES["folder"] + "/hub.pid"
c.JupyterHub.last_activity_interval = VALUES["reports_s"]
c.JupyterHub.cleanup_servers = True
c.ConfigurableHTTPProxy.api_url = VALUES["proxy"]
c.ConfigurableHTTPProxy.command = [VALUES["command"]]
c.ConfigurableHTTPProxy.pid_file = VALUES["folder"] + "/proxy.pid"
c.JupyterHub.authenticator_class = "dummy"
c.Authenticator.allow_all = True
c.JupyterHub.spawner_class = "simple"
c.SimpleLocalProcessSpawner.home_dir_template = VALUES["folder"] + "/{username}"
c.Spawner.cmd = [VALUES["python"], "-m", "jupyterhub.singleuser"]
c.Spawner.args = ["--allow-root", "--LabApp.expose_app_in_browser=True"]
c.Spawner.environment = VALUES["environment"]
c.Spawner.start_timeout = c.Spawner.http_timeout = 180
culler = [VALUES["python"], "-m", "jupyterhub_idle_culler", "--cull-every=2", f"--timeout={VALUES['idle_s']}"]
c.JupyterHub.services = [
    {"name": "culler", "command": culler},
    {"name": "test", "api_token": VALUES["token"]},
]
c.JupyterHub.load_roles = [
    {
        "name": "culler",
        "services": ["culler"],
        "scopes": ["list:users", "read:users:activity", "read:servers", "delete:servers"],
    },
    {"name": "test", "services": ["test"], "scopes": ["admin:users", "admin:servers", "access:servers"]},
]
"""


@dataclass(frozen=True)
class User:
    """A user's server, as a page sees it (`tests.browser.jupyter.Site`), and as a program does."""

    hub: Hub
    name: str

    @property
    def folder(self) -> Path:
        return self.hub.folder / self.name

    @property
    def client(self) -> Client:
        """Its interface; whatever goes there is activity to the hub."""
        return Client(f"{self.hub.url}/user/{self.name}", self.hub.token)

    def address(self, name: str, base: str | None = None) -> str:
        return f"{base or self.hub.url}/user/{self.name}/lab/tree/{name}?reset"

    @property
    def running(self) -> bool:
        """Whether the hub says that the server runs; asking is no activity of the user."""
        return bool(self._model()["servers"])

    def start(self) -> None:
        """Have the hub start the server, and wait until it answers."""
        self.hub.client.ask(f"hub/api/users/{self.name}", "POST")
        self.folder.mkdir()
        self.hub.client.ask(f"hub/api/users/{self.name}/server", "POST")
        deadline = time.monotonic() + START_LIMIT_S
        while not self._model()["servers"].get("", {}).get("ready"):
            assert time.monotonic() < deadline, self.hub.log()
            time.sleep(0.2)

    def log_in(self, browser: Any) -> Any:
        """The cookies of this user, for new pages."""
        context = browser.new_context()
        page = context.new_page()
        page.goto(f"{self.hub.url}/hub/login")
        page.get_by_label("Username").fill(self.name)
        page.get_by_label("Password").fill("any")
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/user/**", timeout=START_LIMIT_S * 1000)
        state = context.storage_state()
        context.close()
        return state

    def _model(self) -> dict[str, Any]:
        made: dict[str, Any] = self.hub.client.ask(f"hub/api/users/{self.name}")
        return made


class Hub:
    """A hub that ends servers after `idle_s` seconds without activity."""

    def __init__(self, folder: Path, idle_s: int) -> None:
        assert PROXY.exists(), f"configurable-http-proxy is needed: npm ci --prefix {PROXY.parents[2]}"
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.token = secrets.token_hex(16)
        self.client = Client(self.url, self.token)
        own = folder / ".own"
        own.mkdir()
        outside = environment(own)
        passed_on = {name: value for name, value in outside.items() if name.startswith(PASSED_ON)}
        values = {
            "url": self.url,
            "hub": f"http://127.0.0.1:{free_port()}",
            "proxy": f"http://127.0.0.1:{free_port()}",
            "command": str(PROXY),
            "folder": str(folder),
            "python": sys.executable,
            "token": self.token,
            "idle_s": idle_s,
            "reports_s": REPORTS_S,
            "environment": {**passed_on, "JUPYTERHUB_ACTIVITY_INTERVAL": str(REPORTS_S)},
        }
        configuration = folder / "jupyterhub_config.py"
        configuration.write_text(f"import json\nVALUES = json.loads({json.dumps(values)!r})\n{CONFIGURATION}")
        self._log = folder / "hub.log"
        command = [sys.executable, "-m", "jupyterhub", "-f", str(configuration)]
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, env=outside, cwd=folder, start_new_session=True)
        self._wait()

    def _wait(self) -> None:
        deadline = time.monotonic() + START_LIMIT_S
        while time.monotonic() < deadline:
            assert self._process.poll() is None, self.log()
            try:
                self.client.ask("hub/api/users")
            except (urllib.error.URLError, TimeoutError, ConnectionError):  # the proxy comes first, then the hub
                time.sleep(0.2)
            else:
                return
        raise TimeoutError(self.log())

    def log(self) -> str:
        """The last words of the hub, its proxy, its culler and the users' servers."""
        return self._log.read_text(errors="replace")[-4000:]

    def close(self) -> None:
        """End the hub, which ends its proxy, its culler and the users' servers."""
        end(self._process, 60)
