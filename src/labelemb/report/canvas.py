"""What all figures share: colours, type, and files that are the same for the same numbers."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from labelemb.files import write_atomically
from labelemb.methods import METHODS

_COLORS = {method.name: method.color for method in METHODS.values() if method.color}
# Variants of a method share these; each shows on white and on black.
_OTHERS = ("#b15928", "#8da0cb", "#e7298a", "#1b9e77", "#4d4d4d")
_TYPE: Any = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "text.parse_math": False,  # names of labels are no formulas
    "svg.fonttype": "none",  # text stays text: every script shows, and the words can be searched
    "svg.hashsalt": "labelemb",
}
INK, PALE = "#222222", "#d0d0d0"


def colour_of(method: str, methods: Sequence[str]) -> str:
    """Return the colour of a method; the known methods always have the same."""
    others = [other for other in methods if other not in _COLORS]
    return _COLORS[method] if method in _COLORS else _OTHERS[others.index(method) % len(_OTHERS)]


def figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches that lays itself out."""
    return Figure(figsize=(width, height), layout="constrained")


def settings() -> Any:
    """Return the context in which every figure is built."""
    return matplotlib.rc_context(_TYPE)


def plain(axes: Axes, title: str, x: str, y: str) -> None:
    """Give axes their words."""
    axes.set_title(title)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def short(name: str, most: int = 24) -> str:
    """Return a name that leaves room for the figure: one line that an SVG can hold, its end cut off when it is long."""
    line = "".join(letter for letter in " ".join(name.split()) if letter.isprintable())
    return line if len(line) <= most else line[: most - 1] + "…"


def save(drawing: Figure, out: Path, name: str) -> list[Path]:
    """Write NAME.svg and NAME.png; the same numbers give the same bytes."""
    paths = [out / f"{name}.svg", out / f"{name}.png"]
    with settings(), warnings.catch_warnings():
        # A label in a script that the fonts of this machine lack: a box in the PNG, right in the SVG and on the page.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        write_atomically(paths[0], lambda file: drawing.savefig(file, format="svg", metadata={"Date": None}))
        write_atomically(
            paths[1], lambda file: drawing.savefig(file, format="png", dpi=160, metadata={"Software": None})
        )
    return paths
