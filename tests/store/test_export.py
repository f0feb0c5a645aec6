"""A store's contents in open formats: whole, nothing unpickled, nothing written anywhere else."""

from __future__ import annotations

import json
import os
import pickle
import re
import stat
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file

from colab_guard import store
from colab_guard.cli import main
from colab_guard.errors import UserMistake
from colab_guard.store import BufferDraft, CommitDraft, Store, export, verify
from tests.store.test_store import ME, draft, filled

exporting = sys.modules["colab_guard.store.export"]


class Bomb:
    """Unpickled, it leaves a mark."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.mark),)


def buffer(key: str, array: np.ndarray, label: str, **more: Any) -> BufferDraft:
    size = array.itemsize
    told = {"dtype": str(array.dtype), "shape": array.shape, "stride": tuple(step // size for step in array.strides), **more}
    return BufferDraft(key, array.ravel(order="K").tobytes(), label=label, **told)


def tensors_of(tmp_path: Path, *buffers: BufferDraft) -> tuple[dict[str, Any], dict[str, str]]:
    opened = Store.open(tmp_path / "s", ME)
    opened.commit(CommitDraft("step", {"text": "here"}, {"graph": b"x"}, buffers))
    opened.close()
    export(tmp_path / "s", tmp_path / "out")
    told = json.loads((tmp_path / "out" / "export.json").read_text())
    return load_file(tmp_path / "out" / "tensors.safetensors"), {one["name"]: one["how"] for one in told["tensors"]}


def test_tensors_have_their_labels_types_and_shapes(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    weight = random.normal(size=(40, 30)).astype("float32")
    turned = np.asfortranarray(random.normal(size=(7, 5, 6)))
    flags = random.integers(0, 2, (3, 500)).astype(bool)
    found, how = tensors_of(
        tmp_path, buffer("a", weight, "model.weight"), buffer("b", turned, "turned"), buffer("c", flags, ""), buffer("d", flags, "model.weight")
    )
    assert how == {"model.weight": "whole", "turned": "put in order", "c": "whole", "model.weight@d": "whole"}
    for name, array in {"model.weight": weight, "turned": turned, "c": flags, "model.weight@d": flags}.items():
        assert found[name].dtype == array.dtype and np.array_equal(found[name], array)


def test_what_no_tensor_can_say_is_written_as_it_lies(tmp_path: Path) -> None:
    whole = np.arange(24.0)
    parts = np.arange(6, dtype="complex128")
    found, how = tensors_of(
        tmp_path,
        buffer("a", whole, "a part of it", shape=(2, 3)),
        buffer("b", whole, "odd steps", shape=(24,), stride=(7,)),
        buffer("c", parts, "complex"),
        buffer("d", whole, "hostile", shape=(-1, 2**70), stride=("x",)),
    )
    assert how == {"a part of it": "flat", "odd steps": "flat", "complex": "raw bytes", "hostile": "flat"}
    assert np.array_equal(found["a part of it"], whole) and np.array_equal(found["hostile"], whole)
    assert found["complex"].tobytes() == parts.tobytes()


def test_bfloat16_and_float8_come_out_as_torch_reads_them(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from safetensors.torch import load_file as load_torch

    value = torch.randn(64, 32).bfloat16()
    opened = Store.open(tmp_path / "s", ME)
    data = value.view(torch.uint8).numpy().tobytes()
    opened.commit(CommitDraft("step", {"text": "x"}, {"graph": b"x"}, [BufferDraft("a", data, "bfloat16", (32, 64), (1, 32), "turned")]))
    opened.close()
    export(tmp_path / "s", tmp_path / "out")
    assert torch.equal(load_torch(tmp_path / "out" / "tensors.safetensors")["turned"], value.T)


def test_nothing_is_unpickled_by_show_verify_and_export(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "went off"))
    opened = Store.open(tmp_path / "s", ME)
    record = opened.commit(CommitDraft("step", {"text": "x"}, {"graph": bomb, "graph-00": bomb, "output/000000": b'{"stream": "stdout"}\n', "orders": bomb}))
    opened.close()
    for words in (["show"], ["show", "--all", "--json"], ["show", "--commit", record.id], ["show", "--commit", record.id, "--json"], ["verify"]):
        assert main([words[0], str(tmp_path / "s"), *words[1:]]) == 0
    assert main(["export", str(tmp_path / "s"), "--to", str(tmp_path / "out")]) == 0
    assert not (tmp_path / "went off").exists()
    assert bomb not in b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert (tmp_path / "out" / "output.jsonl").read_text() == '{"stream": "stdout"}\n'
    assert capsys.readouterr().err == ""


NAMES = ["a/b.txt", "C:evil.txt", "back\\slash.txt", "nul", "con.txt", "dot.", "space ", "new\nline", "per%cent", "ü/ñ.txt", "x" * 255]


def test_files_come_out_under_names_that_every_system_takes(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    opened = Store.open(tmp_path / "s", ME)
    files = dict.fromkeys(NAMES, tmp_path / "file")
    opened.commit(draft("x", files=files, kind="unit", unit={"group": "../..", "key": "a/b", "record": {"loss": 1}}, unit_files=files))
    opened.close()
    before = {path for path in tmp_path.rglob("*") if "out" not in path.parts}
    done = export(tmp_path / "s", tmp_path / "out")
    assert {path for path in tmp_path.rglob("*") if "out" not in path.parts} == before, "nothing is written elsewhere"
    assert done.files == len(NAMES) and done.units == 1 and done.missing == []
    told = json.loads((tmp_path / "out" / "export.json").read_text())["renamed"]
    for name in NAMES:
        path = tmp_path / "out" / told.get(f"files/{name}", f"files/{name}")
        assert path.read_bytes() == b"content"
        assert not set(path.name) & set('<>:"\\|?*\n') and path.name[-1] not in ". " and path.name.split(".")[0] not in ("con", "nul")
    assert len(list((tmp_path / "out" / "units").rglob("record.json"))) == 1


def test_an_export_is_private(tmp_path: Path) -> None:
    (tmp_path / "script").write_bytes(b"x")
    (tmp_path / "script").chmod(0o777)
    filled(tmp_path / "s", 1, 5000)
    before = os.umask(0)
    try:
        export(tmp_path / "s", tmp_path / "new" / "out")
    finally:
        os.umask(before)
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in (tmp_path / "new").rglob("*")} == {0}


def test_a_folder_with_something_else_is_never_touched(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.tex").write_text("years")
    for force in (False, True):
        with pytest.raises(UserMistake, match="something else"):
            export(tmp_path / "s", mine, force=force)
    assert [path.name for path in mine.iterdir()] == ["thesis.tex"]
    (tmp_path / "of folders" / "empty").mkdir(parents=True)
    with pytest.raises(UserMistake, match="something else"):
        export(tmp_path / "s", tmp_path / "of folders", force=True)
    (tmp_path / "link").symlink_to(mine)
    (tmp_path / "a file").write_text("x")
    for target in ("link", "a file"):
        with pytest.raises(UserMistake, match=r"is a link|no folder"):
            export(tmp_path / "s", tmp_path / target, force=True)


def test_an_earlier_export_is_replaced_only_when_that_is_asked(tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    first = export(tmp_path / "s", tmp_path / "out").commit
    with pytest.raises(UserMistake, match="--force"):
        export(tmp_path / "s", tmp_path / "out")
    filled(tmp_path / "s", 1, 5000)
    export(tmp_path / "s", tmp_path / "out", force=True)
    assert json.loads((tmp_path / "out" / "export.json").read_text())["commit"] != first
    assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".colab_guard-export")] == []


@pytest.mark.parametrize("told", ["{}", "[]", "no json", '{"store": "s", "units": 0}', '{"store": "s", "units": 0, "wrote": 3}'])
def test_a_folder_with_an_export_json_of_somebody_else_is_never_touched(told: str, tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "export.json").write_text(told)
    (mine / "thesis.tex").write_text("years")
    with pytest.raises(UserMistake, match="something else"):
        export(tmp_path / "s", mine, force=True)
    assert (mine / "thesis.tex").read_text() == "years" and (mine / "export.json").read_text() == told


@pytest.mark.parametrize("name", ["notes.txt", "files/mine.py"])
def test_what_was_put_into_an_export_afterwards_is_named_and_stays(name: str, tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    export(tmp_path / "s", tmp_path / "out")
    (tmp_path / "out" / name).parent.mkdir(exist_ok=True)
    (tmp_path / "out" / name).write_text("mine")
    with pytest.raises(UserMistake, match=f"something else .*{name}"):
        export(tmp_path / "s", tmp_path / "out", force=True)
    assert (tmp_path / "out" / name).read_text() == "mine"


@pytest.mark.parametrize("inside", ["", "packs/sub", "new/deep", "../link/packs/sub"])
def test_nothing_is_exported_into_a_store(inside: str, tmp_path: Path) -> None:
    filled(tmp_path / "s", 1, 5000)
    (tmp_path / "link").symlink_to(tmp_path / "s")
    with pytest.raises(UserMistake, match="in the store"):
        export(tmp_path / "s", tmp_path / "s" / inside)
    assert verify(tmp_path / "s") == []


def test_of_a_commit_whose_state_was_let_go_that_is_said_with_those_that_have_one(tmp_path: Path) -> None:
    opened = Store.open(tmp_path / "s", ME)
    unit = {"group": "g", "record": {}}
    first = opened.commit(draft("first", b"x" * 8000, kind="unit", unit={**unit, "key": "1"}))
    kept = [opened.commit(draft(f"{n}", os.urandom(8000), kind="unit", unit={**unit, "key": f"{n}"})).id for n in range(2, 5)][1:]
    opened.close()
    with pytest.raises(UserMistake, match="was let go") as told:
        export(tmp_path / "s", tmp_path / "out", commit=first.id)
    assert all(name in str(told.value) for name in kept) and "\n" not in str(told.value)
    assert not (tmp_path / "out").exists()


def test_a_home_folder_of_nobody_is_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    filled(tmp_path / "s", 1, 5000)
    assert main(["export", str(tmp_path / "s"), "--to", "~nobody-of-that-name/x"]) == 2
    assert re.fullmatch("colab-guard: --to ~nobody-of-that-name/x: .*\n", capsys.readouterr().err)


def test_an_export_that_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(tmp_path / "s", 1, 5000)
    monkeypatch.setattr(store.export.__globals__["tensors"], "write", lambda *words: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        export(tmp_path / "s", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_a_damaged_file_is_named_and_the_rest_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_bytes(os.urandom(3000))
    opened = Store.open(tmp_path / "s", ME)
    opened.commit(draft("u", kind="unit", unit={"group": "g", "key": "k", "record": {}}, unit_files={"adapter.bin": tmp_path / "file"}))
    opened.commit(draft("later", b"x" * 8000))
    opened.close()
    view = Store.view(tmp_path / "s")
    (pack,) = view.units()[0].raw["unit_files"]["adapter.bin"]["packs"]
    path = tmp_path / "s" / "packs" / f"{pack}.pack"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert verify(tmp_path / "s")
    assert main(["export", str(tmp_path / "s"), "--to", str(tmp_path / "out")]) == 1
    assert "adapter.bin" in capsys.readouterr().err
    assert (tmp_path / "out" / "tensors.safetensors").exists()


def test_that_a_newer_commit_was_damaged_is_said_when_the_one_before_comes_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = Store.open(tmp_path / "s", ME)
    before, newest = opened.commit(draft("a", b"x" * 8000)), opened.commit(draft("b", b"y" * 8000))
    opened.close()
    (pack,) = {pack for part in newest.raw["parts"].values() for pack in part["packs"]}
    path = tmp_path / "s" / "packs" / f"{pack}.pack"
    data = bytearray(path.read_bytes())
    data[100] ^= 1
    path.write_bytes(data)
    assert main(["export", str(tmp_path / "s"), "--to", str(tmp_path / "out")]) == 1
    said = capsys.readouterr()
    assert before.id in said.out and f"passed over: {newest.id}: " in said.err and "damaged" in said.err
    assert (tmp_path / "out" / "tensors.safetensors").exists()


def written_meanwhile(monkeypatch: pytest.MonkeyPatch, opened: Store, times: int, **more: Any) -> list[str]:
    """So often, two commits are made between the choice of what is exported and its reading; the ids of the newest."""
    made, real = [], exporting._newest

    def newest(view: Any) -> Any:
        found = real(view)
        if len(made) < times:
            opened.commit(draft("later", os.urandom(9000)))
            made.append(opened.commit(draft("later still", os.urandom(9000), **more)).id)
        return found

    monkeypatch.setattr(exporting, "_newest", newest)
    return made


def test_a_store_that_is_written_meanwhile_comes_out_as_it_is_by_then(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Store.open(tmp_path / "s", ME)
    opened.commit(draft("first", os.urandom(9000)))
    made = written_meanwhile(monkeypatch, opened, 2)
    done = export(tmp_path / "s", tmp_path / "out")
    opened.close()
    assert len(made) == 2 and (done.commit, done.missing, done.passed_over) == (made[-1], [], [])
    assert json.loads((tmp_path / "out" / "commit.json").read_text())["id"] == made[-1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "s"], "half an export stays"


def test_a_store_that_is_written_all_the_time_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = Store.open(tmp_path / "s", ME)
    opened.commit(draft("first", os.urandom(9000)))
    made = written_meanwhile(monkeypatch, opened, 1000)
    with pytest.raises(UserMistake, match=r"written faster than it can be exported.*colab-guard stop s") as caught:
        export(tmp_path / "s", tmp_path / "out")
    assert "\n" not in str(caught.value) and len(made) == exporting.LOOKS
    assert [path.name for path in tmp_path.iterdir()] == ["s"]
    opened.close()


def test_what_is_damaged_for_good_is_told_of_a_store_that_is_written_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    saved = tmp_path / "adapter.bin"
    saved.write_bytes(os.urandom(9000))
    opened = Store.open(tmp_path / "s", ME)
    unit = {"group": "lora", "key": "abc", "record": {}}
    record = opened.commit(draft("u", kind="unit", unit=unit, unit_files={"adapter.bin": saved}))
    (pack,) = record.raw["unit_files"]["adapter.bin"]["packs"]
    (tmp_path / "s" / "packs" / f"{pack}.pack").unlink()
    real, numbers = exporting._Writing.all, iter(range(1000))

    def all_of_it(writing: Any, *what: Any) -> Any:
        done = real(writing, *what)
        opened.commit(draft(f"later {next(numbers)}", os.urandom(9000)))
        return done

    monkeypatch.setattr(exporting._Writing, "all", all_of_it)
    done = export(tmp_path / "s", tmp_path / "out")
    assert len(done.missing) == 1 and "adapter.bin" in done.missing[0]
    opened.close()


def test_an_adapter_comes_out_as_a_folder_that_peft_loads(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    peft = pytest.importorskip("peft")
    base = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    kept = {name: value.clone() for name, value in base.state_dict().items()}
    model = peft.get_peft_model(base, peft.LoraConfig(r=2, target_modules=["0", "2"], init_lora_weights=False))
    model.save_pretrained(tmp_path / "adapter")
    opened = Store.open(tmp_path / "s", ME)
    files = {f"adapter/{path.name}": path for path in (tmp_path / "adapter").iterdir()}
    opened.commit(draft("u", kind="unit", unit={"group": "lora", "key": "abc", "record": {"accuracy": 0.9}}, unit_files=files))
    opened.close()
    export(tmp_path / "s", tmp_path / "out")
    folder = tmp_path / "out" / "units" / "lora" / "abc"
    assert json.loads((folder / "record.json").read_text())["record"] == {"accuracy": 0.9}
    fresh = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 2))
    fresh.load_state_dict(kept)
    again = peft.PeftModel.from_pretrained(fresh, str(folder / "adapter"))
    data = torch.randn(5, 8)
    assert torch.equal(again(data), model(data))


@pytest.mark.parametrize("word", ["show", "verify", "stop", "export"])
@pytest.mark.parametrize("name", ["../x", "/etc", "a/b", "..", "", "a\0b", ".hidden"])
def test_a_name_leads_nowhere_but_home(word: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    more = ["--to", str(tmp_path / "out")] if word == "export" else []
    assert main([word, name, *more]) == 2
    assert "no NAME of guarded work" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
