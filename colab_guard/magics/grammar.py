"""What each magic may be told: one parser per magic, used by the magic, its help, completion and the documentation.

Values stay words here (`"60s"`, `"1%"`): the Python twin reads them, so that it and the magic take the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from colab_guard.errors import BadOption
from colab_guard.magics.parsing import LineParser

GUARD_WORDS = ("status", "stop", "commit", "checkpoints", "clear", "panel", "off")
KEEPALIVE_WORDS = ("status", "doctor", "off")
MEMGUARD_WORDS = ("status", "off")
OVERLAPS = ("params", "full")
ALLOWED = ("shorter",)


@cache
def keepalive_parser() -> LineParser:
    """`%keepalive`."""
    parser = LineParser(
        "%keepalive",
        "Give signs of life while guarded work runs: a kernel heartbeat, and pings of the browser's page.\n"
        "Without a word: switch it on, or, when it is on, say how it stands.",
        "While no guarded work runs, nothing acts, and no prompt of a host is ever answered. Undo: %keepalive off",
    )
    parser.word(
        "word",
        nargs="?",
        default="",
        metavar="status|doctor|off",
        help="doctor: this host's rules, what is in force, the hours that are left, the official way for long runs",
    )
    parser.word("--every", metavar="60", help="seconds between two signs of life (60)")
    parser.word(
        "--release", action="store_true", help="give Colab's machine back when all guarded work has ended and is durable"
    )
    parser.word("--notify", metavar="URL", help="tell this address (ntfy, a webhook): done, failed, needs you")
    parser.word("--page-script", action="store_true", help="print a script for Colab's own page, which presses Connect for you")
    parser.word("--touch", action="store_true", help="with --page-script: it touches the page as well, at your account's risk")
    return parser


@cache
def memguard_parser() -> LineParser:
    """`%memguard`."""
    parser = LineParser(
        "%memguard",
        "Cap the GPU memory that PyTorch may reserve, and watch the machine's memory.\n"
        "Without a word: say what is in force.",
        "    %memguard 0.85     a fraction of the GPU's memory; 85% says the same\n\n"
        "Shortly above --hard a guarded cell is ended with its state saved, before the system would kill the kernel. One huge\n"
        "allocation inside C code cannot be stopped: then the cell, run again, goes on from its last commit.\n"
        "Undo: %memguard off",
    )
    parser.word("limit", nargs="?", default=None, metavar="0.85|85%|off", help="the fraction that may be used")
    parser.word("--soft", metavar="FRACTION", help="from this fraction of the machine's memory on, warn and clear caches (0.85)")
    parser.word("--hard", metavar="FRACTION", help="at this fraction of it, save at the next safe point and let copies go (0.9)")
    parser.word("--allow", metavar="shorter", help="where a batch fits in no other way, cut its sequences; said of the run")
    return parser


@cache
def checkpointed_parser() -> LineParser:
    """`%%checkpointed`."""
    parser = LineParser(
        "%%checkpointed",
        "Run the cell as guarded work: its state is saved at safe points, and the cell, run again after a loss,\n"
        "goes on where it was.",
        "    %%checkpointed my-training --to drive\n"
        "    %%checkpointed my-training --explain      what would be saved, where it would go on, what cannot be kept\n\n"
        "Saved: survives the kernel. Sent and durable: survives the machine; that needs --to.\n"
        "What is written to --to is your data in plain form. Stop at a safe point: the interrupt button, or %guard stop",
    )
    parser.word("name", nargs="*", metavar="NAME", help="the work's name: letters, digits, . _ -")
    parser.word("--to", metavar="WHERE", help="mirror: drive, a folder, or a URL (gs:// s3:// hf:// ...)")
    parser.word("--every", default="60s", metavar="60s", help="bound on lost work (60s; also 2m, 1h)")
    parser.word("--mirror-every", metavar="AUTO", help="seconds between two sendings (chosen from bandwidth)")
    parser.word("--budget", default="1%", metavar="1%", help="share of training time that saving may cost (1%)")
    parser.word("--fresh", action="store_true", help="forget what was committed and begin again")
    parser.word("--resume", action="store_true", help="go on although the cell or an input has changed")
    parser.word("--take-over", action="store_true", help="take the store from another living process")
    parser.word("--keep", action="append", default=[], metavar="NAME", help="a variable to keep as well (repeatable)")
    parser.word("--skip", action="append", default=[], metavar="NAME", help="a variable to leave out (repeatable)")
    parser.word(
        "--files", action="append", default=[], metavar="GLOB", help="files to keep whatever their size (repeatable)"
    )
    parser.word(
        "--overlap",
        default="params",
        choices=OVERLAPS,
        help="params: parameters are copied at safe points, optimizers' moments beside the next step; full: all beside it",
    )
    parser.word("--explain", action="store_true", help="say where safe points are and what would be saved; runs nothing")
    return parser


@cache
def guard_parser() -> LineParser:
    """`%guard`."""
    parser = LineParser(
        "%guard",
        "What is in force, and what to do with the running work. Without a word: status.",
        "    status              what is in force, and how the running work stands\n"
        "    stop                stop the running work at its next safe point\n"
        "    commit              save at the next safe point, due or not\n"
        "    checkpoints [NAME]  what is saved here\n"
        "    panel               show the panel again, in this cell\n"
        "    clear               free memory that nothing needs, and say who holds the rest\n"
        "    off                 take back %keepalive and %memguard",
    )
    parser.word("word", nargs="?", default="status", metavar="|".join(GUARD_WORDS), help="what to do")
    parser.word("name", nargs="?", default=None, metavar="NAME", help="for checkpoints: whose")
    return parser


def parse_keepalive(line: str) -> Mapping[str, object]:
    """The words of a `%keepalive` line, as its twin takes them."""
    words = vars(keepalive_parser().parse(line))
    _one_of(keepalive_parser(), words["word"], ("", "on", *KEEPALIVE_WORDS))
    return _without_help(words)


def parse_memguard(line: str) -> Mapping[str, object]:
    """The words of a `%memguard` line, as its twin takes them."""
    return _without_help(vars(memguard_parser().parse(line)))


def parse_checkpointed(line: str) -> Mapping[str, object]:
    """The words of a `%%checkpointed` line, as its twin takes them."""
    words = vars(checkpointed_parser().parse(line))
    names = words["name"]
    if not names:
        raise BadOption("%%checkpointed needs a NAME for the work, to find it again. Type %%checkpointed my-training")
    if len(names) > 1:
        raise BadOption(
            f"%%checkpointed takes one NAME, and was given {len(names)}: {' '.join(names)}. Keep one of them."
        )
    return _without_help({**words, "name": names[0]})


def parse_saved(line: str) -> str | None:
    """The NAME of a `%checkpointed` line, whose commits are asked for; None for all."""
    words = vars(checkpointed_parser().parse(line))
    names = words["name"]
    if len(names) > 1 or {**words, "name": []} != vars(checkpointed_parser().parse("")):
        raise BadOption(f"%checkpointed shows what is saved; to guard a cell, type %%checkpointed {line.strip()} above it")
    return names[0] if names else None


def parse_guard(line: str) -> Mapping[str, object]:
    """The words of a `%guard` line."""
    words = vars(guard_parser().parse(line))
    _one_of(guard_parser(), words["word"], GUARD_WORDS)
    if words["name"] is not None and words["word"] != "checkpoints":
        raise BadOption(
            f"%guard {words['word']} takes no further word, and was given {words['name']}. Type %guard {words['word']}"
        )
    return _without_help(words)


def _one_of(parser: LineParser, word: object, known: tuple[str, ...]) -> None:
    if word not in known:
        parser.error(f"{word} is not one of {', '.join(k for k in known if k)}")


def _without_help(words: Mapping[str, object]) -> Mapping[str, object]:
    return {key: value for key, value in words.items() if key != "help"}
