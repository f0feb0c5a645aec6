"""What only Colab offers a notebook: its machine given back, and a file handed to the browser.

The functions are those of `google.colab`, looked up when they are called; `fake_colab` stands in for them in tests.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


class NotReleased(Exception):
    """The machine could not be given back; the text says why. It is still there, and nothing was lost."""


def release() -> None:
    """Give this machine back: `google.colab.runtime.unassign()`, after which the kernel and the disk are gone.

    Raises NotReleased where there is nothing to call, or Colab refuses.
    """
    runtime = _part("runtime", "unassign")
    if runtime is None:
        raise NotReleased("only Colab lets a notebook give its machine back")
    try:
        runtime.unassign()
    except Exception as error:  # Colab's RuntimeManagementError, or whatever its request to the machine's service raises
        raise NotReleased(f"Colab did not take the machine back: {type(error).__name__}: {error}") from error


def download(path: Path) -> str:
    """Hand `path` to the browser, which needs an open tab; "" where that was done, else why not. Never raises for it."""
    files = _part("files", "download")
    if files is None:
        return "no browser to hand it to: it is on this machine's disk"
    try:
        files.download(str(path))
    except Exception as error:  # without an open tab there is nobody to take it; the file is there all the same
        return str(error)
    return ""


def _part(name: str, function: str) -> Any:
    """`google.colab.<name>` where this is Colab's kernel, else None."""
    if "google.colab" not in sys.modules:
        return None
    try:
        return __import__(f"google.colab.{name}", fromlist=[function])
    except ImportError:
        return None
