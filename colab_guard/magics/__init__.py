"""The words that the user types in a notebook: `%keepalive`, `%memguard`, `%%checkpointed` and `%guard`.

A magic is a thin adapter: it parses its line (`parsing`, `grammar`), calls the Python twin of the same words and prints the one
line that comes back. What enters is text, what leaves is a call; nothing here knows how anything is done. The twin is
given by whoever installs the magics and is seen through the `Twins` protocol alone.
"""

from __future__ import annotations

from colab_guard.magics.install import install
from colab_guard.magics.twins import Twins

__all__ = ["Twins", "install"]
