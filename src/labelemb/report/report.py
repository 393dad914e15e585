"""make_report: run folders in; table, figures and page out."""

import re
import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from labelemb.files import write_text
from labelemb.report.aggregate import Task, collect
from labelemb.report.comparison import comparisons
from labelemb.report.curves import draw_development, draw_errors
from labelemb.report.heatmap import draw_heatmap
from labelemb.report.intervals import draw_intervals
from labelemb.report.label_map import draw_dendrogram, draw_map
from labelemb.report.labels import LabelView, Order, check_order, label_views
from labelemb.report.page import PageContent, write_page
from labelemb.report.tables import csv_table, markdown_table, text_table


@dataclass(frozen=True)
class Report:
    """What was made.

    text     the table for a terminal, with findings and warnings
    page     the self-contained HTML page
    tables   the table as plain text, Markdown and CSV
    figures  SVG and PNG files
    """

    text: str
    page: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]


def make_report(
    folders: Iterable[Path | str],
    out: Path | str,
    labels: Sequence[str] | None = None,
    order: Order = "cluster",
    reference: str | None = None,
) -> Report:
    """Read the runs at or below the folders and write the report into ``out``; runs are only read.

    labels     names of the labels to draw, in this order; None: all
    order      of the heat maps: "cluster" or "given"
    reference  method that the others are compared with; None: one-hot where it is there, else the first

    Raises DataError for folders without runs, damaged files and unknown label names (with close matches); ConfigError
    for an unknown order and a reference that a task lacks. Nothing is written then.
    """
    check_order(order)
    places, out = [Path(folder) for folder in folders], Path(out)
    tasks, warnings = collect(places)
    views, more = label_views([group for task in tasks for group in task.groups.values()], labels)
    warnings += more
    text = text_table(tasks, warnings, reference)
    page = out / "report.html"
    tables = {"table.txt": text, "table.md": markdown_table(tasks, warnings, reference), "table.csv": csv_table(tasks)}
    for name, content in tables.items():
        write_text(out / name, content)
    figures = [*_figures(tasks, views, order, out), *draw_intervals(comparisons(tasks, reference), out)]
    command = _command(places, out, labels, order, reference)
    write_page(PageContent(tasks, views, warnings, order, command, reference), page)
    return Report(text, page, tuple(out / name for name in tables), tuple(figures))


def _figures(tasks: Sequence[Task], views: Sequence[LabelView], order: Order, out: Path) -> list[Path]:
    paths = draw_errors(tasks, out)
    for view in views:
        alone = sum(other.task == view.task for other in views) == 1
        name = _slug(view.task if alone else f"{view.task}-{view.method}")
        paths += draw_heatmap(view, order, out, f"heatmap-{name}")
        paths += draw_dendrogram(view, out, f"dendrogram-{name}")
        paths += draw_map(view, out, f"map-{name}")
    for task in tasks:
        paths += draw_development(task, out, f"development-{_slug(task.name)}")
    return paths


def _slug(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name)


def _command(
    folders: Sequence[Path], out: Path, labels: Sequence[str] | None, order: Order, reference: str | None
) -> str:
    words = ["labelemb", "report", *map(str, folders), "--out", str(out)]
    if labels is not None:
        words += ["--labels", ",".join(labels)]
    if order != "cluster":
        words += ["--order", order]
    if reference is not None:
        words += ["--reference", reference]
    return shlex.join(words)
