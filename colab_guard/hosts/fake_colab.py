"""A stand-in for `google.colab`, for tests and for trying notebooks at home.

    with FakeColab() as colab:
        ...                       # detect() says "colab"; drive.mount, files.download, userdata.get, runtime.unassign answer
    colab.downloaded              # what would have gone to the browser

Names, parameters and errors are those of github.com/googlecolab/colabtools (google/colab/*.py).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, SimpleNamespace, TracebackType
from typing import Any

MANAGER = "https://ssl.gstatic.com/colaboratory-static/widgets/colab-cdn-widget-manager/bf763107cca07459/manager.min.js"


class Error(Exception):
    """`google.colab.errors.Error`: the base of Colab's own errors."""


class RuntimeManagementError(Error):
    """`google.colab.errors.RuntimeManagementError`: the machine's service did not do as it was told."""


class SecretNotFoundError(Error):
    """`google.colab.userdata.SecretNotFoundError`."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Secret {key} does not exist.")


class NotebookAccessError(Exception):
    """`google.colab.userdata.NotebookAccessError`."""

    def __init__(self, key: str) -> None:
        super().__init__(f"Notebook does not have access to secret {key}")


class FakeColab:
    """Puts `google.colab` into `sys.modules` while it is entered; what was there before comes back.

    `consent=False` is the user who does not allow Drive, or has closed the tab. `mount` makes MyDrive in the folder that
    it is given, so whoever points `places.DRIVE_MOUNT` elsewhere keeps away from /content.
    """

    def __init__(self, *, secrets: Mapping[str, str] | None = None, consent: bool = True) -> None:
        self.secrets = dict(secrets or {})
        self.consent = consent
        self.silent = False
        """The page does not answer: no tab is open."""
        self.refuses = ""
        """Why the machine's service does not let it go; "" where it does."""
        self.mounted: list[Path] = []
        self.downloaded: list[Path] = []
        self.evaluated: list[str] = []
        """Scripts that the page was asked to run."""
        self.unassigned = False
        self.widgets = SimpleNamespace(_installed_url=None)
        """`google.colab.output._widgets`, where anywidget reads the manager's address."""
        self._before: dict[str, ModuleType | None] = {}
        self._own_google: ModuleType | None = None

    def mount(self, mountpoint: str, force_remount: bool = False, timeout_ms: int = 120_000, readonly: bool = False) -> None:
        if " " in mountpoint:
            raise ValueError("Mountpoint must not contain a space.")
        if not self.consent:
            raise ValueError("mount failed")
        (Path(mountpoint) / "MyDrive").mkdir(parents=True, exist_ok=True)
        self.mounted.append(Path(mountpoint))

    def flush_and_unmount(self, timeout_ms: int = 24 * 60 * 60 * 1000) -> None:
        self.mounted.clear()

    def download(self, filename: str) -> None:
        if not Path(filename).is_file():
            raise FileNotFoundError(f"Cannot find file: {filename}")
        self.downloaded.append(Path(filename))

    def unassign(self) -> None:
        if self.refuses:
            raise RuntimeManagementError(self.refuses)
        self.unassigned = True
        self.eval_js("google.colab.kernel.disconnect();", ignore_result=True)

    def secret(self, key: str) -> str:
        while self.silent:
            time.sleep(0.01)
        if key not in self.secrets:
            raise SecretNotFoundError(key)
        return self.secrets[key]

    def eval_js(self, script: str, ignore_result: bool = False, timeout_sec: float | None = None) -> Any:
        self.evaluated.append(script)

    def enable_custom_widget_manager(self, version: str = "5.0.0a") -> None:
        """anywidget calls it before its first widget; the real one adds an address to what is displayed."""
        if version != "5.0.0a":
            raise ValueError(f"Unknown widgets version: {version}")
        self.widgets._installed_url = MANAGER

    def _modules(self) -> dict[str, ModuleType]:
        parts: dict[str, dict[str, Any]] = {
            "drive": {"mount": self.mount, "flush_and_unmount": self.flush_and_unmount},
            "files": {"download": self.download},
            "runtime": {"unassign": self.unassign},
            "userdata": {
                "get": self.secret,
                "SecretNotFoundError": SecretNotFoundError,
                "NotebookAccessError": NotebookAccessError,
            },
            "errors": {"Error": Error, "RuntimeManagementError": RuntimeManagementError},
            "output": {
                "eval_js": self.eval_js,
                "enable_custom_widget_manager": self.enable_custom_widget_manager,
                "_widgets": self.widgets,
            },
        }
        colab = ModuleType("google.colab")
        modules = {"google.colab": colab}
        for part, names in parts.items():
            made = modules[f"google.colab.{part}"] = ModuleType(f"google.colab.{part}")
            vars(made).update(names)
            setattr(colab, part, made)
        return modules

    def __enter__(self) -> FakeColab:
        modules = self._modules()
        # other libraries live under `google` too: theirs stays, and only gains an attribute
        if "google" not in sys.modules:
            self._own_google = sys.modules["google"] = ModuleType("google")
        self._before = {name: sys.modules.get(name) for name in modules}
        sys.modules.update(modules)
        vars(sys.modules["google"])["colab"] = modules["google.colab"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for name, module in self._before.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
        google = sys.modules.get("google")
        before = self._before.get("google.colab")
        if google is not None and before is not None:
            vars(google)["colab"] = before
        elif google is not None:
            vars(google).pop("colab", None)
        if self._own_google is not None and google is self._own_google:
            del sys.modules["google"]
        self._own_google = None
