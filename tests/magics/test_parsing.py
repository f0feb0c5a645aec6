from __future__ import annotations

import pytest

from colab_guard.errors import BadOption
from colab_guard.magics import completion, grammar
from colab_guard.magics.parsing import HelpWanted, split


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("", []),
        ("0.85   # a fraction", ["0.85"]),
        ("# nothing but a comment", []),
        ("run --to 'my drive'", ["run", "--to", "my drive"]),
        ('run --to="my drive" --fresh', ["run", "--to=my drive", "--fresh"]),
        ("run --to 'a # b'", ["run", "--to", "a # b"]),
        ("run --to a#b", ["run", "--to", "a#b"]),
        ("run --to ''", ["run", "--to", ""]),
        (r"run --to C:\new", ["run", "--to", r"C:\new"]),
    ],
)
def test_a_line_is_split_into_words_without_quotes_and_comments(line: str, words: list[str]) -> None:
    assert split(line) == words


def test_an_open_quote_is_one_clear_line() -> None:
    with pytest.raises(BadOption, match="opened and not closed"):
        split("run --to 'my drive")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("", "needs a NAME"),
        ("a b", "takes one NAME"),
        ("a --wrong", "--wrong"),
        ("a --every", "--every"),
        ("a --overlap x", "x"),
    ],
)
def test_a_bad_checkpointed_line_says_what_is_wrong(line: str, said: str) -> None:
    with pytest.raises(BadOption, match=said) as caught:
        grammar.parse_checkpointed(line)
    assert "\n" not in str(caught.value)


def test_words_that_repeat_are_collected() -> None:
    words = grammar.parse_checkpointed("a --keep x --keep y --files '*.pt' --fresh")
    assert (words["keep"], words["files"], words["fresh"]) == (["x", "y"], ["*.pt"], True)


def test_parsing_a_line_does_not_change_what_the_next_one_means() -> None:
    grammar.parse_checkpointed("a --keep x")
    assert grammar.parse_checkpointed("a")["keep"] == []


@pytest.mark.parametrize(
    "parser", [grammar.keepalive_parser, grammar.memguard_parser, grammar.guard_parser, grammar.checkpointed_parser]
)
def test_help_names_every_option(parser: object) -> None:
    made = parser()  # type: ignore[operator]
    with pytest.raises(HelpWanted) as wanted:
        made.parse("-h")
    for option in made.options():
        assert option in str(wanted.value)


def test_options_already_given_are_not_completed_again() -> None:
    found = completion.candidates("checkpointed", "%%checkpointed a --fresh --", list)
    assert "--fresh" not in found
    assert "--resume" in found
