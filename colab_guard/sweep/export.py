"""Results to take away: results.zip and plots.zip."""

from __future__ import annotations

import io
import json
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

from colab_guard import hosts
from colab_guard.errors import BadOption, StoreDamaged

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from colab_guard.sweep.sweep import Sweep


def export(sweep: Sweep, folder: Path) -> list[Path]:
    """Write both files into `folder` and give their paths; on Colab the browser is asked to download them."""
    folder.mkdir(parents=True, exist_ok=True)
    made = [_results(sweep, folder / "results.zip")]
    drawn: list[Figure]
    try:
        drawn = sweep.plot()
    except BadOption:
        drawn = []  # nothing logged that could be drawn
    if drawn:
        made.append(folder / "plots.zip")
        with zipfile.ZipFile(made[-1], "w", zipfile.ZIP_DEFLATED) as archive:
            for number, figure in enumerate(drawn):
                picture = io.BytesIO()
                figure.savefig(picture, format="png", dpi=150)
                archive.writestr(f"{number + 1:02d}.png", picture.getvalue())
    _download(made)
    return made


def _results(sweep: Sweep, path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        table = path.with_suffix(".csv.tmp")
        sweep.to_csv(table)
        archive.write(table, "results.csv")
        table.unlink()
        archive.writestr("results.json", json.dumps([dict(run.record().record) for run in sweep.runs], indent=1))
        missing: list[str] = []
        for run in sweep.runs:
            for name in run.saved():
                try:
                    archive.write(run.path(name), f"runs/{run.index:03d}-{run.key}/{name}")
                except StoreDamaged as damage:
                    missing.append(f"{run.label}: {name}: {damage}")
        if missing:
            archive.writestr("MISSING.txt", "\n".join(missing))
            told = f"{len(missing)} of the saved files; the first is {missing[0]} (all in its MISSING.txt)"
            print(f"not in {path}, since they are damaged: {told}", file=sys.stderr)
    return path


def _download(paths: list[Path]) -> None:
    if "google.colab" not in sys.modules:
        return
    for path in paths:
        if error := hosts.download(path):
            print(f"{path} is written, but could not be handed to the browser: {error}", file=sys.stderr)
