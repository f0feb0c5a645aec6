"""What a record says leads nowhere but into the store: hostile records, whole by their hashes, are passed over and said."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from colab_guard.cli import main
from colab_guard.errors import ForeignStore, StoreDamaged
from colab_guard.store import Store, packs, verify
from colab_guard.store.names import is_inside
from colab_guard.store.records import json_of, read_record
from tests.store.test_store import ME, draft, filled

Alter = Callable[[dict[str, Any]], object]
CHUNK = "0" * 64
LEASE = b'{"generation": 9, "owner": {"pid": %b, "started": 1, "boot": "", "host": ""}, "notebook": "", "continues": %b, "created": %b}'
MADE = [(b"1e999", b"null", b"1"), (b"1", b"[1e999, 0]", b"1"), (b"1", b"null", b"9" * 400), (b"1", b"null", b"NaN")]


def entry(**more: Any) -> dict[str, Any]:
    return {"size": 1, "chunks": [CHUNK], "packs": [CHUNK], "mode": 0o644, **more}


def altered(path: Path, alter: Alter, seq: int = 9) -> Path:
    """A commit like the newest one of the store at `path`, newer and altered, with a name that fits its bytes."""
    record = Store.view(path).commits()[0]
    content = json.loads(json_of((path / "commits" / f"{record.id}.json").read_bytes()))
    content["seq"] = seq
    alter(content)
    data = json.dumps(content).encode()
    written = path / "commits" / f"{record.generation:08d}-{seq:010d}-{packs.digest(data)[:32]}.json"
    written.write_bytes(data)
    return written


HOSTILE: dict[str, Alter] = {
    "a file above the folder": lambda c: c["files"].update({"../x": entry()}),
    "a file above, further in": lambda c: c["files"].update({"a/../../x": entry()}),
    "an absolute file": lambda c: c["files"].update({"/etc/x": entry()}),
    "an empty name": lambda c: c["files"].update({"": entry()}),
    "a name with NUL": lambda c: c["files"].update({"a\0b": entry()}),
    "the folder itself": lambda c: c["files"].update({".": entry()}),
    "a unit's file above": lambda c: c["unit_files"].update({"../x": entry()}),
    "rights of another owner": lambda c: c["files"].update({"x": entry(mode=0o4755)}),
    "a pack elsewhere": lambda c: c["parts"].update({"graph": entry(packs=["../../x"])}),
    "a pack of another length": lambda c: c["parts"].update({"graph": entry(packs=["ab"])}),
    "a pack that is no text": lambda c: c["parts"].update({"graph": entry(packs=[7])}),
    "a chunk that is none": lambda c: c["parts"].update({"graph": entry(chunks=["../" + "0" * 61])}),
    "fewer packs than chunks": lambda c: c["parts"].update({"graph": entry(packs=[])}),
    "a negative size": lambda c: c["parts"].update({"graph": entry(size=-1)}),
    "a huge size": lambda c: c["parts"].update({"graph": entry(size=2**70)}),
    "a size that its chunks do not have": lambda c: c["parts"].update({"graph": entry(size=2**30)}),
    "a size that is no number": lambda c: c["parts"].update({"graph": entry(size="1")}),
    "parts that are a list": lambda c: c.update(parts=[]),
    "a buffer without a key": lambda c: c["buffers"].append(entry()),
    "an unknown kind": lambda c: c.update(kind="../x"),
    "a negative total": lambda c: c.update(bytes_total=-1),
    "a parent that is none": lambda c: c.update(parent="../../x"),
    "a unit without a key": lambda c: c.update(unit={"group": "g"}),
    "no position": lambda c: c.pop("position"),
    "no parent": lambda c: c.pop("parent"),
    "no unit": lambda c: c.pop("unit"),
    "made at the end of time": lambda c: c.update(created=float("inf")),
    "made at no time": lambda c: c.update(created=float("nan")),
    "made in a number of 400 digits": lambda c: c.update(created=10**400),
    "what is inexact is a number": lambda c: c["meta"].update(inexact=5),
    "a shape that is a number": lambda c: c["buffers"].append(entry(key="b", shape=5)),
    "a file's name that is no text": lambda c: c["files"].update({"a\ud800": entry()}),
    "a position that is a list": lambda c: c.update(position=[]),
}


@pytest.mark.parametrize("alter", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_record_is_passed_over_and_said(tmp_path: Path, alter: Alter) -> None:
    filled(tmp_path / "s", 2, 5000)
    written = altered(tmp_path / "s", alter)
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is not None and loaded.parts["graph"] == b"commit 1"
    assert [step.commit for step in passed] == [written.stem] and "\n" not in passed[0].reason
    assert any(written.stem in line for line in verify(tmp_path / "s"))
    store = Store.open(tmp_path / "s", ME)
    store.commit(draft("later"))
    store.close()


@pytest.mark.parametrize("data", [b"[]", b"7", b"null", b'"x"', b"[" * 100_000, b"{}", b"\xff\xfe", b'{"generation": NaN}'])
def test_a_record_that_is_other_json_is_passed_over(tmp_path: Path, data: bytes) -> None:
    filled(tmp_path / "s", 1, 5000)
    name = f"{1:08d}-{9:010d}-{packs.digest(data)[:32]}"
    (tmp_path / "s" / "commits" / f"{name}.json").write_bytes(data)
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is not None and [step.commit for step in passed] == [name]


@pytest.mark.parametrize("data", [b"[]", b"{}", b"[" * 100_000, b'{"owner": {}, "generation": 9, "continues": 7}', *(LEASE % x for x in MADE)])
def test_a_lease_that_is_other_json_is_said(tmp_path: Path, data: bytes) -> None:
    filled(tmp_path / "s", 1, 5000)
    (tmp_path / "s" / "leases" / f"{9:08d}-{packs.digest(data)[:16]}.json").write_bytes(data)
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert loaded is not None and any("lease" in step.reason for step in passed)


@pytest.mark.parametrize("part", ["packs", "commits", "leases"])
def test_links_in_a_store_are_not_followed(tmp_path: Path, part: str) -> None:
    filled(tmp_path / "s", 1, 5000)
    path = next(path for path in (tmp_path / "s" / part).iterdir() if path.suffix != ".released")
    os.rename(path, tmp_path / path.name)
    path.symlink_to(tmp_path / path.name)
    loaded, passed = Store.view(tmp_path / "s").newest()
    assert passed and (loaded is None or part == "leases")
    assert verify(tmp_path / "s")


def test_a_folder_of_a_store_that_is_a_link_is_refused(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    os.rename(tmp_path / "s" / "packs", tmp_path / "elsewhere")
    (tmp_path / "s" / "packs").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ForeignStore, match="packs is a link"):
        Store.view(tmp_path / "s")
    with pytest.raises(ForeignStore, match="packs is a link"):
        Store.open(tmp_path / "s", ME)


def test_a_pipe_in_place_of_a_file_is_not_waited_for(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    path = next((tmp_path / "s" / "packs").iterdir())
    path.unlink()
    os.mkfifo(path)
    assert Store.view(tmp_path / "s").newest()[0] is None


@pytest.mark.parametrize("where", [[0, 4], [-5, 4], [16, -1], [16, 2**40], [2**70, 1], ["x", 1], [float("inf"), 4], [16, float("nan")]])
@pytest.mark.parametrize("head", [packs.BY_BYTES, packs.BY_INDEX])
def test_a_packs_index_that_leads_out_of_it_is_damage(tmp_path: Path, where: list[Any], head: bytes) -> None:
    with pytest.raises(StoreDamaged, match="index"):
        packs.open_pack(pack_of(tmp_path, head, [[CHUNK, *where]]))


def pack_of(folder: Path, head: bytes, index: list[Any], data: bytes = b"data") -> Path:
    """A pack that says of itself what `index` says."""
    listing = json.dumps(index).encode()
    ending = listing + len(listing).to_bytes(8, "little")
    name = packs.digest(ending if head == packs.BY_INDEX else head + data + ending)
    path = folder / f"{name}.pack"
    path.write_bytes(head + data + ending + bytes.fromhex(name) + packs.END)
    return path


def test_a_pack_holds_nothing_but_its_chunks(tmp_path: Path) -> None:
    data, rest = b"one" + b"two", b"and more"
    one, two = packs.digest(b"one"), packs.digest(b"two")
    packs.verify_pack(pack_of(tmp_path, packs.BY_INDEX, [[one, 16, 3], [two, 19, 3]], data))
    for index in ([[one, 16, 3], [two, 19, 3]], [[two, 19, 3]], [[one, 16, 3], [one, 16, 3]], []):
        with pytest.raises(StoreDamaged, match="leaves bytes out"):
            packs.open_pack(pack_of(tmp_path, packs.BY_INDEX, index, data + rest))
    with pytest.raises(StoreDamaged, match="is damaged"):
        packs.verify_pack(pack_of(tmp_path, packs.BY_INDEX, [[two, 16, 3], [one, 19, 3]], data))
    packs.verify_pack(pack_of(tmp_path, packs.BY_INDEX, [], b""))


@pytest.mark.parametrize("piece", [1, 7, 64, 1000])
def test_a_pack_is_checked_in_pieces_of_any_size(tmp_path: Path, piece: int) -> None:
    chunks = [bytes([n]) * (n * 37 + 1) for n in range(12)]
    for version in (packs.BY_INDEX_SINCE - 1, packs.BY_INDEX_SINCE):
        made = packs.write_pack(tmp_path, [(packs.digest(chunk), memoryview(chunk)) for chunk in chunks], version)
        whole = made.path.read_bytes()

        def check(data: bytes) -> None:
            parts = (data[at : at + piece] for at in range(0, len(data), piece))
            packs.check_pack(made.id, len(data), lambda at, length: data[at : at + length], parts)

        check(whole)
        for at in range(len(whole)):
            with pytest.raises(StoreDamaged):
                check(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        for cut in (0, 1, 15, 16, 40, len(whole) - 1):
            with pytest.raises(StoreDamaged):
                check(whole[:cut])


@pytest.mark.parametrize("name", ["a", "a/b", ".hidden", "a..b", "..a", "a b/ö.txt"])
def test_names_inside_are_inside(name: str) -> None:
    assert is_inside(name)


def test_a_record_that_unzips_to_more_than_any_is_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 1)
    monkeypatch.setattr("colab_guard.store.records.MOST_BYTES", 1000)
    data = gzip.compress(json.dumps({"x": "y" * 2000}).encode())
    name = f"00000001-{9:010d}-{packs.digest(data)[:32]}"
    (tmp_path / "s" / "commits" / f"{name}.json").write_bytes(data)
    with pytest.raises(StoreDamaged, match="longer than any"):
        read_record(tmp_path / "s" / "commits" / f"{name}.json")


@pytest.mark.parametrize("alter", [lambda data: data[:-3], lambda data: data + b"x", lambda data: data[:30] + b"?" + data[31:]])
def test_a_record_that_is_not_whole_gzip_is_damaged(alter: Callable[[bytes], bytes]) -> None:
    assert json_of(gzip.compress(b"{}" * 500)) == b"{}" * 500 and json_of(b"{}") == b"{}"
    with pytest.raises(StoreDamaged):
        json_of(alter(gzip.compress(b"{}" * 500)))


def test_an_index_that_says_it_is_gigabytes_long_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / f"{CHUNK}.pack"
    with path.open("wb") as file:
        file.write(packs.BY_INDEX)
        file.truncate(2**33)
        file.seek(2**33)
        file.write((2**33 - 100).to_bytes(8, "little") + bytes.fromhex(CHUNK) + packs.END)
    began = time.monotonic()
    with pytest.raises(StoreDamaged, match="cut short or damaged"):
        packs.open_pack(path)
    assert time.monotonic() - began < 1


@pytest.mark.parametrize("word", [["verify"], ["show"], ["show", "--json"], ["show", "--all"], ["export", "--to", "out"]])
def test_the_terminals_words_say_in_one_line_what_a_hostile_store_is(
    word: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    filled(tmp_path / "s", 1, 5000)
    record = Store.view(tmp_path / "s").commits()[0]
    altered(tmp_path / "s", lambda c: c.update(created=float("inf")))
    altered(tmp_path / "s", lambda c: c["files"].update({"a": c["parts"]["graph"] | {"mode": 0o644}, "a/b": c["parts"]["graph"] | {"mode": 0o644}}), 10)
    assert main([word[0], "s", *word[1:]]) in (0, 1)
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err
    if word[0] == "export":
        assert "not exported: files/a/b" in said.err and (tmp_path / "out/files/a").is_file()
    (tmp_path / "s" / "commits" / f"{record.id}.json").write_bytes(b"")
    for path in (tmp_path / "s" / "commits").iterdir():
        path.unlink()
    assert main([word[0], "s", *word[1:]]) in (0, 1, 2)  # a store in which nothing was saved yet
    shutil.rmtree(tmp_path / "s" / "commits")
    (tmp_path / "s" / "commits").write_bytes(b"")
    assert main([word[0], "s", *word[1:]]) in (1, 2)
    said = capsys.readouterr()
    assert "Traceback" not in said.out + said.err and said.err.splitlines()[-1].startswith("colab-guard: ")
