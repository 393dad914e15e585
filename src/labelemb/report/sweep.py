"""The result of a sweep: a table, best first, its figures as CSV, and a picture. Only validation figures are read."""

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.report.aggregate import collect
from labelemb.report.canvas import INK, figure, plain, save, settings
from labelemb.report.measures import MEASURES, TEXT_MEASURES, Measure
from labelemb.report.tables import aligned
from labelemb.stats.paired import Summary, summarise

Cell = tuple[str, ...]  # a value per key of the grid
CAUTION = (
    "The best of {cells} is the best by chance too: before it is quoted, train it again with seeds that chose nothing"
)


def report_sweep(keys: Sequence[str], places: Mapping[Cell, Path], name: str, out: Path) -> tuple[str, Path]:
    """Write sweep.csv, sweep.svg and sweep.png into ``out``; return the table for a terminal, and the picture.

    keys    of the grid
    places  cell -> folder with its seeds
    name    figure of the history lines, after the last epoch

    Raises DataError when no run has the figure.
    """
    values = {cell: _by_seed(folder, name) for cell, folder in places.items()}
    found = {cell: summary for cell, seeds in values.items() if (summary := summarise(list(seeds.values())))}
    if not found:
        raise DataError(str(out), f"finished runs with {name}", "none")
    measure = measure_of(name)
    best_first = sorted(found, key=lambda cell: found[cell].mean if measure.lower else -found[cell].mean)
    rows = [[*cell, _shown(found[cell], measure)] for cell in best_first]
    text = "\n".join(aligned([[*keys, measure.title], *rows]))
    if len(found) > 1:
        text += f"\n\n{CAUTION.format(cells=len(found))}"
    write_text(out / "sweep.csv", _csv(keys, values, name))
    _, picture = draw_sweep(keys, found, measure, best_first[0], out)
    return text + "\n", picture


def measure_of(name: str) -> Measure:
    """Return how to show a figure of the validation data, and which way is better."""
    key = name.removeprefix("valid_")
    known = next((measure for measure in (*MEASURES, *TEXT_MEASURES) if measure.key == key), Measure(key, key))
    return Measure(known.key, f"validation {known.name}", known.unit, known.lower, known.digits)


def draw_sweep(
    keys: Sequence[str], found: Mapping[Cell, Summary], measure: Measure, best: Cell, out: Path
) -> list[Path]:
    """Write sweep.svg and sweep.png: rows are the first key, columns the second, a panel for each of the rest."""
    axes_of = [list(dict.fromkeys(cell[place] for cell in found)) for place in range(len(keys))]
    rows, columns, *rest = [*axes_of, *([[""]] if len(keys) == 1 else [])]
    panels = list(itertools.product(*rest))
    means = [summary.mean for summary in found.values()]
    with settings():
        width, height = 1.9 + 0.95 * len(columns), 1.3 + 0.5 * len(rows)
        drawing = figure(width * len(panels) + 0.9, height)
        grid = drawing.subplots(1, len(panels), squeeze=False).flatten()
        for axes, others in zip(grid, panels, strict=True):
            cells = [[(row, column, *others)[: len(keys)] for column in columns] for row in rows]
            matrix = np.array([[found[c].mean if c in found else np.nan for c in line] for line in cells])
            colours = "viridis_r" if measure.lower else "viridis"
            image = axes.imshow(matrix, cmap=colours, vmin=min(means), vmax=max(means), aspect="auto")
            _write_cells(axes, cells, found, measure, best)
            axes.set_xticks(range(len(columns)), columns)
            axes.set_yticks(range(len(rows)), rows)
            axes.tick_params(length=0)
            title = ", ".join(f"{key} = {value}" for key, value in zip(keys[2:], others, strict=True))
            plain(axes, title, keys[1] if len(keys) > 1 else "", keys[0])
        drawing.colorbar(image, ax=list(grid), label=f"{measure.title}, mean over seeds").outline.set_visible(False)
        return save(drawing, out, "sweep")


def _write_cells(
    axes: Axes, cells: list[list[Cell]], found: Mapping[Cell, Summary], measure: Measure, best: Cell
) -> None:
    """Write the mean into each cell, dark on light and light on dark, the best one in bold."""
    means = [summary.mean for summary in found.values()]
    middle = (min(means) + max(means)) / 2
    for y, line in enumerate(cells):
        for x, cell in enumerate(line):
            if cell in found:
                mean = found[cell].mean
                dark = mean > middle if measure.lower else mean < middle
                style: dict[str, Any] = {"weight": "bold"} if cell == best else {}
                colour = "white" if dark else INK
                axes.text(x, y, measure.shown(mean), ha="center", va="center", color=colour, **style)


def _by_seed(folder: Path, name: str) -> dict[int, float]:
    tasks, _ = collect([folder]) if any(folder.glob("*/config.yaml")) else ([], [])
    return {seed: value for task in tasks for group in task.groups.values() for seed, value in group.last(name).items()}


def _shown(summary: Summary, measure: Measure) -> str:
    deviation = "" if summary.sd is None else f" ± {measure.shown(summary.sd)}"
    return f"{measure.shown(summary.mean)}{deviation} ({summary.n})"


def _csv(keys: Sequence[str], values: Mapping[Cell, Mapping[int, float]], name: str) -> str:
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*keys, "seed", name])
    writer.writerows([*cell, seed, value] for cell, seeds in values.items() for seed, value in seeds.items())
    return file.getvalue()
