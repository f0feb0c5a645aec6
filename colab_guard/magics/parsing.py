"""A line of a magic as words, and words as values: argparse that never exits and never prints.

IPython hands over the line as it was typed: quotes stay in, and a comment after the options arrives as arguments. An
error is a `BadOption` of one line that says what to type next.
"""

from __future__ import annotations

import argparse
from typing import NoReturn

from colab_guard.errors import BadOption


class HelpWanted(Exception):
    """The line holds `-h` or `--help`; the text is the help."""


def split(line: str) -> list[str]:
    """Give the words of `line`: quotes are taken off, and what follows an unquoted ` # ` or a leading `#` is dropped.

    split('run --to "my drive"  # as always')  ->  ['run', '--to', 'my drive']
    """
    words: list[str] = []
    word: list[str] | None = None
    quote = ""
    for char in line:
        if quote:
            if char == quote:
                quote = ""
            else:
                word = [*(word or []), char]
        elif char in "'\"" and (word is None or word[-1:] == ["="]):
            quote, word = char, word or []
        elif char.isspace():
            if word is not None:
                words.append("".join(word))
            word = None
        elif char == "#" and word is None:
            return words
        else:
            word = [*(word or []), char]
    if quote:
        raise BadOption(f"the quote {quote} is opened and not closed in: {line.strip()}")
    if word is not None:
        words.append("".join(word))
    return words


class LineParser(argparse.ArgumentParser):
    """argparse for one magic; errors are raised as `BadOption`, `-h` as `HelpWanted`."""

    def __init__(self, magic: str, description: str, epilog: str = "") -> None:
        super().__init__(
            prog=magic,
            description=description,
            epilog=epilog,
            add_help=False,
            allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        self.add_argument("-h", "--help", action="store_true", help="show this text")

    def word(self, *names: str, **settings: object) -> None:
        """`add_argument` whose help may hold a bare `%`."""
        settings["help"] = _escaped(str(settings.get("help", "")))
        self.add_argument(*names, **settings)  # type: ignore[arg-type]

    def parse(self, line: str) -> argparse.Namespace:
        """Read a line; raise `BadOption` or `HelpWanted`."""
        words = split(line)
        if {"-h", "--help"} & set(words):
            raise HelpWanted(self.help_text())
        return self.parse_args(words)

    def help_text(self) -> str:
        """What `-h` prints and `?` shows."""
        return self.format_help()

    def options(self) -> list[str]:
        """The long options, as they are completed."""
        return [name for action in self._actions for name in action.option_strings if name.startswith("--")]

    def error(self, message: str) -> NoReturn:
        raise BadOption(f"{self.prog}: {message}. Type {self.prog.replace('%%', '%')} -h for the words it knows.")

    def exit(self, status: int = 0, message: str | None = None) -> NoReturn:
        raise BadOption(message or f"{self.prog}: ended with {status}")


def _escaped(text: str) -> str:
    # argparse formats an option's help (not description and epilog) with the % operator, and these texts are about
    # things named %keepalive
    return text.replace("%", "%%")
