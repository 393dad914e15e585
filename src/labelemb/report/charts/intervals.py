"""Interval plot: improvement over the reference with its 95 % interval, one row per method, one common scale."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from labelemb.report.charts.style import INK, MUTED, RULE, Chart, Palette, new_figure, rc_context, set_labels
from labelemb.report.comparison import MethodComparison, MethodResult
from labelemb.report.findings import verdict
from labelemb.report.methods import method_title
from labelemb.report.wording import plural


def intervals_chart(
    name: str, comparisons: Sequence[MethodComparison], palette: Palette, alike: float | None = None
) -> Chart | None:
    """Return the chart, None when no method shares a seed with the reference.

    Args:
        name: Name of the image files.
        comparisons: Methods compared by the same metric with the same reference; several experiments are drawn below
            each other on one scale.
        palette: Colors of the methods.
        alike: Largest difference in points that counts as equivalent, drawn as a shaded region; None for no region.
    """
    groups = [(one.experiment, [result for result in one.results if result.paired]) for one in comparisons]
    groups = [(experiment, rows) for experiment, rows in groups if rows]
    if not groups:
        return None
    results = [result for _, rows in groups for result in rows]
    labels = [label for experiment, rows in groups for label in _labels(experiment, rows, len(groups) > 1)]
    with rc_context():
        figure = new_figure(5.0, 1.15 + 0.34 * len(labels))
        axes = figure.subplots()
        if alike is not None:
            axes.axvspan(-alike, alike, color=RULE, alpha=0.6, linewidth=0, zorder=0, gid="equivalence")
        axes.axvline(0, color=MUTED, linewidth=1, zorder=1)
        for row, (_, result) in enumerate(labels):
            if result:
                _draw(axes, row, result, palette)
        axes.set_yticks(range(len(labels)), [label for label, _ in labels])
        for text, (_, result) in zip(axes.get_yticklabels(), labels, strict=True):
            text.set_fontweight("normal" if result else "bold")
        axes.set_ylim(len(labels) - 0.4, -0.75)
        axes.spines["left"].set_visible(False)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        primary, reference = comparisons[0].primary, method_title(comparisons[0].reference)
        side = "lower" if primary.lower else "higher"
        title = groups[0][0] if len(groups) == 1 else f"{len(groups)} experiments"
        measured = f"points of test {primary.name} {side} than {reference}"
        set_labels(axes, f"{title}, {_seeds(results)}", f"{measured}, 95 % interval")
    where = [f"{experiment}, " if len(groups) > 1 else "" for experiment, rows in groups for _ in rows]
    said = "; ".join(
        f"{before}{method_title(r.method)} {verdict(r, primary.lower)}"
        for before, r in zip(where, results, strict=True)
    )
    return Chart(name, figure, f"Improvement over {reference}: {said}.")


def _labels(experiment: str, rows: Sequence[MethodResult], with_header: bool) -> list[tuple[str, MethodResult | None]]:
    """Return the rows of an experiment: label, and the result to draw; None for a line with its name."""
    header: list[tuple[str, MethodResult | None]] = [(experiment, None)] if with_header else []
    return [*header, *((method_title(result.method), result) for result in rows)]


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


def _seeds(rows: Sequence[MethodResult]) -> str:
    counts = sorted({result.paired.n for result in rows if result.paired})
    return plural(counts[0], "paired seed") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} paired seeds"
