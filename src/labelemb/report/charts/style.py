"""What all charts share: fonts, colors, reproducible files, and SVG that can be embedded in the page."""

import io
import re
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter

from labelemb.errors import escape_control
from labelemb.files import write_atomically, write_text
from labelemb.report.methods import method_color

INK, MUTED, RULE, PAPER, ACCENT = "#1b1f24", "#57606a", "#d8dde3", "#ffffff", "#0072b1"
MASKED = "#dbe8f4"  # heat map cells that are left out: no shade of the scale
# Replaced in the page, so that charts follow its color scheme.
_VARIABLES = {INK: "--ink", MUTED: "--soft", RULE: "--line", ACCENT: "--accent"}
WIDTH = 4.4  # inches: still legible at the width of a phone
_RC: Any = {
    "figure.facecolor": PAPER,
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Helvetica", "Arial", "sans-serif"],
    "font.size": 9,
    "text.color": INK,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.facecolor": PAPER,
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.fontsize": 8,
    "text.parse_math": False,  # label names are not formulas
    "svg.fonttype": "none",  # text stays text, in every script, and can be searched
    "svg.hashsalt": "labelemb",
}
_NUMBERS = re.compile(r' (d|x|y|x1|x2|y1|y2|width|height|transform)="[^"]*"')


@dataclass(frozen=True)
class Palette:
    """Colors and element ids of the methods in all charts of a report.

    Attributes:
        methods: Names of all methods in the report.
    """

    methods: Sequence[str]

    def color(self, method: str) -> str:
        """Return the color of a method."""
        return method_color(method, self.methods)

    def element_id(self, method: str, part: str) -> str:
        """Return the id by which the page finds the elements of a method, ``m3-mean`` for example."""
        return f"m{self.methods.index(method)}-{part}"


@dataclass(frozen=True)
class Chart:
    """One chart: two image files and a figure of the page.

    Attributes:
        name: Name of the image files, without suffix.
        figure: The drawing.
        description: Text alternative.
        axes: Where the pointer reads values, None for nowhere.
        readout: Data for these values, in the form that ``charts.js`` expects.
    """

    name: str
    figure: Figure
    description: str
    axes: Axes | None = None
    readout: dict[str, Any] = field(default_factory=dict)

    def axes_box(self) -> list[float]:
        """Return left, top, right and bottom of the axes in units of the SVG, once ``svg_text`` has laid it out."""
        assert self.axes is not None
        width, height = self.figure.get_size_inches() * 72
        box = self.axes.get_position()
        edges = box.x0 * width, (1 - box.y1) * height, box.x1 * width, (1 - box.y0) * height
        return [round(float(edge), 2) for edge in edges]


def rc_context() -> Any:
    """Return the context manager in which every chart is built."""
    return matplotlib.rc_context(_RC)


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of that size in inches with automatic layout."""
    return Figure(figsize=(width, height), layout="constrained")


def set_labels(axes: Axes, title: str, x: str = "", y: str = "") -> None:
    """Set title and axis labels."""
    axes.set_title(title, wrap=True)
    axes.set_xlabel(x)
    axes.set_ylabel(y)


def truncate(name: str, length: int = 24) -> str:
    """Return a name as one printable line of at most ``length`` characters."""
    line = "".join(letter for letter in " ".join(name.split()) if letter.isprintable())
    return line if len(line) <= length else line[: length - 1] + "…"


def svg_text(figure: Figure) -> str:
    """Return a figure as SVG; equal figures give equal text."""
    buffer = io.StringIO()
    _escape_texts(figure)
    with rc_context(), warnings.catch_warnings():
        # A script that the installed fonts lack: boxes in the PNG, correct in the SVG and on the page.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(buffer, format="svg", metadata={"Date": None})
        figure.set_layout_engine("none")  # laid out: writing the PNG need not do it again
    return buffer.getvalue()


def _escape_texts(figure: Figure) -> None:
    """Escape control characters, and parts of file names that are not UTF-8, in all texts: fonts cannot draw them."""
    for text in figure.findobj(Text):
        text.set_text(escape_control(text.get_text()))
        if "$" in text.get_text():  # matplotlib measures what it wraps as a formula, whatever "text.parse_math" says
            text.set_wrap(False)
    for axis in (axis for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FuncFormatter):  # set_xticks names ticks by one; they become texts when they are drawn
            formatter.func = partial(_escaped, formatter.func)


def _escaped(name_of: Callable[..., str], value: float, position: int | None) -> str:
    return escape_control(name_of(value, position))


def save_chart(chart: Chart, svg: str, out: Path) -> list[Path]:
    """Write ``NAME.svg`` and ``NAME.png`` and return their paths."""
    paths = [out / f"{chart.name}.svg", out / f"{chart.name}.png"]
    write_text(paths[0], svg)
    with rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        write_atomically(
            paths[1],
            lambda file: chart.figure.savefig(file, format="png", dpi=200, metadata={"Software": None}),
        )
    return paths


def inline_svg(svg: str, prefix: str, colors: Mapping[str, str]) -> str:
    """Return SVG that can stand in an HTML page: unique ids, colors of the page, no header, short numbers.

    Args:
        svg: What ``svg_text`` returns.
        prefix: Put before every id.
        colors: Colors to be replaced by CSS variables, beside those of the style itself.
    """
    body = svg[svg.index("<svg ") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, count=1, flags=re.S)
    viewbox = re.search(r'viewBox="[^"]*"', body)
    assert viewbox is not None
    body = f"<svg {viewbox[0]}>" + body[body.index(">") + 1 :]
    body = re.sub(r' id="([^"]*)"', rf' id="{prefix}-\1"', body)
    body = re.sub(r'url\(#|href="#', lambda found: f"{found[0]}{prefix}-", body).replace("xlink:href", "href")
    body = _NUMBERS.sub(lambda found: re.sub(r"(\d\.\d)\d+", r"\1", found[0]), body)
    body = body.replace(f": {PAPER}", ": none")
    for color, variable in (_VARIABLES | dict(colors)).items():
        body = body.replace(f": {color}", f": var({variable})")
    return re.sub(r"\n\s*", "\n", body)
