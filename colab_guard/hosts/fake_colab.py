"""A stand-in for `google.colab`, for tests and for trying notebooks at home.

    with FakeColab() as colab:
        ...                       # detect() says "colab"; drive.mount, files.download, userdata.get answer
    colab.downloaded              # what would have gone to the browser
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType, TracebackType

PARTS = ("drive", "files", "runtime", "userdata")


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
        self.mounted: list[Path] = []
        self.downloaded: list[Path] = []
        self.unassigned = False
        self._before: dict[str, ModuleType | None] = {}
        self._own_google: ModuleType | None = None

    def mount(self, mountpoint: str, force_remount: bool = False, timeout_ms: int = 120_000) -> None:
        if not self.consent:
            raise ValueError("mount failed")
        (Path(mountpoint) / "MyDrive").mkdir(parents=True, exist_ok=True)
        self.mounted.append(Path(mountpoint))

    def download(self, filename: str) -> None:
        if not Path(filename).is_file():
            raise FileNotFoundError(f"Cannot find file: {filename}")
        self.downloaded.append(Path(filename))

    def unassign(self) -> None:
        self.unassigned = True

    def secret(self, key: str) -> str:
        while self.silent:
            time.sleep(0.01)
        if key not in self.secrets:
            raise KeyError(f"Secret {key} does not exist.")
        return self.secrets[key]

    def __enter__(self) -> FakeColab:
        modules = {name: ModuleType(name) for name in ("google.colab", *(f"google.colab.{part}" for part in PARTS))}
        functions = {
            "drive": ("mount", self.mount),
            "files": ("download", self.download),
            "runtime": ("unassign", self.unassign),
            "userdata": ("get", self.secret),
        }
        for part, (name, function) in functions.items():
            setattr(modules[f"google.colab.{part}"], name, function)
            setattr(modules["google.colab"], part, modules[f"google.colab.{part}"])
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
