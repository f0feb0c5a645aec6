"""Executing a notebook in a real kernel without a browser, and again after each death of the kernel.

All cells run from the top in a new kernel; guarded cells take up their commits. The executed notebook is written after
every cell, by rename, so that a reader never sees half of it.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from colab_guard import hosts
from colab_guard.cli.deaths import Deaths, last_doing
from colab_guard.cli.kernel import CellDone, Kernel, KernelDied
from colab_guard.cli.seeds import hash_seed
from colab_guard.errors import UserMistake
from colab_guard.hosts import blackbox

DONE, CELL_FAILED, KEPT_DYING, CHANGED, INTERRUPTED = 0, 1, 3, 4, 130
CHANGES = ("CellChanged", "InputChanged", "DeviceMissing", "PythonChanged", "StateNotRegistered")
"""Errors after which a person decides (`--resume` or `--fresh`); nothing was run or restored."""


@dataclass(slots=True)
class _Run:
    """One notebook on its way."""

    source: Path
    target: Path
    notebook: Any
    cell_limit_s: float | None
    out: TextIO

    def say(self, line: str) -> None:
        print(line, file=self.out, flush=True)

    def write(self) -> None:
        import nbformat

        temporary = self.target.with_name(f".{self.target.name}.tmp-{os.getpid()}")
        nbformat.write(self.notebook, temporary)
        os.replace(temporary, self.target)


def run_notebook(
    path: Path,
    *,
    output: Path | None = None,
    retries: int = 3,
    cell_limit_s: float | None = None,
    out: TextIO | None = None,
) -> int:
    """Run the notebook at `path` to its end; the exit status. Writes `output` (default: the notebook itself)."""
    run = _Run(path, output or path, _read(path), cell_limit_s, out or sys.stdout)
    if not os.access(run.target.parent, os.W_OK) or run.target.is_dir():
        raise UserMistake(f"--output {run.target} cannot be written; give a file in a folder that is there")
    seed = hash_seed(cell.source for cell in run.notebook.cells if cell.cell_type == "code")
    deaths = Deaths()
    if before := blackbox.last_kernel(hosts.home(), str(path.resolve())):
        run.say(before)
    for attempt in range(retries + 1):
        kernel: Kernel | None = None
        try:
            kernel = Kernel(path, seed)
            return _run_cells(run, kernel)
        except KernelDied as death:
            run.write()
            run.say(f"the kernel died: {deaths.why(death)}")
            if at := last_doing(hosts.home(), death.pid):
                run.say(at)
            if attempt < retries:
                run.say(f"starting another one ({attempt + 1} of {retries}); guarded cells go on where they were saved")
        except KeyboardInterrupt:
            run.say("interrupted: the running cell is asked to save and stop")
            if kernel is not None:
                kernel.interrupt_and_wait()
            run.write()
            return INTERRUPTED
        finally:
            if kernel is not None:
                kernel.close()
    run.say(f"given up after {retries + 1} kernels; run the same command again to go on, or raise --retries")
    return KEPT_DYING


def _read(path: Path) -> Any:
    import nbformat

    try:
        notebook = nbformat.read(path, as_version=4)
    except OSError as error:
        raise UserMistake(f"{path} cannot be read ({error.strerror or error}); give the path of a notebook") from error
    except Exception as error:  # nbformat's own kinds of error differ between versions
        raise UserMistake(f"{path} is no notebook: {str(error).splitlines()[0][:120]}") from error
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("widgets", None)  # what widgets showed in outputs that are gone
    return notebook


def _run_cells(run: _Run, kernel: Kernel) -> int:
    cells = [cell for cell in run.notebook.cells if cell.cell_type == "code" and cell.source.strip()]
    for number, cell in enumerate(cells, start=1):
        first = cell.source.strip().splitlines()[0]
        run.say(f"[{number}/{len(cells)}] {first[:100]}")
        cell.outputs = []
        done: CellDone = kernel.execute(cell.source, on_text=lambda text: _indent(run, text), limit_s=run.cell_limit_s)
        cell.outputs, cell.execution_count = done.outputs, done.count
        run.write()
        if done.error is not None:
            run.say(f"cell {number} failed: {done.error}")
            return CHANGED if done.error.split(":")[0] in CHANGES else CELL_FAILED
    run.say("done")
    return DONE


def _indent(run: _Run, text: str) -> None:
    for line in text.rstrip("\n").splitlines():
        run.say(f"    {line}")
