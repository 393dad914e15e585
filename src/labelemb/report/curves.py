"""Error rate over the epochs, and how the soft labels develop: a pale line per seed, a bold mean per method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from labelemb.report.aggregate import Group, Task, method_name
from labelemb.report.canvas import colour_of, figure, plain, save, settings
from labelemb.report.findings import plural

Points = list[tuple[float, float]]

MANY = 4  # methods that one panel can show with all their seeds
TEST_LABEL = "test error (drawn only, chooses nothing)"


@dataclass(frozen=True)
class Curves:
    """One quantity of one group: (epoch, value) of each seed, and their mean where every seed has a value."""

    method: str
    seeds: dict[int, Points]
    mean: Points


def curves_of(group: Group, key: str) -> Curves | None:
    """Return the curves of a key of the history lines, None when no finished run has it."""
    seeds = {run.seed: points for run in group.runs if (points := run.curve(key))}
    if not seeds:
        return None
    tables = [dict(points) for points in seeds.values()]
    shared = [epoch for epoch in tables[0] if all(epoch in table for table in tables)]
    mean = [(epoch, math.fsum(table[epoch] for table in tables) / len(tables)) for epoch in shared]
    return Curves(group.method, seeds, mean)


def ceiling(curves: Sequence[Curves]) -> float:
    """Return where a panel of errors ends at the top: the first tenth of the epochs may leave it.

    A net starts at chance, and a panel that shows all of that shows nothing of the end.
    """
    points = [points for c in curves for points in c.seeds.values()]
    last = max(epoch for line in points for epoch, _ in line)
    kept = [value for line in points for epoch, value in line if epoch > last / 10 and (epoch > 1 or last < 5)]
    highest = max(kept, default=0.0)
    return 1.05 * highest if highest > 0 else 1.0


def draw_errors(tasks: Sequence[Task], out: Path) -> list[Path]:
    """Write curves.svg and curves.png, one panel per task; nothing when no run has a test error.

    A test text is read once, at the end: where the output is text, the score of the validation text is drawn.
    """
    panels = [(task, found) for task in tasks if (found := _found(task, _drawn(task)))]
    if not panels:
        return []
    columns = min(2, len(panels))
    rows = -(-len(panels) // columns)
    with settings():
        width = 8.0 if any(len(found) > MANY for _, found in panels) else 5.6
        drawing = figure(width * columns, 3.7 * rows)
        grid = drawing.subplots(rows, columns, squeeze=False).flatten()
        for axes, (task, found) in zip(grid, panels, strict=False):
            _panel(axes, found)
            label = f"validation {task.head.name}" if task.is_text else f"{TEST_LABEL}, %"
            plain(axes, task.name, "epoch", label)
            axes.set_ylim(0 if _floor(found) < 0.3 * ceiling(found) else None, ceiling(found))
            axes.yaxis.label.set_size(8)
        for axes in grid[len(panels) :]:
            axes.set_axis_off()
        return save(drawing, out, "curves")


def draw_development(task: Task, out: Path, name: str) -> list[Path]:
    """Write how the mass on the own label and the entropy of the rows develop; nothing without an embedding."""
    parts = {
        "true_label_mass": "probability of the own label",
        "label_entropy": "entropy of the soft labels, nats",
    }
    found = {key: _found(task, key) for key in parts}
    if not any(found.values()):
        return []
    with settings():
        drawing = figure(9.6, 3.4)
        for axes, (key, label) in zip(drawing.subplots(1, 2), parts.items(), strict=True):
            plain(axes, f"{task.name}: {label}", "epoch", label)
            if found[key]:
                _panel(axes, found[key])
                axes.set_ylim(0, 1 if key == "true_label_mass" else None)
        return save(drawing, out, name)


def _found(task: Task, key: str) -> list[Curves]:
    return [curves for group in task.groups.values() if (curves := curves_of(group, key))]


def _drawn(task: Task) -> str:
    return f"valid_{task.head.key}" if task.is_text else "test_error"


def _floor(curves: Sequence[Curves]) -> float:
    return min(value for c in curves for points in c.seeds.values() for _, value in points)


def _panel(axes: Axes, found: Sequence[Curves]) -> None:
    """Draw the curves; where there are many methods the seeds soft_decay, and the names stand beside the panel."""
    methods = [curves.method for curves in found]
    many = len(methods) > MANY
    pale = 0.06 if many else 0.25
    for curves in found:
        colour = colour_of(curves.method, methods)
        marker = "o" if len(curves.mean) == 1 else ""
        for points in curves.seeds.values():
            axes.plot(*zip(*points, strict=True), color=colour, alpha=pale, linewidth=0.8, marker=marker, markersize=3)
        if curves.mean:
            axes.plot(
                *zip(*curves.mean, strict=True),
                color=colour,
                linewidth=2.2,
                linestyle="--" if curves.method == "cross_entropy" else "-",
                marker=marker,
                label=f"{method_name(curves.method)}, {_seeds(curves)}",
            )
    place: Any = {"loc": "upper left", "bbox_to_anchor": (1.0, 1.0)} if many else {"loc": "best"}
    axes.legend(frameon=False, **place)
    first, last = axes.dataLim.intervalx
    axes.set_xlim(*((first, last) if last > first else (first - 1, last + 1)))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.grid(axis="y", color="#e6e6e6", linewidth=0.6)
    axes.set_axisbelow(True)


def _seeds(curves: Curves) -> str:
    count = len(curves.seeds)
    return plural(count, "seed") if count == 1 else f"mean of {count} seeds"
