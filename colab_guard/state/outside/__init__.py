"""State outside the user's names: switches of libraries, the process, pyplot, loggers, what users register.

What enters: the process as it is at a cell's start, at its safe points and on a resume. What leaves: values that are
captured with the user's names as one graph, and the process put back: the module search path and environment before
anything is rebuilt, objects and switches before code runs, switches once more at the position (`with` blocks that are
entered again own some of them). What no adapter covers is compared and named (`watch`); `register_state` keeps it.
"""

from __future__ import annotations

from colab_guard.state.outside.outside import Outside, Taken
from colab_guard.state.outside.registered import register_state, registered_names, unregister_state

__all__ = ["Outside", "Taken", "register_state", "registered_names", "unregister_state"]
