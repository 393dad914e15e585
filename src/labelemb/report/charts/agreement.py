"""Learned similarity against human similarity: a scatter plot, and two heat maps in one order. V labels."""

from collections.abc import Sequence

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, NullFormatter
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from labelemb.metrics.agreement import off_diagonal, spearman
from labelemb.report.charts.style import (
    ACCENT,
    INK,
    MASKED,
    MUTED,
    RULE,
    Chart,
    new_figure,
    rc_context,
    set_labels,
    truncate,
)
from labelemb.report.label_layout import label_distances

Matrix = NDArray[np.float64]
NAMED = 4  # pairs whose names are written beside their points


def scatter_chart(
    name: str, names: Sequence[str], similarity: Matrix, human: Matrix, groups: Sequence[str] | None, title: str
) -> Chart:
    """Return a point per directed pair of labels; pairs of one group in color.

    Args:
        name: Name of the image files.
        names: V label names.
        similarity: Learned similarity, (V, V).
        human: Similarity by people, (V, V).
        groups: V group names, None for none.
        title: Title of the chart.
    """
    by_people, learned = off_diagonal(human), off_diagonal(similarity)
    x, y = _drawable(by_people), _drawable(learned)
    same = np.zeros(len(x), bool) if groups is None else _same(groups)
    correlation = spearman(similarity, human)
    with rc_context():
        figure = new_figure(5.4, 4.8)
        axes = figure.subplots()
        size = 18 if len(x) < 500 else 5
        axes.scatter(x[~same], y[~same], s=size, color=MUTED, alpha=0.5, linewidths=0, label="pairs across groups")
        if same.any():
            axes.scatter(x[same], y[same], s=size, color=ACCENT, alpha=0.8, linewidths=0, label="pairs of one group")
            axes.legend(frameon=False, loc="upper left", markerscale=2)
        for axis, values in ((axes.xaxis, by_people), (axes.yaxis, learned)):
            if _is_log(values):
                (axes.set_xscale if axis is axes.xaxis else axes.set_yscale)("log")
                axis.set_major_formatter(FormatStrFormatter("%g"))
                axis.set_minor_formatter(NullFormatter())
        _name_pairs(axes, names, x, y)
        zero = " (left edge: none)" if _is_log(by_people) and (by_people == 0).any() else ""
        set_labels(axes, f"{title}\nSpearman {correlation:.3f}", f"similarity by people{zero}", "learned similarity")
    said = f"{title}: learned similarity against that of people, rank correlation {correlation:.3f}."
    return Chart(name, figure, said)


def heatmaps_chart(
    name: str, names: Sequence[str], similarity: Matrix, human: Matrix, groups: Sequence[str] | None, title: str
) -> Chart:
    """Return the two similarities side by side in one order, the diagonal left out.

    The order is that of the groups, and within or without them by clusters of the learned similarity. Arguments as for
    ``scatter_chart``.
    """
    order = _order(similarity, groups)
    short = [truncate(names[place], 18) for place in order]
    side = min(max(3.8, 0.075 * len(names) + 1.2), 9.0)
    with rc_context():
        figure = new_figure(2 * side + 1.4, 0.92 * side + 0.4)
        left, right = figure.subplots(1, 2)
        _draw_matrix(figure, left, similarity[np.ix_(order, order)], short)
        _draw_matrix(figure, right, human[np.ix_(order, order)], short)
        set_labels(left, "learned similarity")
        set_labels(right, "similarity by people")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
    return Chart(name, figure, f"{title}: learned similarity and that of people for {len(names)} labels.")


def _draw_matrix(figure: Figure, axes: Axes, matrix: Matrix, names: Sequence[str]) -> None:
    """Draw a matrix in greys by the square root: a few pairs are far nearer than all others."""
    shown = np.ma.masked_where(np.eye(len(names), dtype=bool), matrix)
    lowest = float(shown.min())
    roots = np.sqrt(shown - lowest)
    image = axes.imshow(roots, cmap=colormaps["Greys"].with_extremes(bad=MASKED), interpolation="nearest")
    font = 8 if len(names) <= 30 else 4
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font)
    axes.set_yticks(range(len(names)), names, fontsize=font)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(RULE)
    bar = figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02)
    bar.outline.set_visible(False)
    ticks = np.linspace(0, float(roots.max()), 4)
    bar.set_ticks(ticks.tolist(), labels=[f"{tick**2 + lowest:.2g}" for tick in ticks])


def _order(similarity: Matrix, groups: Sequence[str] | None) -> list[int]:
    scaled = similarity - off_diagonal(similarity).min()
    distances = label_distances(scaled / float(off_diagonal(scaled).max()))
    tree = linkage(squareform(distances, checks=False), method="average", optimal_ordering=True)
    clustered = [int(leaf) for leaf in leaves_list(tree)]
    if groups is None:
        return clustered
    first = {groups[place]: rank for rank, place in reversed(list(enumerate(clustered)))}
    return sorted(clustered, key=lambda place: first[groups[place]])


def _same(groups: Sequence[str]) -> NDArray[np.bool_]:
    names = np.array(groups)
    same: NDArray[np.bool_] = (names[:, None] == names[None])[~np.eye(len(groups), dtype=bool)]
    return same


def _is_log(values: Matrix) -> bool:
    """Return whether a logarithmic axis suits: no negative values, and more than one order of magnitude."""
    positive = values[values > 0]
    return bool((values >= 0).all() and len(positive) and positive.max() > 30 * positive.min())


def _drawable(values: Matrix) -> Matrix:
    """Return the values; zeros, where the axis is logarithmic, as half of the smallest other value."""
    return np.where(values > 0, values, values[values > 0].min() / 2) if _is_log(values) else values


def _name_pairs(axes: Axes, names: Sequence[str], x: Matrix, y: Matrix) -> None:
    """Write the names of the pairs that people find nearest."""
    pairs = [(one, other) for one in range(len(names)) for other in range(len(names)) if one != other]
    for place in np.argsort(-x, kind="stable")[:NAMED].tolist():
        said = f"{truncate(names[pairs[place][0]], 14)}, {truncate(names[pairs[place][1]], 14)}"
        axes.annotate(said, (x[place], y[place]), (-4, 3), textcoords="offset points", size=6.5, color=INK, ha="right")
