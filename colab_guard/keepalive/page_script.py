"""`%keepalive --page-script`: a script for Colab's own page, which the user puts there by hand, or does not.

Why by hand: outputs live in frames of another origin, so that no cell can reach Connect (colabtools #2058). The script presses it
for somebody who is away, only while this kernel's connection widget says that guarded work runs, five times at most. Its
source is js/src/page_script.js; this module fills in this run's nonce and whom it may listen to.

What Colab says (research.google.com/colaboratory/faq.html, read in November 2026): the FAQ does not name such scripts; it
forbids bypassing its policies, and accounts are blocked. So the words that are printed with it say that.
"""

from __future__ import annotations

import json
from importlib.resources import files

COLAB_PAGE = "https://colab.research.google.com"
COLAB_FRAMES = r"^https://[a-z0-9-]+-colab\.googleusercontent\.com$"
"""Origins of the frames in which Colab draws outputs (not verified for every account: the console says what was passed over)."""

BEFORE = (
    "For your own hands, in Colab's page (F12, Console; or as a bookmark): it looks every 30 s, and presses Connect only if the "
    "runtime is disconnected and this notebook said within 15 min that guarded work runs. Five times at most; it answers no prompt "
    "and no CAPTCHA, and ends by itself. What it cannot do: keep a machine that Colab has ended. Then the cells, run again, go on "
    "from the last commit.\n"
    "Colab's FAQ does not name such scripts, forbids bypassing its policies, and accounts have been blocked; it may stop "
    "working any day. The official way needs no page: %keepalive doctor."
)
TOUCH = (
    "\nWith --touch it also moves a pointer that is none, every 60 s, so that the page may count as active. This is the part that "
    "Colab may take for a bypass of its idle rule: it RISKS YOUR ACCOUNT, and it may do nothing. Leave --touch out to be without it."
)


def page_script(nonce: str, *, touch: bool = False, page: str = COLAB_PAGE, frames: str = COLAB_FRAMES) -> str:
    """The script with its settings. `page`: the origin that it may run in; `frames`: a pattern of origins that it may hear."""
    return _filled("page_script.js", nonce, touch, page, frames)


def bookmark(nonce: str, *, touch: bool = False, page: str = COLAB_PAGE, frames: str = COLAB_FRAMES) -> str:
    """The same on one line, for a bookmark's address."""
    return "javascript:" + _filled("page_script.min.js", nonce, touch, page, frames).strip().replace("%", "%25")


def printed(nonce: str, *, touch: bool = False) -> str:
    """All that `%keepalive --page-script` prints."""
    return "\n\n".join(
        [
            BEFORE + (TOUCH if touch else ""),
            page_script(nonce, touch=touch).strip(),
            "The same as a bookmark's address:",
            bookmark(nonce, touch=touch),
        ]
    )


def _filled(name: str, nonce: str, touch: bool, page: str, frames: str) -> str:
    text = (files("colab_guard") / "static" / name).read_text(encoding="utf-8")
    settings = json.dumps({"nonce": nonce, "page": page, "frames": frames, "touch": touch})
    return text.replace("__SETTINGS__", settings)
