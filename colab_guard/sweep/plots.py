"""Figures of a sweep: runs ranked by a metric, and curves over steps. Drawn without pyplot, so nothing global changes."""

from __future__ import annotations

import base64
import io
import math
from typing import TYPE_CHECKING, Any

from colab_guard.errors import MissingExtra
from colab_guard.sweep.memory import picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colab_guard.sweep.run import Run
    from colab_guard.sweep.sweep import Sweep

INK, ACCENT, PALE, FAILED = "#1f2937", "#2563eb", "#c7d2fe", "#b91c1c"
ROW_INCHES = 0.24
MOST_CURVES = 10


class Figures(list["Figure"]):
    """Figures that a notebook shows as pictures when they are a cell's last value."""

    def _repr_html_(self) -> str:
        return "".join(f'<img style="max-width:100%" src="data:image/png;base64,{_encoded(figure)}">' for figure in self)


def _encoded(figure: Figure) -> str:
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=100)
    return base64.b64encode(picture.getvalue()).decode()


def figures(sweep: Sweep, by: str | None = None) -> Figures:
    """The ranked bars, the curves where at least one run logged with steps, and memory by run where this kernel noted it."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtra('sweep.plot needs matplotlib: pip install "colab_guard[train]"') from error
    metric = sweep.ranking_metric(by)
    found = Figures([_ranked(Figure, sweep, metric)])
    for name in _stepped(sweep):
        found.append(_curves(Figure, sweep, name, metric))
    memory = picture(Figure, sweep.name)
    return Figures([*found, memory]) if memory is not None else found


def _sorted(sweep: Sweep, metric: str) -> list[Run]:
    """Runs that have the metric, best first."""
    having = [run for run in sweep.runs if run.status != "failed" and _finite(run.metrics.get(metric))]
    return sorted(having, key=lambda run: run.metrics[metric], reverse=not sweep.smaller_is_better(metric))


def _finite(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _ranked(figure_class: Any, sweep: Sweep, metric: str) -> Figure:
    runs = _sorted(sweep, metric)
    failed = [run for run in sweep.runs if run.status == "failed"]
    lost = [run for run in sweep.runs if run.status != "failed" and run not in runs and metric in run.metrics]
    count = len(runs) + len(failed) + len(lost)
    figure: Figure = figure_class(figsize=(8, 1.1 + ROW_INCHES * max(count, 3)), layout="constrained")
    axes = figure.subplots()
    values = [run.metrics[metric] for run in runs]
    best = min(5, len(runs))
    axes.barh(range(len(runs)), values, color=[ACCENT] * best + [PALE] * (len(runs) - best), height=0.72)
    room = (max([*values, 0]) - min([*values, 0])) or 1.0
    for place, value in enumerate(values):
        axes.text(value + 0.008 * room, place, f"{value:.4g}", va="center", fontsize=7.5, color=INK)
    for place, run in enumerate(failed, start=len(runs)):
        axes.text(0, place, f" failed: {run.error[:70]}", va="center", fontsize=7.5, color=FAILED)
    for place, run in enumerate(lost, start=len(runs) + len(failed)):
        axes.text(0, place, f" {metric}: {run.metrics[metric]}", va="center", fontsize=7.5, color=FAILED)
    axes.set_yticks(range(count), [run.label for run in [*runs, *failed, *lost]], fontsize=7.5, color=INK)
    axes.set_ylim(count - 0.4, -0.6)
    axes.set_xlim(min([*values, 0]), max([*values, 0]) + 0.1 * room)
    axes.set_xlabel(metric, color=INK)
    axes.set_title(f"{sweep.name}: {len(runs)} of {len(sweep)} runs by {metric}", loc="left", fontsize=11, color=INK)
    _plain_axes(axes)
    axes.tick_params(axis="y", length=0)
    return figure


def _stepped(sweep: Sweep) -> list[str]:
    """Metrics that some run logged with at least two steps."""
    names: dict[str, int] = {}
    for run in sweep.runs:
        for name in {key for entry in run.history if "step" in entry for key in entry if key != "step"}:
            points = sum(1 for entry in run.history if "step" in entry and isinstance(entry.get(name), (int, float)))
            names[name] = max(names.get(name, 0), points)
    return [name for name, points in names.items() if points > 1]


def _curves(figure_class: Any, sweep: Sweep, name: str, metric: str) -> Figure:
    figure: Figure = figure_class(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    ranked = _sorted(sweep, metric)
    rest = [run for run in sweep.runs if run not in ranked]
    for place, run in reversed(list(enumerate([*ranked, *rest]))):
        points = [(e["step"], e[name]) for e in run.history if "step" in e and isinstance(e.get(name), (int, float))]
        if not points:
            continue
        steps, values = zip(*points, strict=True)
        if place < MOST_CURVES:
            axes.plot(steps, values, linewidth=1.5, label=run.label)
        else:
            axes.plot(steps, values, linewidth=0.7, color="#d1d5db", zorder=1)
    axes.set_xlabel("step", color=INK)
    axes.set_ylabel(name, color=INK)
    axes.set_title(f"{sweep.name}: {name} by step", loc="left", fontsize=11, color=INK)
    handles, labels = axes.get_legend_handles_labels()
    if handles:  # the best is drawn last, so that it lies on top, and is named first
        axes.legend(handles[::-1], labels[::-1], fontsize=7, frameon=False, title=f"best by {metric}", title_fontsize=7.5)
    _plain_axes(axes)
    return figure


def _plain_axes(axes: Any) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=7.5)
