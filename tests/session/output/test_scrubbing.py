"""What a cell printed and displayed is kept without the secrets in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from colab_guard.session.output.bundles import INLINE_BYTES, bundled
from colab_guard.session.output.record import Record
from colab_guard.state import tokens

HF = "hf_" + "aB3" * 12


@pytest.fixture(autouse=True)
def _nothing_known() -> Iterator[None]:
    tokens.forget_known()
    yield
    tokens.forget_known()


@pytest.mark.parametrize("padding", ["", "." * INLINE_BYTES], ids=["inline", "as bytes of its own"])
@pytest.mark.parametrize(
    ("mime", "value", "kept"),
    [
        ("text/plain", f"x\n{HF}", "x\n(secret)"),
        ("text/html", f"<b>{HF}</b>", "<b>(secret)</b>"),
        ("image/svg+xml", f"<svg>{HF}</svg>", "<svg>(secret)</svg>"),
        ("application/json", {"a": [f"x\n{HF}"], "password": "q7verysecret8text9"}, {"a": ["x\n(secret)"], "password": "(secret)"}),
    ],
)
def test_a_display_is_kept_without_its_secrets(mime: str, value: Any, kept: Any, padding: str) -> None:
    told, wanted = [text + padding if isinstance(text, str) else text | {"more": padding} for text in (value, kept)]
    assert bundled({mime: told}, {}).data() == {mime: wanted}


def test_what_is_said_of_a_display_is_kept_without_its_secrets() -> None:
    assert bundled({}, {"text/html": {"from": f"x\n{HF}"}}).to_json()["metadata"] == {"text/html": {"from": "x\n(secret)"}}


def test_what_was_printed_is_kept_without_its_secrets() -> None:
    record = Record()
    for text in ("with ", HF[:9], HF[9:], "\n", f"\x1b[31m{HF}\x1b[0m\n", "task-01HZX5J8Q2W3E4R5T6Y7U8I9O0\n"):
        record.write("stdout", text)
    kept = b"".join(record.parts().values())
    assert HF.encode() not in kept and kept.count(b"(secret)") == 2 and b"task-01HZX5J8Q2W3E4R5T6Y7U8I9O0" in kept
