"""Interval plot: improvement over the reference with its 95 % interval, one row per method, one common scale."""

from matplotlib.axes import Axes

from labelemb.report.charts.style import INK, MUTED, RULE, Chart, Palette, new_figure, rc_context, set_labels
from labelemb.report.comparison import MethodComparison, MethodResult
from labelemb.report.findings import plural, verdict
from labelemb.report.methods import method_title


def intervals_chart(
    name: str, comparison: MethodComparison, palette: Palette, alike: float | None = None
) -> Chart | None:
    """Return the chart, None when no method shares a seed with the reference.

    Args:
        name: Name of the image files.
        comparison: All methods compared with the reference.
        palette: Colors of the methods.
        alike: Largest difference in points that counts as equivalent, drawn as a shaded region; None for no region.
    """
    rows = [result for result in comparison.results if result.paired]
    if not rows:
        return None
    with rc_context():
        figure = new_figure(5.0, 1.15 + 0.34 * len(rows))
        axes = figure.subplots()
        if alike is not None:
            axes.axvspan(-alike, alike, color=RULE, alpha=0.6, linewidth=0, zorder=0, gid="equivalence")
        axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
        for row, result in enumerate(rows):
            _draw(axes, row, result, palette)
        axes.set_yticks(range(len(rows)), [method_title(result.method) for result in rows])
        axes.set_ylim(len(rows) - 0.4, -0.75)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        side = "lower" if comparison.primary.lower else "higher"
        measured = f"points of test {comparison.primary.name} {side} than {method_title(comparison.reference)}"
        set_labels(axes, f"{comparison.experiment}, {_seeds(rows)}", f"{measured}, 95 % interval")
    said = "; ".join(f"{method_title(r.method)} {verdict(r, comparison.primary.lower)}" for r in rows)
    return Chart(name, figure, f"Improvement over {method_title(comparison.reference)}: {said}.")


def _draw(axes: Axes, row: int, result: MethodResult, palette: Palette) -> None:
    paired, color = result.paired, palette.color(result.method)
    assert paired is not None
    if paired.low is not None and paired.high is not None:
        ends = [paired.low, paired.high]
        axes.plot(
            ends,
            [row, row],
            color=color,
            linewidth=3,
            solid_capstyle="round",
            gid=palette.element_id(result.method, "interval"),
        )
    axes.plot([paired.mean], [row], "o", color=color, markersize=7, gid=palette.element_id(result.method, "dot"))
    place = (paired.mean, row)
    axes.annotate(f"{paired.mean:.2f}", place, (0, 6), textcoords="offset points", ha="center", size=7.5, color=INK)


def _seeds(rows: list[MethodResult]) -> str:
    counts = sorted({result.paired.n for result in rows if result.paired})
    return plural(counts[0], "paired seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} paired seeds"
