"""Rendering of the page with Jinja: charts, style and script inside one file, nothing loaded from the network."""

import base64
import hashlib
import math
from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from labelemb.errors import escape_control
from labelemb.files import write_text
from labelemb.report.charts.style import inline_svg
from labelemb.report.labels import LabelView
from labelemb.report.methods import method_title
from labelemb.report.page.content import (
    RESULT_COLUMNS,
    PageContent,
    finding,
    method_tables,
    provenance,
    result_rows,
    seeds_tables,
    warning_lines,
)
from labelemb.report.panels import Choice, Panel
from labelemb.report.wording import mean_of_seeds

_SCRIPTS = ("page.js", "charts.js", "neighbors.js")


def write_page(content: PageContent, path: Path) -> None:
    """Write the page atomically."""
    write_text(path, escape_control(render_page(content)))


def render_page(content: PageContent) -> str:
    """Return the page.

    Names of labels, experiments and notes are not trusted: the template escapes all text, the script writes them as
    text only, and a content security policy allows no other script than the page's own.
    """
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    charts = _Charts({color: f"--m{index}" for index, color in enumerate(content.colors)})
    return environment.from_string(_asset("page.html")).render(
        policy=Markup(f"default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{digest}'"),
        style=Markup(_asset("page.css")),
        script=Markup(script),
        chart=charts.inline,
        data=lambda: _data(content, charts),
        titles=[method_title(method) for method in content.methods],
        colors=content.colors,
        **_context(content),
    )


def _context(content: PageContent) -> dict[str, Any]:
    """Return the variables of the template."""
    experiments = [each.experiment for each in content.experiments]
    panels = [panel for each in content.experiments for panel in each.panels]
    return {
        "findings": [(finding(each, content.reference), _of(each.panels, "findings")) for each in content.experiments],
        "intervals": content.intervals,
        "alike": content.alike,
        "seeds": seeds_tables(content.experiments),
        "warnings": warning_lines(content),
        "columns": RESULT_COLUMNS,
        "rows": result_rows(experiments),
        "method_tables": method_tables(content.experiments),
        "sections": {panel.section: _of(panels, panel.section) for panel in panels},
        "examples": [(each.experiment.name, each.examples) for each in content.experiments if each.examples],
        "views": [pair for each in content.experiments for pair in each.views],
        "several": content.several,
        "people": content.people,
        "sentences": content.sentences,
        "origins": [found for experiment in experiments if (found := provenance(experiment))],
        "command": content.command,
    }


def _of(panels: Any, section: str) -> list[Panel]:
    return [panel for panel in panels if panel.section == section]


class _Charts:
    """Numbers the charts of the page and keeps the data for values under the pointer."""

    def __init__(self, colors: Mapping[str, str]) -> None:
        self.colors = colors
        self.readouts: dict[str, Any] = {}

    def inline(self, choice: Choice) -> Markup:
        """Return the SVG of a chart."""
        number = f"c{len(self.readouts)}"
        self.readouts[number] = self._readout(choice)
        svg = inline_svg(choice.svg, number, self.colors)
        label = Markup.escape(choice.chart.description)
        return Markup(svg.replace("<svg ", f'<svg id="{number}" role="img" aria-label="{label}" tabindex="0" ', 1))

    def _readout(self, choice: Choice) -> Any:
        chart = choice.chart
        return {**chart.readout, "box": chart.axes_box()} if chart.axes else None


def _data(content: PageContent, charts: _Charts) -> Any:
    """Return the data that the script reads; called after all charts are in the page."""
    return _without_nan(
        {
            "methods": [method_title(method) for method in content.methods],
            "charts": {number: readout for number, readout in charts.readouts.items() if readout},
            "views": [_neighbors(view) for each in content.experiments for view, _ in each.views],
        }
    )


def _neighbors(view: LabelView) -> Any:
    near = [[[name, round(value, 6)] for name, value in found] for found in view.neighbors]
    return {"names": view.names, "neighbors": near, "seeds": mean_of_seeds(view.seeds)}


def _asset(name: str) -> str:
    return (resources.files("labelemb.report.page") / name).read_text(encoding="utf-8")


def _without_nan(data: Any) -> Any:
    """Return data with null for infinities and NaN, which JSON cannot hold; diverged runs have them."""
    if isinstance(data, dict):
        return {key: _without_nan(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [_without_nan(value) for value in data]
    return None if isinstance(data, float) and not math.isfinite(data) else data
