"""Labels as a tree and as a map."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from scipy.cluster.hierarchy import dendrogram

from labelemb.report.charts.style import ACCENT, INK, RULE, Chart, new_figure, rc_context, set_labels, truncate
from labelemb.report.label_layout import Array
from labelemb.report.labels import LabelView

_MANY = 30  # labels; a map of more needs a larger figure


def tree_chart(name: str, view: LabelView) -> Chart:
    """Return the dendrogram: the probability at which labels join.

    The axis is the distance -ln p; the mean distance of two clusters corresponds to the geometric mean of p.
    """
    branches = dendrogram(view.tree, no_plot=True)
    size = len(view.names)
    with rc_context():
        figure = new_figure(5.2, max(2.6, 0.17 * size + 1.1))
        axes = figure.subplots()
        for near, far in zip(branches["icoord"], branches["dcoord"], strict=True):
            axes.plot(far, near, color=ACCENT, linewidth=1.1)
        names = [truncate(view.names[leaf]) for leaf in branches["leaves"]]
        axes.set_yticks([10 * rank + 5 for rank in range(size)], names, fontsize=8)
        axes.set_ylim(10 * size, 0)
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        first, last = float(view.tree[0, 2]), float(view.tree[-1, 2])
        axes.set_xlim(min(first - 0.5, 0.9 * first), last + 0.05 * (last - first) + 1e-3)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda distance, _: f"{100 * np.exp(-distance):.2g} %"))
        set_labels(axes, view.source, "geometric mean of the probabilities between two branches")
        axes.spines["left"].set_visible(False)
    order = ", ".join(view.names[leaf] for leaf in branches["leaves"])
    return Chart(name, figure, f"Tree of {size} labels, {view.source}, in the order {order}.")


def map_chart(name: str, view: LabelView) -> Chart:
    """Return the map: similar labels near each other, each connected to its nearest."""
    many = len(view.names) > _MANY
    width, height = np.ptp(view.coordinates, axis=0)
    size = 8.0 if many else 5.2
    with rc_context():
        figure = new_figure(size, size * float(np.clip(height / max(width, 1e-9), 0.3, 1.2)) + 0.5)
        axes = figure.subplots()
        for label, nearest in enumerate(nearest_labels(view)):  # two dimensions cannot show all of them as near
            axes.plot(*view.coordinates[[label, nearest]].T, color=ACCENT, alpha=0.25, linewidth=1.0, zorder=1)
        axes.scatter(view.coordinates[:, 0], view.coordinates[:, 1], s=14, color=ACCENT, zorder=2)
        _write_names(axes, view, 6.5 if many else 9.5, 72 * size / (1.2 * max(width, 1e-9)))
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.margins(0.1)
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(RULE)
        set_labels(axes, view.source)
    return Chart(
        name, figure, f"Map of {len(view.names)} labels, {view.source}. The list of similar labels has the numbers."
    )


def nearest_labels(view: LabelView) -> list[int]:
    """Return for each of the K labels the position of the one with the largest share of its soft label."""
    others = view.soft_labels.copy()
    np.fill_diagonal(others, -1.0)
    return [int(nearest) for nearest in others.argmax(axis=1)]


def _write_names(axes: Axes, view: LabelView, font: float, points_per_unit: float) -> None:
    names = [truncate(label) for label in view.names]
    places = _free_places(view.coordinates * points_per_unit, names, font)
    for point, label, (x, y, side) in zip(view.coordinates, names, places, strict=True):
        axes.annotate(
            label, tuple(point), (x, y), textcoords="offset points", fontsize=font, color=INK, ha=side, va="center"
        )


def _free_places(points: Array, names: list[str], font: float) -> list[tuple[float, float, str]]:
    """Return for each name the offset from its dot and its alignment: the first place that covers nothing, if any.

    Args:
        points: Coordinates of the K dots in typographic points, (K, 2).
        names: Names of the labels.
        font: Font size in points.
    """
    boxes = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    chosen = []
    for (x, y), name in zip(points, names, strict=True):
        length, up = 0.62 * font * len(name), 0.9 * font
        sides = [(5.0, 0.0, "left"), (-5.0, 0.0, "right"), (0.0, up, "center"), (0.0, -up, "center")]
        sides += [(3.0, up, "left"), (3.0, -up, "left"), (-3.0, up, "right"), (-3.0, -up, "right")]
        starts = {"left": 0.0, "right": -length, "center": -length / 2}
        areas = [
            (x + dx + starts[side], y + dy - font / 2, x + dx + starts[side] + length, y + dy + font / 2)
            for dx, dy, side in sides
        ]
        covered = [sum(a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1] for b in boxes) for a in areas]
        best = covered.index(min(covered))
        boxes.append(areas[best])
        chosen.append(sides[best])
    return chosen
