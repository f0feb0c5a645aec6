"""Secrets that are in no variable, or look like no secret: not in what is told, saved, listed or named."""

from __future__ import annotations

import base64
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colab_guard import store
from colab_guard.clock import SystemClock
from colab_guard.events import SnapshotSaved, UnitStarted
from colab_guard.hosts import blackbox
from colab_guard.memory.notes import Notes
from colab_guard.memory.watcher import Watcher
from colab_guard.state import tokens
from colab_guard.workers import Workers
from tests.session.notebook import Kernel
from tests.session.test_secrets import HF, found_in, named, refused

New = Callable[..., Kernel]
MADE = f"base64.b64decode({base64.b64encode(HF.encode())!r}).decode()"
"""The token as code that does not hold it."""


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    tokens.forget_known()
    yield
    tokens.forget_known()
    store.use_key(None)


def committed(home: Path) -> list[str]:
    """Where the token stands in the store of the cell's own work; something was committed there."""
    assert list(home.rglob("commits/*.json"))
    return found_in(home / "work", HF)


@pytest.mark.parametrize("key", ["correct horse battery staple", "swordfish", "/etc/mykey"])
def test_the_signing_key_is_in_no_commit_whatever_it_looks_like(
    key: str, new_kernel: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(store.KEY_VARIABLE, key)
    cell = "import os\ncopy = dict(os.environ)\nfor i in range(4):\n    print(copy['COLAB_GUARD_KEY'])\n    here()\ni, copy['COLAB_GUARD_KEY']"
    first = new_kernel()
    assert first.guarded(cell, lose_at=3) is None
    assert refused(first) == [] and "os.environ['COLAB_GUARD_KEY']" in named(first)
    assert found_in(tmp_path / "home", key) == []
    second = new_kernel()
    assert second.guarded(cell) == (3, key) and second.depths == [1]


def test_the_password_in_an_address_of_the_environment_comes_back_and_is_in_no_commit(
    new_kernel: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://me:q7verysecret8text9@h/db")
    cell = "import os\nfrom urllib.parse import urlsplit\nparts = urlsplit(os.environ['DATABASE_URL'])\nlogin = (parts.username, parts.password)\n"
    cell += "for i in range(4):\n    print(login)\n    here()\nlogin"
    first = new_kernel()
    assert first.guarded(cell, lose_at=3) is None
    assert refused(first) == [] and "the password in os.environ['DATABASE_URL']" in named(first)
    assert found_in(tmp_path / "home", "q7verysecret8text9") == []
    second = new_kernel()
    assert second.guarded(cell) == ("me", "q7verysecret8text9") and second.depths == [1]


@pytest.mark.parametrize("cell", ["'''notes\n{}\n'''\n", "#\t{}\n", "t = '''\n{}'''\ndel t\n"], ids=["docstring", "comment", "text"])
def test_a_token_behind_an_escape_in_the_cell_is_not_in_its_kept_source(cell: str, new_kernel: New, tmp_path: Path) -> None:
    new_kernel().guarded(cell.format(HF) + "for i in range(4):\n    here()\ni", lose_at=3)
    assert committed(tmp_path / "home") == []


def test_a_file_of_json_with_a_token_behind_an_escape_is_left_out(new_kernel: New, tmp_path: Path) -> None:
    kernel = new_kernel()
    body = f"    json.dump({{'a': 'x\\n' + {MADE}}}, open('notes.json', 'w'))\n"
    kernel.guarded(f"import base64, json\nfor i in range(4):\n{body}    here()\ni", lose_at=3)
    assert "holds a Hugging Face token" in named(kernel)["notes.json"]
    assert committed(tmp_path / "home") == []


@pytest.mark.parametrize(
    "body",
    [
        f"run.log(note='x\\n' + {MADE})",
        f"raise ValueError('denied\\n' + {MADE})",
        f"run.save({{'a': 'x\\n' + {MADE}}}, 'a.json')",
        f"run.save({MADE}, 'a.txt')",
        f"display({{'application/json': {{'a': 'x\\n' + {MADE}}}}}, raw=True)",
        f"print(repr('x\\n' + {MADE}))",
    ],
    ids=["logged", "raised", "saved as JSON", "saved as text", "displayed", "printed"],
)
def test_a_token_that_a_run_lets_out_is_in_no_commit(body: str, new_kernel: New, tmp_path: Path) -> None:
    setup = "import base64\nfrom IPython.display import display\nfrom colab_guard import Sweep, grid\nsweep = Sweep('s', grid(a=[1, 2]))"
    new_kernel(setup).guarded(f"for run in sweep:\n    {body}\n    here()\n1")
    assert committed(tmp_path / "home") == []


def test_what_runs_save_is_private_whatever_the_umask(new_kernel: New, tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kernel = new_kernel("import numpy\nfrom colab_guard import Sweep, grid\nsweep = Sweep('s', grid(a=[1, 2]))")
        saves = "    run.save('text', 'deep/a.txt')\n    run.save({'a': 1}, 'b.json')\n    run.save(numpy.zeros(3), 'c.npy')\n"
        kernel.guarded(f"for run in sweep:\n{saves}    here()\n1")
        kernel.run("for run in sweep: run.path('b.json').unlink(); run.path('b.json')")
    finally:
        os.umask(before)
    everything = list((tmp_path / "home").rglob("*"))
    assert {"a.txt", "b.json", "c.npy"} <= {path.name for path in everything}
    assert {(path.is_dir(), stat.S_IMODE(path.stat().st_mode)) for path in everything} == {(True, 0o700), (False, 0o600)}


def test_the_black_box_holds_no_secret(new_kernel: New, tmp_path: Path) -> None:
    bus, workers = new_kernel().session.bus, Workers()
    box = tmp_path / blackbox.FOLDER / "1-1.json"
    box.parent.mkdir()  # there is one of an earlier kernel: then a clean end is written too
    watcher = Watcher(workers, box=box, notebook="", limit=None)
    watcher.tell(work="job")
    notes = Notes(bus, SystemClock(), watcher.tell)
    bus.post(UnitStarted(sweep="s", index=0, total=1, label=f"auth={HF}", params={"auth": HF}))
    saved = SnapshotSaved(name="job", position=f"item {HF}", commit="1", kind="step", bytes_new=1, bytes_total=1, stall_s=0.0, write_s=0.0)
    bus.post(saved)
    notes.tell_now()
    watcher.close()
    record = blackbox.read(box)
    assert record is not None and record["at"] == {"unit": "auth=(secret)", "step": "", "saved": "item (secret)"}
    assert HF not in box.read_text()
    told = blackbox.doing(json.loads(box.read_text()))
    assert told == "It was at work on job: auth=(secret); saved: item (secret)."
