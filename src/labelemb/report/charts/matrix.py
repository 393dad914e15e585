"""Matrices of labels by labels as gray-scale images: soft labels and confusion matrices."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from numpy.typing import NDArray

from labelemb.report.charts.style import (
    MASKED,
    RULE,
    Chart,
    new_figure,
    rc_context,
    set_labels,
    truncate,
)


def matrix_chart(
    name: str,
    matrix: NDArray[np.float64],
    names: Sequence[str],
    title: str,
    axis_names: tuple[str, str, str],
    sentence: str,
) -> Chart:
    """Return a heat map with the diagonal left out. V labels.

    The scale starts at the smallest and ends at the largest value off the diagonal, which would hardly show beside it.

    Args:
        name: Name of the image files.
        matrix: Values, (V, V).
        names: Names of the V labels, in the order of the matrix.
        title: Title of the chart.
        axis_names: Names of rows, columns and values.
        sentence: What the page says of a cell, with ``{row}``, ``{column}`` and ``{value}`` to be filled in.
    """
    size = len(names)
    masked = np.ma.masked_where(np.eye(size, dtype=bool), matrix)
    short = [truncate(label, 18) for label in names]
    side = min(max(3.6, 0.085 * size + 1.5), 12.0)
    with rc_context():
        figure = new_figure(side + 1.1, side + 0.5)
        axes = figure.subplots()
        lowest, highest = float(masked.min()), float(masked.max())
        image = axes.imshow(masked, cmap=_greys(), vmin=lowest, vmax=highest, interpolation="nearest")
        font = 8 if size <= 30 else 5.5
        upright = max(map(len, short)) <= 2 and size <= 30
        axes.set_xticks(range(size), short, rotation=0 if upright else 90, fontsize=font)
        axes.set_yticks(range(size), short, fontsize=font)
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(True)
            spine.set_color(RULE)
        set_labels(axes, title, axis_names[1], axis_names[0])
        figure.colorbar(image, ax=axes, shrink=0.75, pad=0.02, label=axis_names[2]).outline.set_visible(False)
    readout = {
        "kind": "matrix",
        "names": list(names),
        "values": [[float(f"{value:.3g}") for value in row] for row in matrix.tolist()],
        "sentence": sentence,
    }
    return Chart(name, figure, f"{title}: {axis_names[2]} for {size} labels.", axes, readout)


def _greys() -> Any:
    return colormaps["Greys"].with_extremes(bad=MASKED)
