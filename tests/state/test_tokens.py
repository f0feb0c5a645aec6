"""What is taken for a secret, and what is not: by shape, by name, and by value."""

from __future__ import annotations

import argparse
import json
from collections import namedtuple
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from colab_guard import state, store
from colab_guard.errors import SnapshotRefused
from colab_guard.state import Live, Secrets, codes, tokens
from colab_guard.state.secret_names import is_secret_variable, is_secret_variable_of_notebook

HF = "hf_" + "aB3" * 12
TASK = "task-01HZX5J8Q2W3E4R5T6Y7U8I9O0"
"""The name of a job, in which a key seems to begin."""
KEY = "q7verysecret8text9"
HEX = "0123456789abcdef" * 2 + "01234567"
Client = namedtuple("Client", "user password")


@pytest.fixture(autouse=True)
def _nothing_known(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.delenv(store.KEY_VARIABLE, raising=False)
    tokens.forget_known()
    yield
    tokens.forget_known()
    store.use_key(None)


def captured(value: Any, **names: Any) -> state.Captured:
    """`value` captured; what `names` hold will be found again."""
    return state.capture({"names": {"value": value}}, {"names": {}}, Live({}, {}, secrets=Secrets(names)))


def stored(taken: state.Captured) -> bytes:
    return b"".join([*taken.parts.values(), *(bytes(buffer.data) for buffer in taken.buffers)])


@pytest.mark.parametrize("before", ["x\n", "x\t", "\r", "\x1b[31m", "\x1b[1;32m", "\x1b[m", "\x01", "key=", "_"])
def test_a_token_is_found_in_data_in_json_and_in_what_repr_gives(before: str) -> None:
    text = before + HF
    assert tokens.scrubbed(text) == before + tokens.HIDDEN
    assert tokens.scrubbed_json({"a": [text]}) == {"a": [before + tokens.HIDDEN]}
    assert HF not in tokens.scrubbed(repr(text))
    assert HF not in tokens.scrubbed(json.dumps(json.dumps(text)))
    assert tokens.holds(json.dumps({"a": text}).encode()) == "a Hugging Face token"


def test_a_token_in_an_address_is_found_behind_an_escaped_character() -> None:
    assert HF not in tokens.scrubbed(f"https://h/?next=%2Fx%3Ftoken%3D{HF}")


@pytest.mark.parametrize("text", [TASK, "disk-01HZX5J8Q2W3E4R5T6Y7U8I9O0", "x" + HF, "mask-Abc123def456ghi789jkl0", f"C:\\{TASK}"])
def test_what_stands_in_a_word_is_no_token(text: str) -> None:
    assert tokens.scrubbed(text) == text
    assert tokens.scrubbed_json([f"\n{text}"]) == [f"\n{text}"]


@pytest.mark.parametrize("count", [1, 40])
@pytest.mark.parametrize(
    "rows",
    [
        np.array(["a" * len(HF), HF]),
        np.array([b"a" * len(HF), HF.encode()]),
        np.array([(1, "a" * len(HF), HF)], dtype=[("n", "i1"), ("a", f"U{len(HF)}"), ("b", f"U{len(HF)}")]),
        np.array([("a" * len(HF), HF)], dtype=[("a", f"S{len(HF)}"), ("b", f"S{len(HF)}")]),
    ],
    ids=["characters", "bytes", "records of characters", "records of bytes"],
)
def test_a_token_that_fills_its_width_in_an_array_refuses_the_snapshot(rows: Any, count: int) -> None:
    with pytest.raises(SnapshotRefused, match="Hugging Face token"):
        captured(np.tile(rows, count))


@pytest.mark.parametrize("count", [1, 40])
def test_names_that_fill_their_width_in_an_array_are_no_tokens(count: int) -> None:
    rows = np.array(["a" * len(TASK), TASK] * count)
    assert stored(captured(rows)).count(TASK.encode("utf-32-le")) == count


def test_a_text_of_numpy_with_a_token_is_bound_again_as_what_it_is() -> None:
    taken = captured(np.str_(f"with {HF}"), login=HF)
    assert HF.encode("utf-32-le") not in stored(taken) and HF.encode() not in stored(taken)
    live = Live({}, {}, secrets=Secrets({"login": HF}))
    back = state.restore(taken.parts, {}, live)[0]["names"]["value"]
    assert back == f"with {HF}" and type(back) is np.str_


@pytest.mark.parametrize("key", ["correct horse battery staple", "swordfish", "/etc/mykey", "k3y-with-digits"])
def test_the_key_that_signs_commits_is_a_secret_whatever_it_looks_like(key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert tokens.scrubbed(key) == key
    monkeypatch.setenv(store.KEY_VARIABLE, key)
    assert tokens.scrubbed(f"signed with {key}.") == "signed with (secret)."
    monkeypatch.delenv(store.KEY_VARIABLE)
    tokens.forget_known()
    store.use_key(key)
    assert tokens.scrubbed(f"signed with {key}.") == "signed with (secret)."


@pytest.mark.parametrize("name", ["PGPASSWORD", "MYSQL_PWD", "DBPASSWORD", "SMTPPASS", "SECRET_WORD", "AWS_SESSION_TOKEN", "DB_PASS"])
def test_environment_variables_are_secrets_by_their_names(name: str) -> None:
    assert is_secret_variable(name, KEY)
    assert not is_secret_variable(name, "accuracy") and not is_secret_variable(name, "/run/secrets/db")


@pytest.mark.parametrize("name", ["PWD", "OLDPWD", "SSH_AUTH_SOCK", "GOOGLE_APPLICATION_CREDENTIALS"])
def test_environment_variables_that_say_where_something_is_are_no_secrets(name: str) -> None:
    assert not is_secret_variable(name, "/content/run-17")


@pytest.mark.parametrize("name", ["RUN_NAME", "SECRETARY", "HF_HOME", "WANDB_PROJECT", "LAST_EPOCH_PASSED"])
def test_other_environment_variables_are_no_secrets(name: str) -> None:
    assert not is_secret_variable(name, "exp-2024-lora-r4-lr1e-4-0123456789abcdef")


def test_an_address_with_a_password_is_a_secret_and_so_is_its_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgres://me:{KEY}@h/db")
    monkeypatch.setenv("PLAIN_URL", "postgres://me:swordfish@h/db")
    assert tokens.scrubbed(f"to postgres://me:{KEY}@h/db with {KEY}") == "to (secret) with (secret)"
    assert tokens.scrubbed("to postgres://me:swordfish@h/db, a swordfish") == "to (secret), a swordfish"


@pytest.mark.parametrize("text", ["https://host:8080/@scope/a", "ssh://git@host:22/a", "hf://datasets/a@main", "http://host/a:b@c", "a:b@c"])
def test_other_addresses_are_no_secrets(text: str) -> None:
    assert not is_secret_variable("DATA_URL", text) and not is_secret_variable_of_notebook("url", text)


def test_the_password_of_an_address_is_bound_to_it_again() -> None:
    address = f"postgres://me:{KEY}@h/db"
    taken = captured(["me", KEY, address], url=address)
    assert KEY.encode() not in stored(taken)
    assert list(taken.rebound) == ["the password in the variable url", "the variable url"]
    live = Live({}, {}, secrets=Secrets({"url": address}))
    assert state.restore(taken.parts, {}, live)[0]["names"]["value"] == ["me", KEY, address]


@pytest.mark.parametrize(
    "value",
    [
        {"wandb_key": HEX},
        {"wandb": {"project": "p", "key": HEX}},
        argparse.Namespace(wandb_key=HEX),
        Client("me", HEX),
        {"password": [HEX]},
        {"passwords": 1, "password": ("plain", HEX)},
    ],
    ids=["in a dict", "of a service", "in a namespace", "in a tuple with names", "in a list", "in a tuple"],
)
def test_a_value_is_a_secret_by_its_name_wherever_that_stands(value: Any) -> None:
    with pytest.raises(SnapshotRefused, match="the value under"):
        captured(value)
    assert HEX.encode() not in stored(captured(value, mine=HEX))


def test_a_column_of_a_table_is_secret_by_its_name() -> None:
    pandas = pytest.importorskip("pandas")
    with pytest.raises(SnapshotRefused, match="the value under 'api_key'"):
        captured(pandas.DataFrame({"api_key": [KEY, KEY[::-1]], "n": [1, 2]}))


@pytest.mark.parametrize(
    "value",
    [
        {"key": HEX, "cache_key": HEX, "hf_key": "model.layers.0.self_attn.q_proj.weight"},
        {"sha": HEX, "wandb": {"id": HEX, "name": "exp-17-lora"}},
        {"api": {"key": "accuracy"}, "wandb": {"key": "train/loss"}},
        {"token": ["https://t.co/a1b2c3d4e5f6g7h8", "covid19-case-0123456789"]},
        {"password": [f"{HEX[n:]}{n:02d}zz" for n in range(17)]},
        {"tokens": [HEX], "secret_tokens": [HEX], "password_hashes": 3},
        np.array([TASK, HEX]),
        [TASK, HEX, f"/content/{HEX}/checkpoint-500", "exp-2024-lora-r4-lr1e-4"],
    ],
    ids=["keys", "hashes", "words under keys", "words of a text", "a column of data", "plurals", "an array", "names"],
)
def test_what_training_state_is_full_of_is_no_secret(value: Any) -> None:
    assert captured(value).rebound == {}
    if isinstance(value, dict):
        assert tokens.scrubbed_json(value) == value or value.keys() & {"password", "token"}


def test_a_table_of_data_is_not_secret_by_its_columns_names() -> None:
    pandas = pytest.importorskip("pandas")
    table = pandas.DataFrame({"password": [f"{HEX[n:]}{n:02d}zz" for n in range(17)], "token": [HEX] * 17})
    assert captured(table).rebound == {}


def test_json_is_secret_by_names_too() -> None:
    told = {"wandb": {"project": "p", "key": HEX}, "password": [KEY], "key": HEX[::-1], "text": f"\n{HF}"}
    hidden = tokens.HIDDEN
    wandb = {"project": "p", "key": hidden}
    assert tokens.scrubbed_json(told) == {"wandb": wandb, "password": [hidden], "key": HEX[::-1], "text": f"\n{hidden}"}


def test_the_text_that_a_function_brings_along_holds_no_token() -> None:
    text = f"def f():  # as {HF}\n    return 1\n"
    names: dict[str, Any] = {"__name__": "__main__"}
    codes.remember_file("<a cell with a token>", text)
    exec(compile(text, "<a cell with a token>", "exec"), names)
    taken = state.capture({"names": {"f": names["f"]}}, {"names": {}}, Live(names, {}, secrets=Secrets({})))
    assert b"# as (secret)" in stored(taken) and HF.encode() not in stored(taken)
