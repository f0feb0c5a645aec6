"""The picture of memory over a sweep: a saw-tooth, one tooth a run, that should stay under its line and end where it began.

What is drawn was noted in this kernel: the GPU's reserved memory where there is a GPU, else the host's.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, LINE, BAND, LIMIT = "#1f2937", "#2563eb", "#f3f4f6", "#b91c1c"
SIGNS = {"clear": ("v", "#059669", "cleared"), "pressure": ("^", LIMIT, "memory short"), "recovery": ("D", "#d97706", "recovered")}
MOST_LABELS = 20
GIB = 2**30
Span = tuple[float, float, str]


class Sample(Protocol):
    """Memory at a moment: seconds since the epoch, bytes."""

    @property
    def at(self) -> float: ...
    @property
    def host_used(self) -> int: ...
    @property
    def host_limit(self) -> int: ...
    @property
    def gpu_reserved(self) -> int | None: ...
    @property
    def gpu_total(self) -> int | None: ...
    @property
    def gpu_guard(self) -> int | None: ...


class Mark(Protocol):
    """What happened: `kind` is "clear", "pressure", "recovery", "unit" (one of `sweep` begins) or "unit end"."""

    @property
    def at(self) -> float: ...
    @property
    def kind(self) -> str: ...
    @property
    def text(self) -> str: ...
    @property
    def sweep(self) -> str: ...


class Series(Protocol):
    """What the memory guard notes, oldest first."""

    @property
    def samples(self) -> Sequence[Sample]: ...
    @property
    def marks(self) -> Sequence[Mark]: ...


_series: list[Series] = []


def watch(series: Series) -> None:
    """`series` is that of this kernel."""
    _series[:] = [series]


def picture(figure_class: Any, sweep: str) -> Figure | None:
    """The figure; None where nothing was noted while runs of `sweep` were under way in this kernel."""
    if not _series:
        return None
    marks = _series[0].marks
    spans = _spans([mark for mark in marks if mark.sweep == sweep])
    if not spans:
        return None
    begin, end = spans[0][0], max(until for _, until, _ in spans)
    samples = [sample for sample in _series[0].samples if begin <= sample.at <= end]
    if len(samples) < 2:
        return None
    return _drawn(figure_class, sweep, samples, spans, [mark for mark in marks if begin <= mark.at <= end + 5 and mark.kind in SIGNS])


def _spans(marks: Sequence[Mark]) -> list[Span]:
    """From when to when each run was under way, and its label; one that still is has no end."""
    found: list[Span] = []
    for mark in marks:
        if mark.kind == "unit":
            found.append((mark.at, float("inf"), mark.text))
        elif found and found[-1][2] == mark.text:
            found[-1] = (found[-1][0], mark.at, mark.text)
    return found


def _drawn(figure_class: Any, sweep: str, samples: Sequence[Sample], spans: Sequence[Span], marks: Sequence[Mark]) -> Figure:
    figure: Figure = figure_class(figsize=(8, 4.2), layout="constrained")
    axes = figure.subplots()
    began = samples[0].at
    on_gpu = all(sample.gpu_reserved is not None for sample in samples)
    used = [(sample.gpu_reserved if on_gpu else sample.host_used) or 0 for sample in samples]
    _draw_runs(axes, spans, began, samples[-1].at)
    axes.plot([_minutes(sample.at, began) for sample in samples], [count / GIB for count in used], color=LINE, linewidth=1.4)
    limit, name = _line(samples[-1], on_gpu)
    axes.axhline(limit / GIB, color=LIMIT, linewidth=1, linestyle="--", label=name)
    for kind, (sign, color, words) in SIGNS.items():
        at = [mark.at for mark in marks if mark.kind == kind]
        if at:
            heights = [used[_nearest(samples, moment)] / GIB for moment in at]
            axes.plot([_minutes(moment, began) for moment in at], heights, sign, color=color, markersize=5, label=words, linestyle="none")
    axes.set_ylim(0, max([limit, *used]) / GIB * 1.08)
    axes.set_xlabel("minutes", color=INK)
    axes.set_ylabel("GPU memory reserved (GiB)" if on_gpu else "host memory used (GiB)", color=INK)
    axes.set_title(f"{sweep}: memory by run, in this kernel", loc="left", fontsize=11, color=INK)
    axes.legend(fontsize=7, frameon=False, loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.tick_params(colors=INK, labelsize=7.5)
    return figure


def _draw_runs(axes: Any, spans: Sequence[Span], began: float, over: float) -> None:
    """Every other run on a band of its own, and their labels where these can be read."""
    for number, (start, until, label) in enumerate(spans):
        left, right = _minutes(start, began), _minutes(min(until, over), began)
        if number % 2 == 0:
            axes.axvspan(left, right, color=BAND, zorder=0, linewidth=0)
        if len(spans) <= MOST_LABELS:
            way = {"rotation": 90, "ha": "center", "va": "bottom", "fontsize": 7, "color": INK}
            axes.text((left + right) / 2, 0.01, label, transform=axes.get_xaxis_transform(), **way)


def _line(last: Sample, on_gpu: bool) -> tuple[int, str]:
    if not on_gpu:
        return last.host_limit, "host memory's limit"
    return (last.gpu_guard, "guard") if last.gpu_guard is not None else (last.gpu_total or 0, "all GPU memory")


def _nearest(samples: Sequence[Sample], at: float) -> int:
    return min(range(len(samples)), key=lambda number: abs(samples[number].at - at))


def _minutes(at: float, began: float) -> float:
    return (at - began) / 60
