"""Secrets never reach the store: planted in every place, and looked for in every byte of it."""

from __future__ import annotations

import os
import pickle
import random
import stat
import string
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from colab_guard import hosts, store
from colab_guard.cli import main
from colab_guard.errors import CellChanged, SecretMissing
from colab_guard.events import NotKept, SnapshotNotTaken
from colab_guard.hosts.fake_colab import FakeColab
from colab_guard.session import found
from colab_guard.state import tokens
from colab_guard.store.records import json_of
from tests.session.notebook import Kernel
from tests.store.test_export import Bomb

New = Callable[..., Kernel]
LETTERS = string.ascii_letters + string.digits
CHOICES = random.Random(7)


def letters(count: int, among: str = LETTERS) -> str:
    return "".join(CHOICES.choice(among) for _ in range(count))


HF = "hf_" + letters(34)
VALUES = {
    "HF_TOKEN": HF,
    "OPENAI_API_KEY": "sk-proj-" + letters(20) + "A1" + letters(26),
    "GITHUB_TOKEN": "ghp_" + letters(36),
    "GITHUB_FINE": "github_pat_" + letters(22) + "_" + letters(59),
    "AWS_ACCESS_KEY_ID": "AKIA" + letters(16, string.ascii_uppercase + string.digits),
    "AWS_SECRET_ACCESS_KEY": letters(30) + "/1a" + letters(7),
    "WANDB_API_KEY": letters(40, "0123456789abcdef"),
    "GOOGLE_API_KEY": "AIza" + letters(35),
    "SLACK_TOKEN": "xoxb-1234567890-" + letters(24),
    "DB_PASSWORD": "correct7horse&battery",
    "SIGNING": "-----BEGIN RSA PRIVATE KEY-----\n" + letters(64) + "\n" + letters(30) + "==\n-----END RSA PRIVATE KEY-----",
}


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    tokens.forget_known()
    yield
    tokens.forget_known()
    hosts.forget_user_data()
    store.use_key(None)


@pytest.fixture
def variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in VALUES.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def new_kernel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[New]:
    (tmp_path / "work").mkdir()
    monkeypatch.setenv("COLAB_GUARD_HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "work")
    made: list[Kernel] = []

    def new(*setup: str) -> Kernel:
        made.append(Kernel())
        return made[-1].run(*setup)

    yield new
    for kernel in made:
        kernel.session.close()


def found_in(folder: Path, *values: str) -> list[str]:
    """Files under `folder` that hold one of `values`, in any of the ways in which texts are written."""
    held = []
    for path in folder.rglob("*"):
        if path.is_file():
            data = json_of(path.read_bytes())
            for value in values:
                written = {value.encode(), value.encode("utf-16-le"), value.encode("utf-32-le"), value.encode("unicode_escape")}
                if any(form in data for form in written):
                    held.append(f"{path.name}: {value[:6]}…")
    return held


def named(kernel: Kernel) -> dict[str, str]:
    return {event.what: event.why for event in kernel.events if isinstance(event, NotKept)}


def refused(kernel: Kernel) -> list[str]:
    return [event.reason for event in kernel.events if isinstance(event, SnapshotNotTaken)]


EVERYWHERE = """
import os, json, logging, sys
from dataclasses import dataclass
from pathlib import Path

@dataclass
class Config:
    token: str
    nested: dict

class Client:
    __slots__ = ("api_key", "headers")

secrets = {name: os.environ[name] for name in NAMES}
copy_of_all = dict(os.environ)
config = Config(secrets["HF_TOKEN"], {"aws": (secrets["AWS_ACCESS_KEY_ID"], [secrets["AWS_SECRET_ACCESS_KEY"]])})
client = Client()
client.api_key, client.headers = secrets["OPENAI_API_KEY"], {"Authorization": "Bearer " + secrets["GITHUB_TOKEN"]}
url = f"postgres://me:{secrets['DB_PASSWORD']}@host/db"
raw = secrets["SLACK_TOKEN"].encode()
pairs = {secrets["GOOGLE_API_KEY"]: 1, (secrets["SIGNING"],): {2}}
call = lambda key=secrets["WANDB_API_KEY"]: key
steps = []
for step in range(6):
    steps.append((step, secrets["GITHUB_FINE"]))
    for value in secrets.values():
        print("with", value)
        print(value, file=sys.stderr)
    Path("notes.json").write_text(json.dumps(secrets))
    Path("fine.json").write_text(json.dumps(step))
    os.environ["RUN_NOTE"] = "uses " + secrets["HF_TOKEN"]
    here()
result = (secrets, config.token, config.nested, client.api_key, client.headers, url, raw, pairs, call(), steps)
len(steps)
"""


@pytest.mark.usefixtures("variables")
def test_secrets_planted_everywhere_are_in_no_file_and_come_back(new_kernel: New, tmp_path: Path) -> None:
    names = f"NAMES = {[*VALUES]!r}"
    first = new_kernel(names)
    assert first.guarded(EVERYWHERE, lose_at=5) is None
    assert refused(first) == []
    assert list((tmp_path / "home").rglob("commits/*.json")), "something was committed"
    assert found_in(tmp_path / "home", *VALUES.values()) == []
    told = named(first)
    assert "os.environ['HF_TOKEN']" in told and "binds it again" in told["os.environ['HF_TOKEN']"]
    assert "holds" in told["notes.json"] and "fine.json" not in told
    second = new_kernel(names)
    assert second.guarded(EVERYWHERE) == 6
    assert second.depths == [1]
    secrets, token, nested, key, headers, url, raw, pairs, called, steps = second.names["result"]
    assert secrets == {name: VALUES[name] for name in VALUES} and token == HF
    assert nested == {"aws": (VALUES["AWS_ACCESS_KEY_ID"], [VALUES["AWS_SECRET_ACCESS_KEY"]])}
    assert key == VALUES["OPENAI_API_KEY"] and headers == {"Authorization": f"Bearer {VALUES['GITHUB_TOKEN']}"}
    assert VALUES["DB_PASSWORD"] in url and raw.decode() == VALUES["SLACK_TOKEN"]
    assert list(pairs) == [VALUES["GOOGLE_API_KEY"], (VALUES["SIGNING"],)] and called == VALUES["WANDB_API_KEY"]
    assert {text for _, text in steps} == {VALUES["GITHUB_FINE"]} and len(steps) == 6
    assert found_in(tmp_path / "home", *VALUES.values()) == []


def test_a_token_in_the_cell_itself_is_bound_to_the_cells_text_again(new_kernel: New, tmp_path: Path) -> None:
    cell = f"login = {{'token': '{HF}'}}\nn = 0\nfor i in range(5):\n    n += len(login['token'])\n    here()\nn, login['token']"
    first = new_kernel()
    assert first.guarded(cell, lose_at=4) is None
    assert "a text in the cell" in named(first)
    assert found_in(tmp_path / "home", HF) == []
    second = new_kernel()
    assert second.guarded(cell) == (5 * len(HF), HF)
    assert second.depths == [1]


def test_a_token_of_an_earlier_cells_variable_is_bound_to_it_again(new_kernel: New, tmp_path: Path) -> None:
    cell = "for i in range(5):\n    used = [login_data, i]\n    here()\nused"
    first = new_kernel(f"login_data = '{HF}'")
    assert first.guarded(cell, lose_at=3) is None
    assert found_in(tmp_path / "home", HF) == []
    assert new_kernel(f"login_data = '{HF}'").guarded(cell) == [HF, 4]


def test_a_token_that_is_found_nowhere_refuses_the_snapshot_and_says_so(new_kernel: New, tmp_path: Path) -> None:
    cell = f"import base64\ntok = base64.b64decode({__import__('base64').b64encode(HF.encode())!r}).decode()\nfor i in range(3):\n    here()\ntok"
    kernel = new_kernel()
    assert kernel.guarded(cell) == HF, "the cell itself runs on"
    assert any("tok" in reason and "Hugging Face token" in reason and "cell above" in reason for reason in refused(kernel))
    assert found_in(tmp_path / "home", HF) == []


def test_a_secret_that_is_missing_or_another_one_on_the_resume_is_named(new_kernel: New, monkeypatch: pytest.MonkeyPatch) -> None:
    cell = "import os\ntok = os.environ['HF_TOKEN']\nfor i in range(5):\n    here()\ntok"
    monkeypatch.setenv("HF_TOKEN", HF)
    assert new_kernel().guarded(cell, lose_at=3) is None
    monkeypatch.delenv("HF_TOKEN")
    with pytest.raises(SecretMissing, match=r"os\.environ\['HF_TOKEN'\].*not here; set it") as caught:
        new_kernel().guarded(cell)
    assert "\n" not in str(caught.value)
    other = HF[:-3] + "xyz"
    monkeypatch.setenv("HF_TOKEN", other)
    with pytest.raises(SecretMissing, match="another value"):
        new_kernel().guarded(cell)
    assert new_kernel().guarded(cell, resume=True) == other


def test_a_value_under_a_secrets_name_is_one_and_plain_words_are_none(new_kernel: New, tmp_path: Path) -> None:
    key = "q7verysecret8text9"
    setup = f"settings = {{'api_key': '{key}'}}\nvocabulary = {{'password': 1, 'secret': 2, 'token': 'accuracy'}}\nmy_key = '{key}'"
    cell = "for i in range(5):\n    used = [settings, vocabulary, my_key]\n    here()\nused[0]['api_key']"
    first = new_kernel(setup)
    assert first.guarded(cell, lose_at=3) is None
    assert refused(first) == []
    assert found_in(tmp_path / "home", key) == []
    assert new_kernel(setup).guarded(cell) == key


def test_a_data_set_of_random_hexadecimal_texts_is_no_secret(new_kernel: New) -> None:
    setup = "import random\nr = random.Random(1)\nrows = [''.join(r.choices('0123456789abcdef', k=40)) for _ in range(5000)]"
    cell = "for i in range(4):\n    rows.append(str(i))\n    here()\nlen(rows)"
    kernel = new_kernel(setup)
    assert kernel.guarded(cell, lose_at=3) is None
    assert refused(kernel) == [] and named(kernel) == {}
    assert new_kernel(setup).guarded(cell) == 5004


def test_the_words_of_a_text_are_tokens_and_no_secrets(new_kernel: New) -> None:
    cell = "rows = []\nfor i in range(4):\n    rows.append({'token': f'covid19-case-{i}', 'tag': 'X'})\n    here()\nlen(rows)"
    kernel = new_kernel()
    assert kernel.guarded(cell, lose_at=3) is None
    assert refused(kernel) == [] and named(kernel) == {}
    assert new_kernel().guarded(cell) == 4


def test_a_run_that_is_called_by_its_settings_is_no_secret(new_kernel: New) -> None:
    cell = "for i in range(4):\n    open('results.json', 'w').write(run_key)\n    print(cache_key)\n    here()\nrun_key"
    kernel = new_kernel("run_key, cache_key = 'exp-2024-lora-r4-lr1e-4', 'imagenet-v2/resnet50_fold_3'")
    assert kernel.guarded(cell, lose_at=3) is None
    assert refused(kernel) == [] and named(kernel) == {}


@pytest.mark.parametrize(
    "marker", ["<|endoftext|>", "<|im_end|>", "<|reserved_special_token_250|>", "<extra_id_0>", "[control_768]", "###END_OF_2###", "</answer>"]
)
def test_the_marks_of_a_tokenizer_are_tokens_and_no_secrets(marker: str, new_kernel: New, tmp_path: Path) -> None:
    cell = (
        "names = {'pad_token': PAD_TOKEN[:3] + PAD_TOKEN[3:], 'eos_token': PAD_TOKEN}\nfor i in range(4):\n"
        "    open('tokenizer.json', 'w').write(PAD_TOKEN)\n    print(PAD_TOKEN)\n    here()\nnames['pad_token']"
    )
    kernel = new_kernel(f"PAD_TOKEN = ''.join({[*marker]!r})")
    assert kernel.guarded(cell, lose_at=3) is None
    assert refused(kernel) == [] and named(kernel) == {}
    assert (tmp_path / "work" / "tokenizer.json").read_text() == marker
    assert new_kernel(f"PAD_TOKEN = {marker!r}").guarded(cell) == marker


@pytest.mark.parametrize("text", ["sk-or-v1-" + "0a1b" * 16, "sk-" + "0a1b" * 8, "sk-proj-AbcdEfgh1234567890xyzABC"])
def test_keys_of_several_services_begin_alike(text: str) -> None:
    assert tokens.holds(f"key={text}".encode()) == "an API key (sk-)"


def test_a_models_name_that_begins_like_a_key_is_none() -> None:
    assert tokens.holds(b"sk-Resnet50-0-augmented-baseline") == ""


def test_errors_that_hold_a_secret_are_told_without_it(new_kernel: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", HF)
    kernel = new_kernel()
    with pytest.raises(ValueError, match="denied"):
        kernel.guarded("import os\nfor i in range(3):\n    here()\nraise ValueError('denied: ' + os.environ['HF_TOKEN'])")
    assert all(HF not in str(event) for event in kernel.events)
    assert any("denied: (secret)" in str(event) for event in kernel.events)


@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
def test_what_numpy_finds_is_what_the_shapes_say(value: str) -> None:
    noise = CHOICES.randbytes(9000)
    known = any(tokens.STRICT.search(text) for text in [value])
    for at in (0, 1, 17, 5000, 8999):
        data = noise[:at] + b" " + value.encode() + b"\n" + noise[at:]
        assert bool(tokens.holds(data)) is known
        assert bool(tokens.holds(data[at : at + len(value) + 2])) is known
    assert tokens.holds(noise) == ""


def test_what_the_cell_reads_of_colabs_user_data_is_bound_to_it_again(new_kernel: New, tmp_path: Path) -> None:
    cell = "from google.colab import userdata\nlogin = userdata.get('LOGIN')\nfor i in range(5):\n    here()\nlogin"
    value = "no-shape-of-its-own-17"
    with FakeColab(secrets={"LOGIN": value}):
        first = new_kernel()
        assert first.guarded(cell, lose_at=3) is None
        assert refused(first) == [] and "Colab's secret LOGIN" in named(first)
        assert found_in(tmp_path / "home", value) == []
        hosts.forget_user_data()
        assert new_kernel().guarded(cell) == value


def test_the_key_of_colabs_user_data_signs_commits_and_unsigned_ones_are_refused(new_kernel: New, tmp_path: Path) -> None:
    cell = "for i in range(5):\n    here()\ni"
    with FakeColab(secrets={}):
        assert new_kernel().guarded(cell, lose_at=3, name="unsigned") is None
    hosts.forget_user_data()
    with FakeColab(secrets={"COLAB_GUARD_KEY": "the key"}):
        assert new_kernel().guarded(cell, lose_at=3) is None
        resumed = new_kernel()
        assert resumed.guarded(cell) == 4 and resumed.depths == [1]
        afresh = new_kernel()
        assert afresh.guarded(cell, name="unsigned") == 4 and afresh.depths == [], "what nobody signed is not unpickled"
    records = [json_of(path.read_bytes()).decode() for path in (tmp_path / "home" / "work" / "commits").glob("*.json")]
    assert records and all('"hmac"' in record and "the key" not in record for record in records)


def test_a_page_that_does_not_answer_costs_some_seconds_once_and_is_said(new_kernel: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hosts.user_data, "__defaults__", (0.2,))
    with FakeColab() as colab:
        colab.silent = True
        kernel = new_kernel()
        assert kernel.guarded("for i in range(2):\n    here()\ni") == 1
        assert any("did not answer" in why for why in named(kernel).values())
        assert kernel.guarded("for i in range(2):\n    here()\ni", name="again") == 1
        assert named(kernel) == {}


@pytest.mark.parametrize("umask", [0, 0o777], ids=["that hides nothing", "that hides all"])
def test_all_that_lies_under_home_is_private_under_a_umask(umask: int, new_kernel: New, tmp_path: Path) -> None:
    cell = "from pathlib import Path\nfor i in range(4):\n    Path('log.txt').write_text(str(i))\n    here()\ni"
    before = os.umask(umask)
    try:
        assert new_kernel().guarded(cell, lose_at=3) is None
        Path("log.txt").write_text("of somebody else")
        assert new_kernel().guarded(cell) == 3
        assert main(["stop", "work"]) == 0
    finally:
        os.umask(before)
    everything = list((tmp_path / "home").rglob("*"))
    assert {"replaced", "work.requests", "stop"} <= {path.name for path in everything}
    assert {stat.S_IMODE(path.stat().st_mode) for path in everything if path.is_dir()} == {0o700}
    kept = [path for path in everything if path.is_file() and "replaced" not in path.parts]
    assert {stat.S_IMODE(path.stat().st_mode) for path in kept} == {0o600}


def test_what_is_found_by_itself_is_never_unpickled(new_kernel: New, tmp_path: Path) -> None:
    opened = store.Store.open(tmp_path / "home" / "bomb", store.Identity("bomb", ""))
    opened.commit(store.CommitDraft("step", {"text": "x", "depth": 1}, {"graph": pickle.dumps(Bomb(tmp_path / "went off"))}))
    opened.close()
    kernel = new_kernel()
    assert "bomb" in "\n".join(line for one in found.look() for line in found.words(one))
    assert kernel.guarded("for i in range(3):\n    here()\ni") == 2
    assert main(["status"]) == 0
    assert not (tmp_path / "went off").exists()


def test_secrets_typed_into_the_cell_are_not_in_its_kept_source(new_kernel: New, tmp_path: Path) -> None:
    values = [letters(40, "0123456789abcdef"), "q7verysecret8text9", letters(30)]
    cell = (
        f"def login(key=None, password='{values[1]}'):\n    return len(key)\n"
        f"n = login(key='{values[0]}')\n!true\nclass C: pass\nC.access_token = '{values[2]}'\nfor i in range(4):\n    print(C.access_token)\n    here()\ni, n"
    )
    first = new_kernel()
    assert first.guarded(cell, lose_at=3) is None
    assert refused(first) == []
    assert found_in(tmp_path / "home", *values) == []
    second = new_kernel()
    assert second.guarded(cell) == (3, 40) and second.depths == [1]
    assert second.names["C"].access_token == values[2]
    with pytest.raises(CellChanged) as caught:
        new_kernel().guarded(cell.replace("i, n", "n, i"))
    assert all(value not in str(caught.value) for value in values)


def test_models_keep_their_segments_beside_a_secret(new_kernel: New, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("torch")
    monkeypatch.setenv("HF_TOKEN", HF)
    cell = """
import os, torch
torch.manual_seed(0)
model = torch.nn.Sequential(torch.nn.Linear(40, 40), torch.nn.Linear(40, 2))
optimizer = torch.optim.AdamW(model.parameters())
note = "made with nothing"
for step in range(8):
    loss = model(torch.randn(4, 40)).square().mean()
    loss.backward(); optimizer.step(); optimizer.zero_grad()
    losses = [float(loss), os.environ["HF_TOKEN"]]
    if step == 3:
        model.note = "pushed with " + os.environ["HF_TOKEN"]
    here()
losses[0], model.note
"""
    whole = new_kernel().guarded(cell, name="whole")
    for lose_at in (3, 5, 7):
        first = new_kernel()
        assert first.guarded(cell, lose_at=lose_at, name=f"lost{lose_at}") is None
        assert refused(first) == []
        assert found_in(tmp_path / "home", HF) == []
        second = new_kernel()
        assert second.guarded(cell, name=f"lost{lose_at}") == whole and second.depths == [1]


@pytest.mark.parametrize("text", [f"['{HF}', 'b'] * 40", f"['{HF}']", f"[b'{HF}'] * 50"])
def test_an_array_of_texts_that_holds_a_secret_refuses_the_snapshot(text: str, new_kernel: New, tmp_path: Path) -> None:
    pytest.importorskip("numpy")
    kernel = new_kernel(f"import numpy\nrows = numpy.array({text})")
    kernel.guarded("for i in range(3):\n    n = len(rows)\n    here()\ni")
    assert any("Hugging Face token" in reason for reason in refused(kernel))
    assert found_in(tmp_path / "home", HF) == []
