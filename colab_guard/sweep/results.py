"""A sweep's results as rows, a DataFrame and a CSV: always derived from its runs, never kept apart."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from colab_guard.errors import MissingExtra

if TYPE_CHECKING:
    import pandas

    from colab_guard.sweep.run import Run
    from colab_guard.sweep.sweep import Sweep

OWN = ("status", "seconds", "error", "not bit-exact")
"""Columns that every row has; the last one only where some run was changed so that memory sufficed."""


def rows(sweep: Sweep) -> list[dict[str, Any]]:
    """One dict a run: parameters, status, metrics, seconds, error. Names that clash get `param_`, `metric_`."""
    found = []
    changed = any(run.changes for run in sweep.runs)
    for run in sweep.runs:
        params = {f"param_{n}" if n in OWN else n: value for n, value in run.params.items()}
        metrics = {_column(run, n): value for n, value in run.metrics.items()}
        own = {"seconds": round(run.seconds, 3), "error": run.error}
        if changed:
            own["not bit-exact"] = "; ".join(run.changes)
        found.append({**params, "status": run.status, **metrics, **own})
    return found


def _column(run: Run, metric: str) -> str:
    return f"metric_{metric}" if metric in run.params or metric in OWN else metric


def frame(sweep: Sweep) -> pandas.DataFrame:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtra('sweep.results needs pandas: pip install "colab_guard[train]" (sweep.records() needs none)') from error
    return pandas.DataFrame(rows(sweep))


def write_csv(sweep: Sweep, path: Path) -> Path:
    found = rows(sweep)
    columns = list(dict.fromkeys(name for row in found for name in row))
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, columns)
        writer.writeheader()
        writer.writerows(found)
    return path


def top(sweep: Sweep, n: int, by: str | None) -> pandas.DataFrame:
    metric = sweep.ranking_metric(by)
    table = frame(sweep)
    column = f"metric_{metric}" if f"metric_{metric}" in table else metric
    ranked = table.sort_values(column, ascending=sweep.smaller_is_better(metric), kind="stable")
    return ranked[ranked["status"] == "done"].head(n)
