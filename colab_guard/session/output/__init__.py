"""What a guarded cell prints and displays: recorded while it runs, kept with each snapshot, shown again on a resume.

What enters: text of the standard streams and displays, as they are made (`taps`). What leaves: parts of a commit, named
`output/…` (`record` tells their format: JSON lines and bytes, nothing is pickled), and on a resume the same output again
(`replay`), in order and once, before the cell goes on. This room within the session knows nothing of files and stores.

A commit holds what was said up to its safe point. What came after that is said again by the code that runs again.
"""

from __future__ import annotations

from colab_guard.session.output.cell import CellOutput
from colab_guard.session.output.record import PREFIX

__all__ = ["PREFIX", "CellOutput"]
