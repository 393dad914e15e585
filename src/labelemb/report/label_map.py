"""The labels as a tree and as a map."""

from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter
from scipy.cluster.hierarchy import dendrogram

from labelemb.report.canvas import INK, PALE, figure, plain, save, settings, short
from labelemb.report.labels import Array, LabelView

BLUE = "#0072b2"


def draw_dendrogram(view: LabelView, out: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png: which labels join at which probability.

    The axis is the distance -ln p; the mean of the distances between two clusters is the geometric mean of p.
    """
    branches = dendrogram(view.tree, no_plot=True)
    size = len(view.names)
    with settings():
        drawing = figure(7.0, max(2.6, 0.17 * size + 1.1))
        axes = drawing.subplots()
        for near, far in zip(branches["icoord"], branches["dcoord"], strict=True):
            axes.plot(far, near, color=BLUE, linewidth=1.1)
        names = [short(view.names[leaf]) for leaf in branches["leaves"]]
        axes.set_yticks([10 * rank + 5 for rank in range(size)], names, fontsize=8)
        axes.set_ylim(10 * size, 0)
        axes.tick_params(axis="y", length=0)
        first, last = float(view.tree[0, 2]), float(view.tree[-1, 2])
        axes.set_xlim(min(first - 0.5, 0.9 * first), last + 0.05 * (last - first) + 1e-3)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda distance, _: f"{100 * np.exp(-distance):.2g} %"))
        plain(axes, view.source, "probability that the labels of two branches give each other (geometric mean)", "")
        axes.spines["left"].set_visible(False)
        return save(drawing, out, name)


def draw_map(view: LabelView, out: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png: near labels near each other, each joined to its nearest."""
    many = len(view.names) > 30
    width, height = np.ptp(view.places, axis=0)
    size = 10.0 if many else 6.0
    with settings():
        drawing = figure(size, size * float(np.clip(height / max(width, 1e-9), 0.3, 1.3)) + 0.5)
        axes = drawing.subplots()
        _links(axes, view)
        axes.scatter(view.places[:, 0], view.places[:, 1], s=14, color=BLUE, zorder=2)
        font = 6.5 if many else 10.0
        points = view.places * (72 * size / (1.2 * max(width, 1e-9)))
        names = [short(label) for label in view.names]
        for place, label, (x, y, side) in zip(view.places, names, _beside(points, names, font), strict=True):
            axes.annotate(
                label, tuple(place), (x, y), textcoords="offset points", fontsize=font, color=INK, ha=side, va="center"
            )
        axes.set_aspect("equal")
        axes.set_xticks([])
        axes.set_yticks([])
        axes.margins(0.1)
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(PALE)
        plain(axes, f"{view.source}\ndistance −ln p, p = probability that two labels give each other; SMACOF", "", "")
        return save(drawing, out, name)


def _beside(points: Array, names: list[str], font: float) -> list[tuple[float, float, str]]:
    """Return for each name where it stands beside its dot, (x, y, alignment): the first side that is free, if any.

    points  (K, 2) places of the dots; font, size of the type; both in typographic points
    """
    boxes = [(x - 3, y - 3, x + 3, y + 3) for x, y in points]
    chosen = []
    for (x, y), name in zip(points, names, strict=True):
        long = 0.62 * font * len(name)
        up = 0.9 * font
        sides = [(5.0, 0.0, "left"), (-5.0, 0.0, "right"), (0.0, up, "center"), (0.0, -up, "center")]
        sides += [(3.0, up, "left"), (3.0, -up, "left"), (-3.0, up, "right"), (-3.0, -up, "right")]
        starts = {"left": 0.0, "right": -long, "center": -long / 2}
        areas = [
            (x + dx + starts[side], y + dy - font / 2, x + dx + starts[side] + long, y + dy + font / 2)
            for dx, dy, side in sides
        ]
        crossed = [sum(a[0] < b[2] and a[2] > b[0] and a[1] < b[3] and a[3] > b[1] for b in boxes) for a in areas]
        best = crossed.index(min(crossed))
        boxes.append(areas[best])
        chosen.append(sides[best])
    return chosen


def _links(axes: Axes, view: LabelView) -> None:
    """Join each label to the one that its soft label gives most: the plane alone cannot keep every nearness."""
    for label, nearest in enumerate(nearest_labels(view)):
        ends = view.places[[label, nearest]]
        axes.plot(*ends.T, color=BLUE, alpha=0.25, linewidth=1.0, zorder=1)


def nearest_labels(view: LabelView) -> list[int]:
    """Return for each of the K labels the position of the one that its soft label gives most."""
    others = view.soft_labels.copy()
    np.fill_diagonal(others, -1.0)
    return [int(nearest) for nearest in others.argmax(axis=1)]
