"""Heat map of the soft labels, softmax(E): in full, and with the own labels left out."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labelemb.report.canvas import PALE, figure, plain, save, settings, short
from labelemb.report.labels import LabelView, Order


def draw_heatmap(view: LabelView, order: Order, out: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png: both axes in the same order, grey scale with a bar.

    Each scale ends at the largest probability that it shows; right the own labels are left out, since beside them the
    others hardly show.
    """
    positions = view.order(order)
    names = [short(view.names[position]) for position in positions]
    matrix = view.soft_labels[np.ix_(positions, positions)]
    others = np.ma.masked_where(np.eye(len(names), dtype=bool), matrix)
    side = min(max(4.0, 0.085 * len(names) + 1.5), 24.0)
    with settings():
        drawing = figure(2 * side + 2.0, side + 0.7)
        full, rest = drawing.subplots(1, 2)
        _panel(drawing, full, matrix, names, float(matrix.max()))
        plain(full, "soft labels", "probability given to", "soft label of")
        _panel(drawing, rest, others, names, float(others.max()))
        plain(rest, "soft labels, own labels left out", "probability given to", "soft label of")
        drawing.suptitle(caption(view, order), x=0.01, ha="left", fontsize=max(11.0, 1.4 * side))
        return save(drawing, out, name)


def caption(view: LabelView, order: Order) -> str:
    """Say what the heat map shows."""
    return f"{view.source}, order {'by cluster' if order == 'cluster' else 'as given'}"


def _panel(drawing: Figure, axes: Axes, matrix: Any, names: list[str], top: float) -> None:
    image = axes.imshow(matrix, cmap=_greys(), vmin=0.0, vmax=top, interpolation="nearest")
    size = 8 if len(names) <= 30 else 5.5
    upright = max(map(len, names)) <= 2 and len(names) <= 30
    axes.set_xticks(range(len(names)), names, rotation=0 if upright else 90, fontsize=size)
    axes.set_yticks(range(len(names)), names, fontsize=size)
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(True)
        spine.set_color(PALE)
    bar = drawing.colorbar(image, ax=axes, shrink=0.75, pad=0.02, label="probability")
    bar.outline.set_visible(False)


def _greys() -> Any:
    return colormaps["Greys"].with_extremes(bad="#e8f0f8")  # the own labels left out: no shade of the scale
