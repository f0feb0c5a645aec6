"""Names that say that a value is a secret, and values that may be one: `api_key`, `HF_TOKEN`, `PGPASSWORD`.

A value under such a name is a secret if it is no plain word and no sentence. An environment variable's name may say less
than one inside a container: there are few of them, and none is a column or a run.
"""

from __future__ import annotations

import re

from colab_guard.state.shapes import STRICT

SHORTEST, LONGEST = 8, 4096
SHORTEST_INSIDE, SHORTEST_TOKEN = 12, 20
"""Under a name inside a container, where names are less telling; a `token` may be a word of a text as well."""
UNBROKEN = re.compile(r"[A-Za-z0-9]{16}")
"""In a key under a name such as `my_key`, which may be that of a column or of a run (`lora-r4-lr1e-4`) as well."""
NAMED = re.compile(
    r"(?i)(?:.*[^a-z])?(?:api_?-?key|secret|(?:secret|client|access|private|account|service|license|encryption|signing|"
    r"wandb|openai|anthropic|gemini|kaggle|github)_?-?(?:access_?-?)?key|passw(?:or)?d|passphrase|client_?secret|"
    r"(?:access|auth|refresh|bearer|api|hf|hub|github|gh|gitlab|wandb|openai|slack|session|user|bot|hugging_?face)_?-?token|"
    r"token|credentials?|authorization)\d?"
)
"""Names whose values are secrets, if these are no plain words."""
TOKEN_NAMED = re.compile(r"(?i)token(?:\d|_\w{1,3})?$")
TOKEN = re.compile(r"[\w.~+/=:%,;@!-]+", re.ASCII)
"""What tokens of services consist of: `<|endoftext|>`, `[PAD0000]` and `### End` are those of a tokenizer."""
ENDS_IN_JSON = tuple(
    f'{end}":' for end in ("key", "token", "secret", "password", "passwd", "passphrase", "credential", "credentials", "authorization")
)
"""What a secret's name ends with, as a key in JSON."""
ENVIRONMENT = re.compile(
    r"(?i)(?:.*_)?(?:[a-z]*key|[a-z]*token|secret(?:_?(?:word|phrase|text|code|value))?|[a-z]*passw(?:or)?d|[a-z]*pwd|[a-z]*pass|"
    r"passphrase|credentials?|pat|auth)(?:_\w{1,3})?"
)
NO_SECRETS = re.compile(r"(?i)^(?:/|\./|~|[a-z]+://|true$|false$)")
"""Paths and addresses: variables such as SSH_AUTH_SOCK and GOOGLE_APPLICATION_CREDENTIALS name where something is."""
ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://[^\s/?#:@]*:([^\s/?#]+)@[^\s@]+")
"""With a password in it, as DATABASE_URL and HTTPS_PROXY may have it."""


def is_secret_variable(name: str, value: str) -> bool:
    """Whether an environment variable's value is a secret."""
    if STRICT.search(value) or ADDRESS.fullmatch(value):
        return True
    return ENVIRONMENT.fullmatch(name) is not None and NO_SECRETS.match(value) is None and no_plain_word(value)


def is_secret_name(name: str) -> bool:
    return NAMED.fullmatch(name) is not None


def is_secret_variable_of_notebook(name: str, value: str | bytes) -> bool:
    """Whether a variable of the notebook is a secret: its name says so, or half says so and the value is like a key."""
    text = value.decode("latin1") if isinstance(value, bytes) else value
    if ADDRESS.fullmatch(text):
        return True
    if _is_mark(name, value):
        return False
    if is_secret_name(name):
        return no_plain_word(value)
    return ENVIRONMENT.fullmatch(name) is not None and UNBROKEN.search(text) is not None and no_plain_word(text, SHORTEST_INSIDE)


def is_secret_under(value: str, name: str) -> bool:
    """Whether `value` is a secret by the name that it stands under in a container."""
    shortest = SHORTEST_TOKEN if name.lower() == "token" else SHORTEST_INSIDE
    return is_secret_name(name) and no_plain_word(value, shortest) and not _is_mark(name, value)


def password_in(address: str) -> str:
    """The password that stands in `address`, if that is a secret by itself; "" where there is none."""
    found = ADDRESS.fullmatch(address)
    return found[1] if found is not None and no_plain_word(found[1]) else ""


def _is_mark(name: str, value: str | bytes) -> bool:
    """Whether `value` stands under the name of a token, and is one that marks a place in a text."""
    text = value.decode("latin1") if isinstance(value, bytes) else value
    return TOKEN_NAMED.search(name) is not None and TOKEN.fullmatch(text) is None


def no_plain_word(value: str | bytes, shortest: int = SHORTEST) -> bool:
    """Whether a value under a secret's name is one: not a word such as "accuracy", nor a sentence."""
    text = value.decode("latin1") if isinstance(value, bytes) else value
    if not shortest <= len(text) <= LONGEST or any(map(str.isspace, text)):
        return False
    mixed = any(map(str.isdigit, text)) and any(map(str.isalpha, text))
    return mixed if shortest > SHORTEST else mixed or len(text) >= 20 or not text.isidentifier()


def name_inside(outer: str | None, inner: str) -> str:
    """What says more than `inner` alone: `{"wandb": {"key": …}}` is as telling as `wandb_key`."""
    return f"{outer}_{inner}" if outer is not None and inner.lower() == "key" else inner
