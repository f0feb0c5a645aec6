"""Which host this is, and what it really allows (sources: the hosts' own documentation and measurements)."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

HostKind = Literal["colab", "kaggle", "jupyterhub", "sagemaker", "jupyter", "terminal"]
HOUR_S = 3600.0


@dataclass(frozen=True, slots=True)
class Host:
    """A host. `idle_rule` says in words when it ends an idle runtime; `hard_limit_s` is its longest session, if known."""

    kind: HostKind
    label: str
    idle_rule: str
    hard_limit_s: float | None
    fast_disk: Path


def detect() -> Host:
    """What this machine is, from environment variables and loaded modules only."""
    kind = _kind()
    label, idle_rule, hard_limit_s = RULES[kind]
    return Host(kind, label, idle_rule, hard_limit_s, Path("/content") if kind == "colab" else Path.home())


RULES: dict[HostKind, tuple[str, str, float | None]] = {
    "colab": (
        "Google Colab",
        "ends about 90 min after the page was last active; a busy cell with an open tab is the intended use, and nothing "
        "inside the machine can extend it",
        12 * HOUR_S,
    ),
    "kaggle": (
        "Kaggle",
        "ends after 20 min without activity in the page; 'Save & Run All' runs without a page",
        12 * HOUR_S,
    ),
    "jupyterhub": (
        "JupyterHub",
        "may end kernels without messages (cull_idle_timeout); a message each minute counts as activity, a limit on age "
        "does not move",
        None,
    ),
    "sagemaker": (
        "SageMaker Studio",
        "may end kernels without messages; a message each minute counts as activity",
        None,
    ),
    "jupyter": ("Jupyter", "ends nothing unless cull_idle_timeout is set; a message each minute counts as activity", None),
    "terminal": ("a terminal", "ends nothing by itself", None),
}


def _kind() -> HostKind:
    environment = os.environ
    if "COLAB_RELEASE_TAG" in environment or "google.colab" in sys.modules:
        return "colab"
    if "KAGGLE_KERNEL_RUN_TYPE" in environment:
        return "kaggle"
    if "JUPYTERHUB_API_URL" in environment or "JUPYTERHUB_USER" in environment:
        return "jupyterhub"
    if Path("/opt/ml/metadata/resource-metadata.json").exists():
        return "sagemaker"
    return "jupyter" if "ipykernel.kernelapp" in sys.modules or "ipykernel" in sys.modules else "terminal"


def kernel_notebook(shell: Any) -> str:
    """The notebook's path or id, where the environment tells it; "" where it does not."""
    told = os.environ.get("COLAB_GUARD_NOTEBOOK") or os.environ.get("JPY_SESSION_NAME")
    if told:
        return told
    names: dict[str, Any] = getattr(shell, "user_ns", {})
    return str(names.get("__vsc_ipynb_file__", ""))
