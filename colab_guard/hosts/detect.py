"""Which host this is, and what it really allows; the rules and their sources are in `rules`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import psutil

from colab_guard.hosts.rules import RULES, Fact, HostKind, Limit, Rules

SAGEMAKER_METADATA = Path("/opt/ml/metadata/resource-metadata.json")
PROGRAMS: dict[str, HostKind] = {
    "jupyter-lab": "jupyterlab",
    "jupyterlab": "jupyterlab",
    "jupyter-notebook": "notebook",
    "notebook": "notebook",
    "nbconvert": "nbclient",
    "jupyter-nbconvert": "nbclient",
    "nbclient": "nbclient",
    "jupyter-execute": "nbclient",
    "jupyter-run": "nbclient",
    "papermill": "nbclient",
    "colab-guard": "nbclient",
    "colab_guard": "nbclient",
}
"""What starts kernels, as the name of a command or of a module behind `-m`."""
CULL = re.compile(r"--(?:\w+\.)?cull_idle_timeout=(\d+)")


@dataclass(frozen=True, slots=True)
class Host:
    """A host. `idle_rule` says in words when it ends an idle runtime.

    `working` is where notebooks work there, `fast_disk` where local stores are kept; `rules` has the rest, with sources.
    """

    kind: HostKind
    label: str
    idle_rule: str
    fast_disk: Path
    working: Path
    rules: Rules
    culls_after_s: float | None = None
    """What the server's command line says of `cull_idle_timeout`; None where it says nothing."""

    @property
    def limits(self) -> tuple[Limit, ...]:
        """The longest sessions that are known, with those for whom they hold."""
        return self.rules.limits

    @property
    def unattended(self) -> tuple[Fact, ...]:
        """The official ways to run for long without a page."""
        return self.rules.unattended


def detect(names: Mapping[str, object] | None = None) -> Host:
    """What this machine is: from environment variables, loaded modules, the parent process, and the notebook's `names`."""
    kind = _kind(_notebook_names() if names is None else names)
    rules = RULES[kind]
    culls = _culls_after_s(parent_command()) if kind in ("jupyterhub", "jupyterlab", "notebook", "jupyter") else None
    idle = rules.idle.words
    if culls:
        idle = f"ends a kernel after {culls:g} s without messages (cull_idle_timeout); a message each minute counts as activity"
    return Host(
        kind=kind,
        label=rules.label,
        idle_rule=idle,
        fast_disk=Path(rules.fast) if rules.fast else Path.home(),
        working=Path(rules.working.words) if rules.working.words else _here(),
        rules=rules,
        culls_after_s=culls,
    )


def page_fetches_widgets(names: Mapping[str, object] | None = None) -> bool:
    """Whether the page fetches its half of a widget by the version asked for: Colab's and VS Code's do, wherever the kernel runs."""
    return _is_colab() or _is_vscode(_notebook_names() if names is None else names)


def started_at() -> float:
    """When this runtime began (seconds since the epoch): its first process, which a container has of its own, or the boot.

    On Colab and Kaggle the machine may have stood ready before it was given to you, so what is left is rather more than less
    (not verified there).
    """
    try:
        return max(psutil.Process(1).create_time(), psutil.boot_time())
    except psutil.Error:  # another's process may not be looked at everywhere
        return psutil.boot_time()


@cache
def parent_command() -> tuple[str, ...]:
    """The command line of the process that started this one; () where it cannot be told."""
    try:
        return tuple(psutil.Process(os.getppid()).cmdline())
    except psutil.Error:
        return ()


def kind_by_command(command: Sequence[str]) -> HostKind | None:
    """What kind of host a kernel has whose parent was started by `command`; None where that says nothing.

    kind_by_command(["python", "-m", "jupyterlab", "--no-browser"])  ->  "jupyterlab"
    """
    for word in command[:3]:
        found = PROGRAMS.get(Path(word).name)
        if found is not None:
            return found
    return "nbclient" if any(word.startswith("--nbval") for word in command) else None


def _kind(names: Mapping[str, object]) -> HostKind:
    environment = os.environ
    if _is_colab():
        return "colab"
    if "KAGGLE_KERNEL_RUN_TYPE" in environment:
        return "kaggle"
    if SAGEMAKER_METADATA.exists():
        return "sagemaker"
    if "JUPYTERHUB_API_URL" in environment or "JUPYTERHUB_USER" in environment:
        return "jupyterhub"
    if "ipykernel.kernelapp" not in sys.modules and "ipykernel" not in sys.modules:
        return "terminal"
    if "COLAB_GUARD_NOTEBOOK" in environment:  # set by `colab-guard run` for its kernels
        return "nbclient"
    if _is_vscode(names):
        return "vscode"
    return kind_by_command(parent_command()) or "jupyter"


def _is_colab() -> bool:
    return "COLAB_RELEASE_TAG" in os.environ or "google.colab" in sys.modules


def _is_vscode(names: Mapping[str, object]) -> bool:
    """The second is all that there is where VS Code uses a server elsewhere."""
    return "VSCODE_PID" in os.environ or "__vsc_ipynb_file__" in names


def _here() -> Path:
    try:
        return Path.cwd()
    except FileNotFoundError:  # removed under us
        return Path.home()


def _culls_after_s(command: Sequence[str]) -> float | None:
    found = [match[1] for word in command if (match := CULL.fullmatch(word))]
    return float(found[-1]) if found and float(found[-1]) > 0 else None


def _notebook_names() -> Mapping[str, object]:
    ipython: Any = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    names: Mapping[str, object] = getattr(shell, "user_ns", {})
    return names


def kernel_notebook(shell: Any) -> str:
    """The notebook's path or id, where the environment tells it; "" where it does not."""
    told = os.environ.get("COLAB_GUARD_NOTEBOOK") or os.environ.get("JPY_SESSION_NAME")
    if told:
        return told
    names: dict[str, Any] = getattr(shell, "user_ns", {})
    return str(names.get("__vsc_ipynb_file__", ""))
