"""The result of a sweep: a table sorted by validation metric, the values as CSV, and a chart."""

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes

from labelemb.csv_cells import write_rows
from labelemb.errors import DataError
from labelemb.files import write_text
from labelemb.report.charts.style import INK, Chart, new_figure, rc_context, save_chart, set_labels, svg_text
from labelemb.report.comparison import format_summary
from labelemb.report.experiment import load_experiments
from labelemb.report.metric import METRICS_OF, TEXT_METRICS, Metric
from labelemb.report.tables import align
from labelemb.stats.paired import Summary, summarize

Cell = tuple[str, ...]  # a value per key of the grid
_CAUTION = (
    "The best of {cells} cells is partly the best by chance: before you report it, train it again with other seeds"
)


def report_sweep(keys: Sequence[str], folders: Mapping[Cell, Path], key: str, out: Path) -> tuple[str, Path]:
    """Write ``sweep.csv``, ``sweep.svg`` and ``sweep.png``.

    Args:
        keys: Options that were varied.
        folders: Cell of the grid -> folder with its seeds.
        key: Validation metric of the history, as of the last epoch.
        out: Folder to write to.

    Returns:
        The table for a terminal, and the path of the PNG.

    Raises:
        DataError: No finished run has the metric.
    """
    values = {cell: _by_seed(folder, key) for cell, folder in folders.items()}
    found = {cell: summary for cell, seeds in values.items() if (summary := summarize(list(seeds.values())))}
    if not found:
        raise DataError(str(out), f"finished runs with {key}", "none")
    metric = validation_metric(key)
    best_first = sorted(found, key=lambda cell: found[cell].mean if metric.lower else -found[cell].mean)
    rows = [[*cell, format_summary(found[cell], metric, with_count=True)] for cell in best_first]
    text = "\n".join(align([[*keys, metric.title], *rows]))
    if len(found) > 1:
        text += f"\n\n{_CAUTION.format(cells=len(found))}"
    write_text(out / "sweep.csv", _csv(keys, values, key))
    chart = sweep_chart(keys, found, metric, best_first[0])
    _, picture = save_chart(chart, svg_text(chart.figure), out)
    return text + "\n", picture


def validation_metric(key: str) -> Metric:
    """Return how to display a metric of the validation data, and which direction is better."""
    name = key.removeprefix("valid_")
    known = next(
        (metric for metric in (*METRICS_OF["vision"], *TEXT_METRICS) if metric.key == name), Metric(name, name)
    )
    return replace(known, name=f"validation {known.name}")


def sweep_chart(keys: Sequence[str], found: Mapping[Cell, Summary], metric: Metric, best: Cell) -> Chart:
    """Return the grid as a heat map: rows are the first key, columns the second, a panel per value of the others."""
    values = [list(dict.fromkeys(cell[position] for cell in found)) for position in range(len(keys))]
    rows, columns, *rest = [*values, *([[""]] if len(keys) == 1 else [])]
    panels = list(itertools.product(*rest))
    means = [summary.mean for summary in found.values()]
    with rc_context():
        width, height = 1.9 + 0.95 * len(columns), 1.3 + 0.5 * len(rows)
        figure = new_figure(width * len(panels) + 0.9, height)
        grid = figure.subplots(1, len(panels), squeeze=False).flatten()
        for axes, others in zip(grid, panels, strict=True):
            cells = [[(row, column, *others)[: len(keys)] for column in columns] for row in rows]
            matrix = np.array([[found[c].mean if c in found else np.nan for c in line] for line in cells])
            colors = "viridis_r" if metric.lower else "viridis"
            image = axes.imshow(matrix, cmap=colors, vmin=min(means), vmax=max(means), aspect="auto")
            _write_cells(axes, cells, found, metric, best)
            axes.set_xticks(range(len(columns)), columns)
            axes.set_yticks(range(len(rows)), rows)
            axes.tick_params(length=0)
            title = ", ".join(f"{key} = {value}" for key, value in zip(keys[2:], others, strict=True))
            set_labels(axes, title, keys[1] if len(keys) > 1 else "", keys[0])
        figure.colorbar(image, ax=list(grid), label=f"{metric.title}, mean over seeds").outline.set_visible(False)
    return Chart("sweep", figure, f"{metric.title} of {len(found)} cells of the grid of {', '.join(keys)}.")


def _write_cells(
    axes: Axes, cells: list[list[Cell]], found: Mapping[Cell, Summary], metric: Metric, best: Cell
) -> None:
    """Write the mean into each cell, white on dark and black on light, the best in bold."""
    means = [summary.mean for summary in found.values()]
    middle = (min(means) + max(means)) / 2
    for y, line in enumerate(cells):
        for x, cell in enumerate(line):
            if cell in found:
                mean = found[cell].mean
                dark = mean > middle if metric.lower else mean < middle
                style: dict[str, Any] = {"weight": "bold"} if cell == best else {}
                color = "white" if dark else INK
                axes.text(x, y, metric.format(mean), ha="center", va="center", color=color, **style)


def _by_seed(folder: Path, key: str) -> dict[int, float]:
    experiments, _ = load_experiments([folder]) if any(folder.glob("*/config.yaml")) else ([], [])
    groups = [group for experiment in experiments for group in experiment.groups.values()]
    return {seed: value for group in groups for seed, value in group.last(key).items()}


def _csv(keys: Sequence[str], values: Mapping[Cell, Mapping[int, float]], key: str) -> str:
    file = io.StringIO()
    rows = ([*cell, seed, value] for cell, seeds in values.items() for seed, value in seeds.items())
    write_rows(file, [[*keys, "seed", key], *rows])
    return file.getvalue()
