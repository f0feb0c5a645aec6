"""Code as resumable code: a cell's source is rewritten so that it can be left at a safe point and entered there again.

What enters: the text of a cell, the user's namespace, an engine to take snapshots with, policies for its loops and
loops of libraries. What leaves: the value of the last expression, the user's names as an ordinary run would have left
them, and safe points that the engine hears of. This room knows nothing of bytes and files.

How it works, in five points. (1) `source` sends the text through the shell's transforms and compiles it; `rewrite`
instruments the tree. (2) While the code runs, its loops (`loops`) pass safe points to `runtime`; when a snapshot is
due, `frames` notes the point, the arms of the branches taken, and the place in every loop on the way. (3) `scope`
knows which names belong to the snapshot and which of them the rest of the cell needs. (4) On a resume names are set,
the rewritten code runs with `R` true, skips what is done and enters again what was open, until the point is reached;
random state is set last. (5) `execute` wraps this, with one traceback and the last expression's value.
"""

from __future__ import annotations

from colab_guard.cells.edits import Edit, RangeChange, compare
from colab_guard.cells.execute import Execution, try_capture
from colab_guard.cells.grids import LIBRARY, GridChange
from colab_guard.cells.long_calls import COMMAND
from colab_guard.cells.points import CELL, FrameInfo
from colab_guard.cells.protocols import Decision, LibraryLoop, LoopNeeds, LoopPolicy, PolicyFactory, Recovery
from colab_guard.cells.reads import input_names, iterated_names, names_bound
from colab_guard.cells.recipes import Recipes
from colab_guard.cells.scope import DEFINITIONS, Scope
from colab_guard.cells.source import CompiledCell, compile_cell
from colab_guard.cells.survey import SeenCall, SeenLoop, Survey, survey

__all__ = [
    "CELL",
    "COMMAND",
    "DEFINITIONS",
    "LIBRARY",
    "CompiledCell",
    "Decision",
    "Edit",
    "Execution",
    "FrameInfo",
    "GridChange",
    "LibraryLoop",
    "LoopNeeds",
    "LoopPolicy",
    "PolicyFactory",
    "RangeChange",
    "Recipes",
    "Recovery",
    "Scope",
    "SeenCall",
    "SeenLoop",
    "Survey",
    "compare",
    "compile_cell",
    "input_names",
    "iterated_names",
    "names_bound",
    "survey",
    "try_capture",
]
