"""The format is what its documentation says, and stores of older versions stay readable."""

from __future__ import annotations

import gzip
import json
import re
import shutil
import struct
import sys
from pathlib import Path
from typing import Any

import pytest
from blake3 import blake3

import colab_guard.store
from colab_guard.errors import StoreTooNew
from colab_guard.store import Identity, Store, verify
from colab_guard.store.records import json_of
from colab_guard.store.view import FORMAT_VERSION
from tests.session.notebook import Kernel
from tests.store.formats.__main__ import CELL
from tests.store.test_store import draft, filled

FORMATS = Path(__file__).parent / "formats"
STORES = sorted(FORMATS.glob("*/store"))


# A reader that knows the documentation and nothing of colab_guard.


def chunks_of_pack(path: Path) -> dict[str, bytes]:
    data = path.read_bytes()
    listed = int.from_bytes(data[-48:-40], "little")
    hashed = {b"CGPACK01": data[:-40], b"CGPACK02": data[-48 - listed : -40]}[data[:8]]
    assert data[8:16] == bytes(8) and data[-8:] == b"CGPACKEN"
    assert blake3(hashed).digest() == data[-40:-8] and data[-40:-8].hex() == path.stem
    index = json.loads(data[-48 - listed : -48])
    assert sum(length for _, _, length in index) == len(data) - 16 - listed - 48
    found = {name: data[offset : offset + length] for name, offset, length in index}
    assert all(blake3(chunk).hexdigest() == name for name, chunk in found.items())
    return found


def content(entry: dict[str, Any], packs: dict[str, dict[str, bytes]]) -> bytes:
    data = b"".join(packs[pack][chunk] for chunk, pack in zip(entry["chunks"], entry["packs"], strict=True))
    assert len(data) == entry["size"] and len(entry["chunks"]) == -(-len(data) // 2**20)
    return data


def leases(store: Path) -> list[dict[str, Any]]:
    found = []
    for path in sorted((store / "leases").glob("*.json")):
        generation, hashed = path.stem.split("-")
        data = path.read_bytes()
        assert blake3(data).hexdigest()[:16] == hashed
        lease = json.loads(data)
        assert lease["generation"] == int(generation) and lease.keys() >= {"owner", "notebook", "continues", "created"}
        assert lease["owner"].keys() - {"ticks"} == {"pid", "started", "boot", "host"}
        found.append(lease)
    return found


def commits(store: Path) -> dict[tuple[int, int], dict[str, Any]]:
    """Records that count, by (generation, seq)."""
    found = {}
    for path in (store / "commits").glob("*.json"):
        generation, seq, hashed = path.stem.split("-")
        data = path.read_bytes()
        assert blake3(data).hexdigest()[:32] == hashed
        place = int(generation), int(seq)
        later = [lease["continues"] for lease in leases(store) if lease["generation"] > place[0]]
        if all(until is not None and place <= tuple(until) for until in later):
            found[place] = json.loads(gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data)
    return found


def read(store: Path) -> dict[str, Any]:
    """The newest commit's parts, buffers, files, and what finished units saved."""
    assert re.fullmatch(r"colab_guard store \d+\n", (store / "FORMAT").read_text())
    packs = {path.stem: chunks_of_pack(path) for path in (store / "packs").glob("*.pack")}
    records = commits(store)
    newest = records[max(records)]
    units = [record for _, record in sorted(records.items()) if record["unit"] is not None]
    return {
        "parts": {name: content(entry, packs) for name, entry in newest["parts"].items()},
        "buffers": {entry["key"]: content(entry, packs) for entry in newest["buffers"]},
        "files": {name: content(entry, packs) for name, entry in newest["files"].items()},
        "units": {one["unit"]["key"]: {name: content(entry, packs) for name, entry in one["unit_files"].items()} for one in units},
        "record": newest,
    }


@pytest.mark.parametrize("path", STORES, ids=lambda path: f"format {path.parent.name}")
def test_what_is_documented_is_enough_to_read_a_store(path: Path) -> None:
    found = read(path)
    loaded, passed = Store.view(path).newest()
    assert loaded is not None and passed == []
    assert found["parts"] == loaded.parts and found["buffers"] == {key: bytes(data) for key, data in loaded.buffers.items()}
    assert found["files"] == {"notes/file.txt": b"a file that the cell wrote\n"}
    assert found["units"] == {f"run{n}": {"adapter/weights.bin": b"a file that the cell wrote\n"} for n in range(2)}


def test_a_store_of_today_is_read_from_the_documentation_too(tmp_path: Path) -> None:
    written = filled(tmp_path / "s", 3)
    for number in range(2):
        opened = Store.open(tmp_path / "s", Identity("sweep", "/nb/sweep.ipynb"))
        opened.commit(draft(f"again {number}", written["commit 2"]))
        opened.close()
    found = read(tmp_path / "s")
    assert found["parts"]["graph"] == b"again 1" and found["buffers"]["b0"] == written["commit 2"]


def undocumented(record: dict[str, Any], parts: dict[str, bytes]) -> set[str]:
    """Names in a record and its parts that the documentation does not have."""
    told = colab_guard.store.__doc__ or ""
    table = json.loads(parts["blocks"])
    fields = {*record, *record["position"], *record["meta"], *table, *(key for group in table["groups"] if isinstance(group, dict) for key in group)}
    fields |= {key for entry in (*record["buffers"], *record["files"].values()) for key in entry}
    fields |= {key for told in record["meta"].get("inputs", {}).values() for key in told} | record["meta"].get("outside", {}).keys()
    fields |= json.loads(parts.get("outside", b"{}")).keys()
    short = (re.sub(r"^graph-\d\d$", "graph-NN", re.sub(r"^output/\d{6}$", "output/NNNNNN", name)) for name in parts)
    fields |= {"output/<hash>" if re.fullmatch(r"output/[0-9a-f]{8,}", name) else name for name in short}
    return {field for field in fields if f"`{field}`" not in told}


def test_every_field_of_a_record_and_of_a_lease_is_documented() -> None:
    told = colab_guard.store.__doc__ or ""
    for path in STORES:
        found = read(path)
        assert undocumented(found["record"], found["parts"]) == set()
        lease = leases(path)[0]
        assert {field for field in (*lease, *lease["owner"]) if f"`{field}`" not in told} == set()


RICH = """import os, sys, threading, torch
from IPython.display import display, Image
torch.manual_seed(0)
os.environ["MINE"] = "1"
os.chdir("inner")
sys.path.insert(0, os.getcwd())
print(len(os.environ["HF_TOKEN"]))
token, lock, letters = os.environ["HF_TOKEN"], threading.Thread(), {"a", "b", "c"}
few, many = torch.arange(5.0), torch.ones(3000)
view = few[1:3]
by_id = {id(few): "few"}
model = torch.nn.Linear(40, 40)
optimizer = torch.optim.AdamW(model.parameters())
file = open("notes.md", "w")
display(Image(data=bytes(range(256)) * 400, format="png"))
for i in range(4):
    file.write("x")
    optimizer.zero_grad()
    model(torch.ones(2, 40)).sum().backward()
    optimizer.step()
    here()
i"""


def test_every_name_in_a_commit_of_a_real_cell_is_documented_and_small_memory_is_read_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    (tmp_path / "cwd" / "inner").mkdir(parents=True)
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("HF_TOKEN", "hf_" + "aB3dE6gH9jK2mN5pQ8sT1vW4yZ7" * 2)
    monkeypatch.chdir(tmp_path / "cwd")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("MINE", "0")  # put back at the end
    kernel = Kernel()
    kernel.guarded(RICH, lose_at=4)
    kernel.session.close()
    found = read(tmp_path / "home" / "work")
    record, parts = found["record"], found["parts"]
    assert undocumented(record, parts) == set()
    assert {"graph-00", "graph", "addresses", "blocks", "small", "orders", "outside", "secrets", "output/index", "output/000000"} < parts.keys()
    assert undocumented({**record, "meta": {"other": 1}}, {**parts, "another": b""}) == {"other", "another"}
    table = json.loads(parts["blocks"])

    def block(key: str) -> bytes:
        place = table["blocks"][key]
        number, offset, nbytes = (place, 0, None) if isinstance(place, int) else place
        group = table["groups"][number]
        if isinstance(group, list):
            group = {"nbytes": group[0], "at": group[1]}
        data = found["buffers"][group["key"]] if "key" in group else parts["small"][group["at"] : group["at"] + group["nbytes"]]
        assert len(data) == group["nbytes"]
        return data[offset:][:nbytes]

    assert struct.pack("<5f", *range(5)) in [block(key) for key in table["blocks"]]
    assert struct.pack("<f", 1.0) * 3000 in [block(key) for key in table["blocks"]]


@pytest.mark.parametrize("path", STORES, ids=lambda path: f"format {path.parent.name}")
def test_a_store_of_an_older_version_verifies_and_goes_on(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert verify(path) == []
    shutil.copytree(path, tmp_path / "home" / "work")
    (tmp_path / "cwd").mkdir()
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "cwd")
    kernel = Kernel()
    try:
        assert kernel.guarded(CELL) == (45, [0, 3, 9, 18, 30, 45])
        assert kernel.depths == [1]
    finally:
        kernel.session.close()
    assert (tmp_path / "cwd" / "notes" / "file.txt").exists()
    assert verify(tmp_path / "home" / "work") == []
    # a store keeps its version, and those who know no newer one go on reading it
    before = {pack.name for pack in (path / "packs").iterdir()}
    packs = (tmp_path / "home" / "work" / "packs").iterdir()
    heads = {pack.read_bytes()[:8] for pack in packs if pack.name not in before}
    assert heads == {b"CGPACK02" if int(path.parent.name) >= 4 else b"CGPACK01"}


def test_a_committed_store_tells_nothing_of_the_machine_that_made_it() -> None:
    for path in (path for store in STORES for path in store.rglob("*") if path.is_file()):
        assert not re.search(rb"/(tmp|home|root|work)/", json_of(path.read_bytes())), path.name


def test_a_store_of_a_newer_version_is_refused_in_one_line(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    (tmp_path / "s" / "FORMAT").write_text(f"colab_guard store {FORMAT_VERSION + 1}\n")
    for look in (Store.view, lambda path: Store.open(path, Identity("sweep", ""))):
        with pytest.raises(StoreTooNew, match="upgrade colab_guard") as caught:
            look(tmp_path / "s")
        assert "\n" not in str(caught.value)


@pytest.mark.parametrize("mark", ["released 1 2\n", "released\n"])
def test_a_mark_of_the_first_version_had_no_digits_and_counts_without_a_key(mark: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 2, 5000)
    next((tmp_path / "s" / "leases").glob("*.released")).write_text(mark)
    assert verify(tmp_path / "s") == []
    assert Store.view(tmp_path / "s").leases[-1].released
    monkeypatch.setenv("COLAB_GUARD_KEY", "the user's key")
    assert any("given back" in line or "not signed" in line for line in verify(tmp_path / "s"))
