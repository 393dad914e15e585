"""How much better than the reference each method is: a dot and its 95 % interval per method, a panel per task."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes

from labelemb.report.aggregate import method_name
from labelemb.report.canvas import INK, PALE, colour_of, figure, plain, save, settings
from labelemb.report.comparison import MethodComparison, Standing
from labelemb.report.findings import plural


def draw_intervals(comparisons: Sequence[MethodComparison], out: Path) -> list[Path]:
    """Write intervals.svg and intervals.png; nothing when no method shares a seed with its reference."""
    panels = [(found, rows) for found in comparisons if (rows := [s for s in found.standings if s.paired])]
    if not panels:
        return []
    with settings():
        heights = [0.9 + 0.3 * len(rows) for _, rows in panels]
        drawing = figure(6.4, sum(heights))
        grid = drawing.subplots(len(panels), 1, squeeze=False, height_ratios=heights).flatten()
        for axes, (found, rows) in zip(grid, panels, strict=True):
            _panel(axes, rows, [standing.method for standing in found.standings])
            side = "lower" if found.head.lower else "higher"
            than = f"test {found.head.name}, points {side} than {method_name(found.reference)}, 95 % interval"
            plain(axes, f"{found.task}, {_seeds(rows)}", than, "")
        return save(drawing, out, "intervals")


def _seeds(rows: Sequence[Standing]) -> str:
    counts = sorted({standing.paired.n for standing in rows if standing.paired})
    return plural(counts[0], "paired seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} paired seeds"


def _panel(axes: Axes, rows: Sequence[Standing], methods: Sequence[str]) -> None:
    axes.axvline(0, color=PALE, linewidth=1.2, zorder=0)
    for place, standing in enumerate(rows):
        paired, colour = standing.paired, colour_of(standing.method, methods)
        assert paired is not None
        if paired.low is not None and paired.high is not None:
            axes.plot([paired.low, paired.high], [place, place], color=colour, linewidth=3, solid_capstyle="round")
        axes.plot([paired.mean], [place], "o", color=colour, markersize=7)
        axes.annotate(
            f"{paired.mean:.2f}",
            (paired.mean, place),
            (0, 6),
            textcoords="offset points",
            ha="center",
            size=7,
            color=INK,
        )
    axes.set_yticks(range(len(rows)), [method_name(standing.method) for standing in rows])
    axes.set_ylim(len(rows) - 0.4, -0.7)
    axes.spines["left"].set_visible(False)
    axes.tick_params(axis="y", length=0)
