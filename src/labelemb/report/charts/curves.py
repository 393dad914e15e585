"""Curves over the epochs: a pale line per seed and a bold line for the mean of each method."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from labelemb.errors import ConfigError
from labelemb.methods import BASELINE
from labelemb.report.charts.style import RULE, WIDTH, Chart, Palette, new_figure, rc_context, set_labels
from labelemb.report.experiment import Experiment, Group
from labelemb.report.methods import method_title
from labelemb.report.run import Run
from labelemb.report.wording import plural
from labelemb.training.optimizers import OptimizerSettings, learning_rate_at

Points = list[tuple[float, float]]

FEW_POINTS = 10  # evaluations; so few are marked, since the line between them was not measured
MAX_LEGEND_INSIDE = 4  # methods; more are listed below the panel, without a line per seed
TEST_LABEL = "test error (not used to select anything)"


@dataclass(frozen=True)
class Curves:
    """One quantity of one method over the epochs.

    Attributes:
        method: Name of the method.
        seeds: Seed -> ``(epoch, value)``.
        mean: Mean over the seeds at the epochs where every seed has a value.
    """

    method: str
    seeds: dict[int, Points]
    mean: Points


@dataclass(frozen=True)
class Quantity:
    """What a panel shows.

    Attributes:
        key: Key of the history; ``terms.NAME`` for a term of the loss.
        name: Name on the axis, and in the page's list.
        limits: Limits of the axis, None for automatic ones.
        is_error: Whether values of the first epochs may lie above the panel.
        with_seeds: Whether to draw a line per seed.
    """

    key: str
    name: str
    limits: tuple[float | None, float | None] = (None, None)
    is_error: bool = False
    with_seeds: bool = True


def curves_of(group: Group, key: str) -> Curves | None:
    """Return the curves of a key of the history, None when no finished run has it."""
    return mean_curves(group.method, {run.seed: points for run in group.runs if (points := run.curve(key))})


def learning_rate_curves(group: Group) -> Curves | None:
    """Return the learning rate at each evaluation, computed from the configuration; None without one."""
    return mean_curves(group.method, {run.seed: points for run in group.runs if (points := _learning_rates(run))})


def _learning_rates(run: Run) -> Points:
    if run.signature.get("recorded"):  # by another training loop, whose schedule is not known
        return []
    known = {field.name for field in fields(OptimizerSettings)}
    try:
        settings = OptimizerSettings(**{key: value for key, value in run.config.items() if key in known})
        total = int(run.history[-1]["step"])
        steps_per_epoch = total // int(run.history[-1]["epoch"])
        return [
            (epoch, learning_rate_at(int(line["step"]) - 1, total, steps_per_epoch, settings))
            for (epoch, _), line in zip(run.curve("step"), run.history, strict=True)
        ]
    except (ConfigError, KeyError, TypeError, ValueError, ZeroDivisionError):
        return []  # a run of an older version, whose configuration has other keys


def mean_curves(method: str, seeds: dict[int, Points]) -> Curves | None:
    """Return curves with their mean, None without any."""
    if not seeds:
        return None
    tables = [dict(points) for points in seeds.values()]
    shared = [epoch for epoch in tables[0] if all(epoch in table for table in tables)]
    mean = [(epoch, math.fsum(table[epoch] for table in tables) / len(tables)) for epoch in shared]
    return Curves(method, seeds, mean)


def error_limits(curves: Sequence[Curves]) -> tuple[float | None, float]:
    """Return the limits of an error axis: the first tenth of the epochs may lie above it.

    Training starts at chance level; a panel that shows all of it shows nothing of the end.
    """
    points = [points for c in curves for points in c.seeds.values()]
    last = max(epoch for line in points for epoch, _ in line)
    kept = [value for line in points for epoch, value in line if epoch > last / 10 and (epoch > 1 or last < 5)]
    highest = max(kept, default=0.0)
    top = 1.05 * highest if highest > 0 else 1.0
    lowest = min(value for line in points for _, value in line)
    return (0 if lowest < 0.3 * top else None), top


def curves_chart(
    name: str, experiment: Experiment, quantity: Quantity, found: Sequence[Curves], palette: Palette
) -> Chart:
    """Return the chart of one quantity of an experiment.

    Args:
        name: Name of the image files.
        experiment: The experiment, for the title.
        quantity: What is drawn.
        found: Curves of the methods, at least one.
        palette: Colors of the methods.
    """
    outside = len(found) > MAX_LEGEND_INSIDE
    with rc_context():
        rows = -(-len(found) // 2)
        figure = new_figure(WIDTH, 2.9 + (0.18 * rows if outside else 0))
        axes = figure.subplots()
        for curves in found:
            _draw(axes, curves, palette, quantity.with_seeds and not outside)
        if outside:
            figure.legend(frameon=False, loc="outside lower left", ncols=2)
        else:
            axes.legend(frameon=False)
        first, last = axes.dataLim.intervalx
        room = 1 if last == first else 0.02 * (last - first) if any(map(_is_marked, found)) else 0
        axes.set_xlim(first - room, last + room)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        axes.set_ylim(*(error_limits(found) if quantity.is_error else quantity.limits))
        axes.grid(axis="y", color=RULE, linewidth=0.6)
        axes.set_axisbelow(True)
        set_labels(axes, experiment.name, "epoch", quantity.name)
        axes.yaxis.label.set_fontsize(8)
    return Chart(name, figure, _description(experiment, quantity, found), axes, _readout(axes, found, palette))


def _is_marked(curves: Curves) -> bool:
    """Return whether each evaluation is a dot."""
    return len(curves.mean) <= FEW_POINTS


def _draw(axes: Axes, curves: Curves, palette: Palette, with_seeds: bool) -> None:
    color = palette.color(curves.method)
    marker = "o" if _is_marked(curves) else ""
    for seed, points in curves.seeds.items() if with_seeds else ():
        (line,) = axes.plot(*zip(*points, strict=True), color=color, alpha=0.22, linewidth=0.8, marker=marker, ms=3)
        line.set_gid(palette.element_id(curves.method, f"seed{seed}"))
    if curves.mean:
        (line,) = axes.plot(
            *zip(*curves.mean, strict=True),
            color=color,
            linewidth=2,
            linestyle="--" if curves.method == BASELINE else "-",
            marker=marker,
            markersize=4,
            label=f"{method_title(curves.method)}, {plural(len(curves.seeds), 'seed')}",
        )
        line.set_gid(palette.element_id(curves.method, "mean"))


def _readout(axes: Axes, found: Sequence[Curves], palette: Palette) -> dict[str, Any]:
    return {
        "kind": "curves",
        "x": [round(float(x), 4) for x in axes.get_xlim()],
        "methods": [
            {
                "index": palette.methods.index(curves.method),
                "n": len(curves.seeds),
                "mean": [[round(epoch, 4), float(f"{value:.5g}")] for epoch, value in curves.mean],
            }
            for curves in found
        ],
    }


def _description(experiment: Experiment, quantity: Quantity, found: Sequence[Curves]) -> str:
    ends = [
        f"{method_title(c.method)} ends at {c.mean[-1][1]:.4g} ({plural(len(c.seeds), 'seed')})"
        for c in found
        if c.mean
    ]
    return f"{experiment.name}, {quantity.name} by epoch: {'; '.join(ends)}."
