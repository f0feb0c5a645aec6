"""`Sweep`: many runs over parameters; iterate it, and look at what came of it."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colab_guard import hosts
from colab_guard.errors import BadOption
from colab_guard.snapshots import UnitRecord
from colab_guard.sweep.iteration import SweepIterator
from colab_guard.sweep.params import checked
from colab_guard.sweep.registry import LIVE, places, sweep_again
from colab_guard.sweep.run import Run

if TYPE_CHECKING:
    import pandas

    from colab_guard.sweep.plots import Figures

SMALLER_IS_BETTER = ("loss", "error", "perplexity", "mae", "mse", "rmse", "wer")
Readers = Callable[[str], Mapping[str, Callable[[], bytes]]]


class Sweep:
    """A named list of runs. `for run in sweep:` gives those that are not finished.

    on_error  "continue": a run that fails is marked, with its traceback, and the next one begins; "stop": it raises
    metric    what `top` and `plot` rank by (default: the first metric that was logged)
    mode      "max" or "min" (default: by the metric's name)
    clear     free memory between runs
    isolate   each run in a process of its own: `run.do(train)` calls the function `train(run)` there
    """

    def __init__(
        self,
        name: str,
        params: Iterable[Mapping[str, Any]],
        *,
        on_error: str = "continue",
        metric: str | None = None,
        mode: str | None = None,
        clear: bool = True,
        isolate: bool = False,
    ) -> None:
        if not name or "/" in name or name.startswith("."):
            raise BadOption(f"{name!r} is no name for a sweep; use letters, digits, '-' and '_'")
        if on_error not in ("continue", "stop"):
            raise BadOption(f"on_error={on_error!r} means nothing; use 'continue' or 'stop'")
        if mode not in (None, "max", "min"):
            raise BadOption(f"mode={mode!r} means nothing; use 'max' or 'min'")
        self.name = name
        self.on_error = on_error
        self.metric = metric
        self.mode = mode
        self.clear = clear
        self.isolate = isolate
        self.runs = [Run(self, key, given, index) for index, (key, given) in enumerate(checked(params).items())]
        self.hidden: list[Run] = []
        self.retried: set[str] = set()
        """Runs whose failure, as commits tell it, counts no more."""
        self.governed = False
        """Whether a checkpointed cell iterates it: then runs end by their commits alone."""
        self._place = _place_of_this_kernel()
        self._by_key = {run.key: run for run in self.runs}
        earlier = LIVE.get(name)
        if earlier is not None:
            self._place = earlier._place
            # also those that this grid lacks: they are hidden, and come back with a grid that has them
            for run in [*earlier.runs, *earlier.hidden]:
                if run.finished:
                    self.run_by_key(run.key, run.params).adopt(run.record().record, run._readers)
        LIVE[name] = self

    @property
    def folder(self) -> Path:
        """Working copies of what runs saved: each NAME's, and outside guarded work each notebook's, are its own."""
        return hosts.home() / ".runs" / self._place / self.name

    @property
    def earlier_folder(self) -> Path:
        """Where they lay for all notebooks alike; only read."""
        return hosts.home() / ".runs" / self.name

    @property
    def place(self) -> str:
        """The folder's name of the work that the sweep belongs to."""
        return self._place

    def settle(self) -> None:
        """The sweep belongs to the guarded work that runs now."""
        if places:
            self._place = places[-1]

    def __iter__(self) -> SweepIterator:
        return SweepIterator(self)

    def __reversed__(self) -> SweepIterator:
        return SweepIterator(self, backwards=True)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: int) -> Run:
        return self.runs[index]

    def __repr__(self) -> str:
        counts = {word: sum(run.status == word for run in self.runs) for word in ("done", "failed", "running", "waiting")}
        told = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        return f"<Sweep {self.name}: {len(self.runs)} runs, {told}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return sweep_again, (self.name, self.made())

    def made(self) -> dict[str, Any]:
        """What a sweep like this is made of, beside its name."""
        made = {"params": [run.params for run in self.runs], "on_error": self.on_error, "metric": self.metric}
        return made | {"mode": self.mode, "clear": self.clear, "isolate": self.isolate}

    def unfinished(self) -> Iterator[Run]:
        """Runs that are neither done nor failed, in order."""
        return (run for run in self.runs if not run.finished)

    def retry_failed(self) -> int:
        """Let the failed runs run again; how many there are."""
        failed = [run for run in self.runs if run.status == "failed"]
        for run in failed:
            run.reset()
            self.retried.add(run.key)
        return len(failed)

    def begin_anew(self, units: Sequence[UnitRecord]) -> None:
        """Forget how runs ended of which `units` know nothing."""
        known = {unit.key for unit in units if unit.group == self.name}
        for run in [*self.runs, *self.hidden]:
            if run.finished and run.key not in known:
                run.reset()

    def begin_again(self) -> None:
        """Forget how a run failed that stopped the cell: that is no end."""
        for run in self.runs:
            if run.stopped:
                run.reset()

    def run_by_key(self, key: str, params: Mapping[str, Any]) -> Run:
        """The run with that key; one that the grid no longer has is kept, hidden."""
        found = self._by_key.get(key) or next((run for run in self.hidden if run.key == key), None)
        if found is None:
            found = Run(self, key, dict(params), len(self.runs) + len(self.hidden))
            self.hidden.append(found)
        return found

    def adopt(self, units: Sequence[UnitRecord], readers: Readers | None = None) -> None:
        """Take over what commits say: finished runs stay finished, those that the grid no longer has are hidden."""
        for unit in units:
            failed_before = unit.key in self.retried and unit.record["status"] == "failed"
            if unit.group == self.name and not failed_before:
                run = self.run_by_key(unit.key, unit.record["params"])  # type: ignore[arg-type]
                run.adopt(unit.record, None if readers is None else readers(unit.key))

    # results

    @property
    def results(self) -> pandas.DataFrame:
        """One row a run: parameters, status, metrics, seconds, error."""
        from colab_guard.sweep.results import frame

        return frame(self)

    def records(self) -> list[dict[str, Any]]:
        """The same as a list of dicts, without pandas."""
        from colab_guard.sweep.results import rows

        return rows(self)

    def to_csv(self, path: str | Path) -> Path:
        """Write the results as CSV."""
        from colab_guard.sweep.results import write_csv

        return write_csv(self, Path(path))

    def top(self, n: int = 5, by: str | None = None) -> pandas.DataFrame:
        """The best `n` runs by a metric."""
        from colab_guard.sweep.results import top

        return top(self, n, by)

    def plot(self, by: str | None = None) -> Figures:
        """Figures: runs ranked by a metric, and curves over steps where histories have them."""
        from colab_guard.sweep.plots import figures

        return figures(self, by)

    def export(self, folder: str | Path = ".") -> list[Path]:
        """Write results.zip (table, records, what runs saved) and plots.zip; on Colab they are downloaded too."""
        from colab_guard.sweep.export import export

        return export(self, Path(folder))

    def ranking_metric(self, by: str | None = None) -> str:
        """The metric to rank by: given, the sweep's, or the first that any run logged."""
        logged = [name for run in self.runs for name, value in run.metrics.items() if isinstance(value, (int, float))]
        wanted = by or self.metric
        if wanted is None and logged:
            wanted = logged[0]
        if wanted is None or wanted not in logged:
            known = ", ".join(dict.fromkeys(logged)) or "none yet"
            raise BadOption(f"no run has logged {wanted or 'a metric'}; logged: {known}")
        return wanted

    def smaller_is_better(self, metric: str) -> bool:
        if self.mode is not None:
            return self.mode == "min"
        return any(word in metric.lower() for word in SMALLER_IS_BETTER)


def _place_of_this_kernel() -> str:
    """For work that is not guarded: the notebook, or where nobody tells which that is, the process."""
    ipython = sys.modules.get("IPython")
    notebook = hosts.kernel_notebook(ipython.get_ipython() if ipython is not None else None)
    return f".notebook-{hashlib.sha256(notebook.encode()).hexdigest()[:16]}" if notebook else f".kernel-{os.getpid()}"
