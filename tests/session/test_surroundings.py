"""Other versions, devices and threads: named once, carried along, and a missing GPU refused by name."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from colab_guard import state
from colab_guard.errors import CannotResume, DeviceMissing, PythonChanged
from colab_guard.session import checkpointing, surroundings
from colab_guard.store.records import json_of
from tests.session.notebook import Kernel

New = Callable[..., Kernel]

CELL = "out = []\nfor i in range(9):\n    out.append(torch.ones(2).sum().item())\n    here()\nlen(out)"
OLD = ({"python": "3.11.7", "torch": "2.12.0", "numpy": "2.1.0"}, {"machine": "x86_64", "used": ["torch"], "threads": 2, "vectors": "avx2", "blas": "2"})


@pytest.mark.parametrize(
    ("versions", "facts", "expected"),
    [
        ({}, {}, []),
        ({"python": "3.11.9"}, {}, []),
        ({"python": "3.12.1"}, {}, ["Python 3.11 → 3.12"]),
        ({"torch": "2.13.0"}, {}, ["torch 2.12.0 → 2.13.0"]),
        ({"numpy": "2.2.0"}, {}, []),
        ({}, {"threads": 8}, ["torch's threads 2 → 8"]),
        ({}, {"machine": "arm64"}, ["processor x86_64 → arm64"]),
        ({}, {"vectors": "avx512f"}, ["the processor's vector instructions avx2 → avx512f"]),
        ({}, {"blas": "8"}, []),
    ],
)
def test_what_decides_about_bits_is_named_and_nothing_else(versions: dict[str, str], facts: dict[str, Any], expected: list[str]) -> None:
    assert surroundings.compare(*OLD, OLD[0] | versions, OLD[1] | facts) == expected


def test_threads_of_numpys_products_are_named_where_torch_was_not_used() -> None:
    old = {"machine": "x86_64", "used": ["numpy"], "vectors": "avx2", "blas": "2"}
    assert surroundings.compare({}, old, {}, old | {"blas": "8"}) == ["threads of matrix products 2 → 8"]
    assert surroundings.compare({}, old | {"used": []}, {}, old | {"blas": "8", "vectors": "avx512f"}) == []
    assert {"vectors", "blas"} <= surroundings.facts().keys()


def test_devices_that_held_memory_are_named() -> None:
    old = OLD[1] | {"devices": {"cuda:0": "Tesla T4"}}
    assert surroundings.compare(OLD[0], old, OLD[0], OLD[1] | {"devices": {"cuda:0": "NVIDIA A100"}}) == ["cuda:0 Tesla T4 → NVIDIA A100"]
    assert surroundings.compare(OLD[0], old, OLD[0], OLD[1] | {"devices": {}}) == ["cuda:0 Tesla T4 → CPU"]
    assert surroundings.compare(OLD[0], OLD[1], OLD[0], old) == []


def test_a_resume_that_is_not_bit_exact_is_said_once_and_carried_along(
    new_kernel: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert new_kernel("import torch").guarded(CELL, lose_at=3) is None
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    try:
        second = new_kernel("import torch")
        assert second.guarded(CELL, lose_at=3) is None
        assert second.inexact == [f"torch's threads {threads} → {threads + 1}"]
        third = new_kernel("import torch")
        assert third.guarded(CELL) == 9
        assert third.inexact == second.inexact, "it is told as what happened before"
    finally:
        torch.set_num_threads(threads)
    newest = _newest(tmp_path)
    assert newest["inexact"] == second.inexact
    assert newest["surroundings"]["used"][0] == "torch"


def _newest(tmp_path: Path) -> dict[str, Any]:
    records = sorted((tmp_path / "home" / "work" / "commits").glob("*.json"))
    meta: dict[str, Any] = json.loads(json_of(records[-1].read_bytes()))["meta"]
    return meta


GPU = """
model = torch.nn.Linear(3, 2)
device, place = "cuda", torch.device("cpu")
settings = {"device": "cuda:0", "other": "cuda"}
"""


def test_tensors_of_a_device_that_is_not_here_are_refused_by_name_and_resume_maps_them(
    new_kernel: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    cell = "seen = []\nfor i in range(6):\n    seen.append(model(torch.ones(1, 3)).detach().sum().item())\n    here()\n(seen, device, settings)"
    assert new_kernel("import torch", GPU).guarded(cell, lose_at=4) is None

    load = checkpointing.store.Store.newest

    def as_if_saved_on_a_gpu(self: Any) -> Any:
        loaded, passed = load(self)
        if loaded is not None and loaded.record.kind != "cell":
            table = json.loads(loaded.parts["blocks"])
            # small blocks of the host's stand in a short form: bytes, place, and flags
            short = [group if isinstance(group, dict) else dict(zip(("nbytes", "at", "flags"), group, strict=True)) for group in table["groups"]]
            table["groups"] = [{"torch": bool(g.get("flags", 0) & 1), "sole": g.get("flags", 0) > 1, "device": "cpu", **g} for g in short]
            for group in table["groups"]:
                group["device"] = "cuda:0" if group["torch"] and group["nbytes"] < 64 else group["device"]
            loaded.parts["blocks"] = json.dumps(table).encode()
        return loaded, passed

    monkeypatch.setattr(checkpointing.store.Store, "newest", as_if_saved_on_a_gpu)
    with pytest.raises(DeviceMissing, match=r"tensors on cuda:0, which this machine does not have; .* --resume maps them to the CPU"):
        new_kernel("import torch", GPU).guarded(cell)
    mapped = new_kernel("import torch", GPU)
    seen, device, settings = mapped.guarded(cell, resume=True)
    assert "cuda:0 → CPU" in mapped.inexact
    assert len(seen) == 6 and len(set(seen)) == 1
    assert device == "cpu" and settings == {"device": "cpu", "other": "cuda"}
    assert state.mapping.MAPPED == {}


def test_code_of_another_python_is_refused_before_it_can_end_the_kernel(new_kernel: New, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = "f = lambda x: x + 1\nfor i in range(5):\n    v = f(i)\n    here()\nv"
    plain = "for i in range(5):\n    v = i\n    here()\nv"
    assert new_kernel().guarded(cell, lose_at=3) is None
    monkeypatch.setattr(surroundings.platform, "python_version", lambda: "3.99.0")
    with pytest.raises(PythonChanged, match=r"instructions .* which Python 3\.99 cannot run; .* --fresh"):
        new_kernel().guarded(cell, resume=True)
    monkeypatch.undo()
    assert new_kernel().guarded(plain, fresh=True, lose_at=3) is None
    monkeypatch.setattr(surroundings.platform, "python_version", lambda: "3.99.0")
    kernel = new_kernel()
    assert kernel.guarded(plain) == 4
    assert kernel.inexact[0].endswith("→ 3.99")


@pytest.mark.parametrize("opaque", [True, False])
def test_a_pass_that_is_made_again_and_cannot_be_compared_is_said(new_kernel: New, opaque: bool) -> None:
    setup = f"from tests.session.notebook import Stream\nstream = Stream(6, {opaque})"
    cell = "out = []\nfor item in stream:\n    out.append(getattr(item, 'number', item))\n    here()\nout"
    assert new_kernel(setup).guarded(cell, lose_at=4) is None
    kernel = new_kernel(setup)
    assert kernel.guarded(cell, lose_at=2) is None
    told = [reason for reason in kernel.inexact if "cannot be compared" in reason]
    assert told == (["the loop at line 3 was led past 3 items again, and items of its kind (tests.session.notebook.Opaque) cannot be compared with those of before"] if opaque else [])
    again = new_kernel(setup)
    assert again.guarded(cell) == [0, 1, 2, 3, 4, 5]
    assert len([reason for reason in again.inexact if "led past 3 items" in reason]) == opaque, "it is carried along"


def test_a_pass_that_ends_earlier_than_before_is_refused(new_kernel: New) -> None:
    setup = "from tests.session.notebook import Stream\nstream = Stream(6)"
    cell = "for item in stream:\n    stream.count = 1\n    here()\n"
    assert new_kernel(setup).guarded(cell, lose_at=4) is None
    with pytest.raises(CannotResume, match="gave other items"):
        new_kernel(setup).guarded(cell)
