"""Each host: how it is known, and what is known of it, with the source."""

from __future__ import annotations

import inspect
import json
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from types import SimpleNamespace
from typing import Any, get_args

import psutil
import pytest

from colab_guard import hosts
from colab_guard.hosts import Fact, HostKind, colab
from colab_guard.hosts.fake_colab import FakeColab, RuntimeManagementError, SecretNotFoundError
from colab_guard.hosts.rules import RULES

detect: Any = sys.modules["colab_guard.hosts.detect"]  # the module, which the function of its name hides
TOLD_BY = ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", "JUPYTERHUB_API_URL", "JUPYTERHUB_USER", "VSCODE_PID", "COLAB_GUARD_NOTEBOOK")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A kernel, and nothing that tells more."""
    for name in TOLD_BY:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setitem(sys.modules, "ipykernel", SimpleNamespace())  # type: ignore[arg-type]
    monkeypatch.setattr(detect, "SAGEMAKER_METADATA", tmp_path / "resource-metadata.json")
    monkeypatch.setattr(detect, "parent_command", lambda: ())


def started_by(monkeypatch: pytest.MonkeyPatch, *command: str) -> hosts.Host:
    monkeypatch.setattr(detect, "parent_command", lambda: command)
    return hosts.detect({})


def test_every_kind_has_rules_and_every_fact_its_source() -> None:
    assert set(RULES) == set(get_args(HostKind))
    for rules in RULES.values():
        facts = [value for field in fields(rules) if isinstance(value := getattr(rules, field.name), Fact)]
        assert len(facts) == 7
        for fact in [*facts, *rules.unattended]:
            assert fact.source and (fact.words or fact is rules.working), rules.label
        assert all(limit.source and limit.seconds > 0 for limit in rules.limits)
        assert rules.unattended, "there is always a way without a page"


@pytest.mark.parametrize(
    ("variable", "kind", "heartbeat", "working"),
    [
        ("COLAB_RELEASE_TAG", "colab", "counts not", "/content"),
        ("KAGGLE_KERNEL_RUN_TYPE", "kaggle", "counts not", "/kaggle/working"),
        ("JUPYTERHUB_API_URL", "jupyterhub", "counts", None),
        ("JUPYTERHUB_USER", "jupyterhub", "counts", None),
        ("VSCODE_PID", "vscode", "counts", None),
        ("COLAB_GUARD_NOTEBOOK", "nbclient", "not needed", None),
    ],
)
def test_a_host_that_says_so_in_the_environment(
    variable: str, kind: str, heartbeat: str, working: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, "x")
    found = hosts.detect({})
    assert (found.kind, found.rules.heartbeat) == (kind, heartbeat)
    assert found.working == (Path(working) if working else Path.cwd())


def test_sagemaker_is_known_by_its_metadata(tmp_path: Path) -> None:
    (tmp_path / "resource-metadata.json").write_text("{}")
    assert hosts.detect({}).kind == "sagemaker"


def test_vs_code_is_known_by_the_name_that_it_gives_the_notebook() -> None:
    assert hosts.detect({"__vsc_ipynb_file__": "/a.ipynb"}).kind == "vscode"


@pytest.mark.parametrize(
    ("command", "kind"),
    [
        (("/usr/bin/python3", "/usr/bin/jupyter-lab", "--no-browser"), "jupyterlab"),
        (("python", "-m", "jupyterlab"), "jupyterlab"),
        (("/opt/bin/python", "/opt/bin/jupyter-notebook"), "notebook"),
        (("python", "-m", "notebook", "--port=1"), "notebook"),
        (("python", "/bin/jupyter-nbconvert", "--execute", "a.ipynb"), "nbclient"),
        (("python", "/bin/papermill", "a.ipynb", "b.ipynb"), "nbclient"),
        (("python", "/bin/jupyter-execute", "a.ipynb"), "nbclient"),
        (("python", "/bin/pytest", "--nbval-lax", "a.ipynb"), "nbclient"),
        (("python", "/bin/jupyter-server"), "jupyter"),
        (("bash",), "jupyter"),
        ((), "jupyter"),
    ],
)
def test_other_kernels_are_told_apart_by_what_started_them(
    command: tuple[str, ...], kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert started_by(monkeypatch, *command).kind == kind


def test_without_a_kernel_it_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("ipykernel", "ipykernel.kernelapp"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert hosts.detect({}).kind == "terminal"


def test_a_servers_own_limit_is_read_from_its_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    told = started_by(monkeypatch, "python", "-m", "jupyterlab", "--MappingKernelManager.cull_idle_timeout=20")
    assert told.culls_after_s == 20 and "after 20 s without messages" in told.idle_rule
    assert started_by(monkeypatch, "python", "-m", "jupyterlab", "--cull_idle_timeout=0").culls_after_s is None


def test_the_runtime_began_after_the_boot_and_before_now() -> None:
    assert psutil.boot_time() <= hosts.started_at() <= __import__("time").time()


def test_only_colab_gives_a_machine_back(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(hosts.NotReleased, match="only Colab"):
        hosts.release()
    with FakeColab() as machine:
        machine.refuses = "Unable to request VM unassignment."
        with pytest.raises(hosts.NotReleased, match="RuntimeManagementError: Unable to request VM unassignment"):
            hosts.release()
        assert not machine.unassigned
        machine.refuses = ""
        hosts.release()
        assert machine.unassigned and machine.evaluated == ["google.colab.kernel.disconnect();"]


def test_a_file_is_handed_to_the_browser_on_colab_and_stays_on_disk_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "results.zip").write_bytes(b"x")
    assert "on this machine's disk" in hosts.download(tmp_path / "results.zip")
    with FakeColab() as machine:
        assert hosts.download(tmp_path / "results.zip") == ""
        assert machine.downloaded == [tmp_path / "results.zip"]
        assert "Cannot find file" in hosts.download(tmp_path / "nothing")


# name → parameters with their defaults, as in github.com/googlecolab/colabtools (google/colab)
SIGNATURES: dict[str, str] = {
    "drive.mount": "(mountpoint, force_remount=False, timeout_ms=120000, readonly=False)",
    "drive.flush_and_unmount": "(timeout_ms=86400000)",
    "files.download": "(filename)",
    "runtime.unassign": "()",
    "userdata.get": "(key)",
    "output.enable_custom_widget_manager": "(version='5.0.0a')",
    "output.eval_js": "(script, ignore_result=False, timeout_sec=None)",
}


@pytest.mark.parametrize(("name", "signature"), SIGNATURES.items())
def test_the_fake_has_the_real_signatures(name: str, signature: str) -> None:
    with FakeColab():
        part, function = name.split(".")
        module: Any = __import__(f"google.colab.{part}", fromlist=[function])
        found = inspect.signature(getattr(module, function))
        bare = [parameter.replace(annotation=inspect.Parameter.empty) for parameter in found.parameters.values()]
        assert str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty)) == signature


def test_the_fake_has_the_real_errors() -> None:
    with FakeColab() as machine:
        errors: Any = __import__("google.colab.errors", fromlist=["Error"])
        userdata: Any = __import__("google.colab.userdata", fromlist=["get"])
        assert issubclass(errors.RuntimeManagementError, errors.Error)
        assert (errors.RuntimeManagementError, userdata.SecretNotFoundError) == (RuntimeManagementError, SecretNotFoundError)
        with pytest.raises(userdata.SecretNotFoundError, match="Secret HF does not exist"):
            userdata.get("HF")
        with pytest.raises(ValueError, match="must not contain a space"):
            machine.mount("/a b")
    assert colab._part("runtime", "unassign") is None


@pytest.mark.parametrize("module", ["nbconvert", "nbclient.cli"])
def test_a_real_program_that_executes_a_notebook_is_known(module: str, tmp_path: Path) -> None:
    code = "from colab_guard import hosts\nprint('this is', hosts.detect().kind)"
    cell = {"cell_type": "code", "id": "a", "metadata": {}, "source": code, "execution_count": None, "outputs": []}
    path = tmp_path / "a.ipynb"
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    path.write_text(json.dumps({"nbformat": 4, "nbformat_minor": 5, "metadata": {"kernelspec": kernel}, "cells": [cell]}))
    scripts = Path(sys.executable).parent
    command = {
        "nbconvert": [sys.executable, "-m", "nbconvert", "--to", "notebook", "--execute", "--inplace", str(path)],
        "nbclient.cli": [sys.executable, str(scripts / "jupyter-execute"), "--inplace", str(path)],
    }[module]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2]), "IPYTHONDIR": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    outputs = json.loads(path.read_text())["cells"][0]["outputs"]
    assert "".join(text for output in outputs for text in output.get("text", ())) == "this is nbclient\n"
