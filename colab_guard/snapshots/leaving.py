"""How work that was asked to stop is left: unwound by one exception, shown to people as another."""

from __future__ import annotations


class Stopped(KeyboardInterrupt):
    """Work stopped at a safe point, as asked; its text says what is saved and how to go on."""

    def _render_traceback_(self) -> list[str]:
        return [f"Stopped: {self}"]


class Leaving(BaseException):
    """Unwinds a cell that is saved and is to stop; whoever runs it turns this into `Stopped`.

    No KeyboardInterrupt, since the user's own `except KeyboardInterrupt` would end the training that is to go on later.
    """
