"""make_report: run folders in; tables, charts and page out."""

import shlex
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from labelemb.errors import escape_control
from labelemb.files import write_text
from labelemb.report.charts.style import Palette, save_chart
from labelemb.report.comparison import compare_all, compare_methods
from labelemb.report.conclusions import method_conclusions
from labelemb.report.corpora import load_sentences
from labelemb.report.corpus_tables import corpus_tables
from labelemb.report.csv_table import csv_table
from labelemb.report.example_tables import example_tables
from labelemb.report.examples import load_predictions
from labelemb.report.experiment import Experiment, load_experiments
from labelemb.report.labels import LabelView, Order, check_order, label_views
from labelemb.report.page.content import ExperimentContent, PageContent
from labelemb.report.page.render import write_page
from labelemb.report.pair_tables import pairs_latex, pairs_markdown
from labelemb.report.panels import (
    Panel,
    confusion_panel,
    curve_panels,
    file_slug,
    interval_panels,
    label_panels,
    people_panel,
    power_panel,
    several_panels,
)
from labelemb.report.people import ByMethod, agreement_by_method, agreement_sentences
from labelemb.report.profiles import profile_experiments
from labelemb.report.sequential import sequential_notes
from labelemb.report.several import several_lines
from labelemb.report.severity import with_severity
from labelemb.report.tables import markdown_table, text_table


@dataclass(frozen=True)
class Report:
    """What was written.

    Attributes:
        text: Tables for a terminal, with findings and warnings.
        page: Self-contained HTML page.
        tables: The tables as plain text, Markdown and CSV.
        figures: SVG and PNG files.
    """

    text: str
    page: Path
    tables: tuple[Path, ...]
    figures: tuple[Path, ...]


@dataclass(frozen=True)
class Judgements:
    """Files that judge labels and errors, from outside the runs.

    Attributes:
        human: Similarities or votes of people, .csv or .npz, to compare label embeddings with.
        groups: Group of each label, for the severity of errors.
    """

    human: Path | None = None
    groups: Path | None = None


def make_report(
    folders: Iterable[Path | str],
    out: Path | str,
    labels: Sequence[str] | None = None,
    order: Order = "cluster",
    reference: str | None = None,
    alike: float | None = None,
    judgements: Judgements = Judgements(),
) -> Report:
    """Read the runs at or below the folders and write a report. Nothing is written when there is an error.

    Args:
        folders: Folders with runs.
        out: Folder to write to.
        labels: Names of the labels to display, in this order. None: all.
        order: Order of the heat maps: ``"cluster"`` or ``"given"``.
        reference: Method to compare with. None: cross entropy if present, otherwise the first method.
        alike: Largest difference in points that counts as equivalent, chosen before looking at results.
        judgements: Votes of people, and a grouping of the labels.

    Raises:
        DataError: A folder has no runs, a file is damaged, or a label name is unknown (with close matches).
        ConfigError: Unknown order, or a reference that an experiment does not have.
    """
    check_order(order)
    sources, out = [Path(folder) for folder in folders], Path(out)
    experiments, warnings = load_experiments(sources)
    if judgements.groups:
        experiments = with_severity(experiments, judgements.groups)
    people = agreement_by_method(experiments, judgements.human, judgements.groups) if judgements.human else {}
    people_lines = agreement_sentences(people)
    views, view_warnings = label_views([group for each in experiments for group in each.groups.values()], labels)
    warnings += [*view_warnings, *(note for each in experiments for note in sequential_notes(each))]
    tables = _tables(experiments, warnings, reference, alike, people_lines)

    methods = list(dict.fromkeys(method for each in experiments for method in each.groups))
    palette = Palette(methods)
    intervals = interval_panels(compare_all(experiments, reference), palette, alike)
    contents = [_content(each, views, order, palette, reference, alike, intervals) for each in experiments]
    contents = [_with_people(content, people.get(content.experiment.name, {})) for content in contents]
    together = profile_experiments(experiments, reference)
    page = PageContent(
        experiments=contents,
        methods=methods,
        colors=[palette.color(method) for method in methods],
        warnings=warnings,
        command=_command(sources, out, labels, order, reference, alike) + _judged(judgements),
        reference=reference,
        sentences=several_lines(experiments, reference),
        several=several_panels(together, palette) if together else [],
        intervals=[panel for panel in intervals if not panel.experiment],
        alike=alike,
        people=people_lines,
    )

    for name, content in tables.items():
        write_text(out / name, content)
    panels = [*page.intervals, *page.several, *(panel for each in contents for panel in _panels(each))]
    choices = [choice for panel in panels for choice in panel.choices if choice.has_files]
    figures = [path for choice in choices for path in save_chart(choice.chart, choice.svg, out)]
    write_page(page, out / "report.html")
    return Report(tables["table.txt"], out / "report.html", tuple(out / name for name in tables), tuple(figures))


def _tables(
    experiments: Sequence[Experiment],
    warnings: Sequence[str],
    reference: str | None,
    alike: float | None,
    people_lines: Sequence[str],
) -> dict[str, str]:
    """Return name -> content of the files with tables, without control characters; none that is empty."""
    people = "".join(f"\n{line}\n" for line in people_lines)
    tables = {
        "table.txt": text_table(experiments, warnings, reference, alike) + people,
        "table.md": markdown_table(experiments, warnings, reference, alike) + people,
        "table.csv": csv_table(experiments),
        "pairs.md": pairs_markdown(experiments),
        "pairs.tex": pairs_latex(experiments),
    }
    return {name: escape_control(content) for name, content in tables.items() if content}


def _content(
    experiment: Experiment,
    views: Sequence[LabelView],
    order: Order,
    palette: Palette,
    reference: str | None,
    alike: float | None,
    intervals: Sequence[Panel],
) -> ExperimentContent:
    comparison = compare_methods(experiment, reference)
    mine = [view for view in views if view.experiment == experiment.name]
    panels = [panel for panel in intervals if panel.experiment == experiment.name]
    panels += curve_panels(experiment, palette)
    examples = []
    if comparison:
        examples = example_tables(experiment, comparison.reference)
        examples += corpus_tables(load_sentences(experiment), comparison.reference)
    more = (comparison and power_panel(comparison), confusion_panel(experiment.name, load_predictions(experiment)))
    panels += [panel for panel in more if panel]
    names = [file_slug(experiment.name if len(mine) == 1 else f"{experiment.name}-{view.method}") for view in mine]
    labels = [(view, label_panels(view, order, name)) for view, name in zip(mine, names, strict=True)]
    conclusions = method_conclusions(comparison, alike) if comparison else []
    return ExperimentContent(experiment, comparison, panels, labels, conclusions, examples)


def _with_people(content: ExperimentContent, found: ByMethod) -> ExperimentContent:
    panel = people_panel(content.experiment.name, found)
    return replace(content, panels=[*content.panels, panel]) if panel else content


def _panels(content: ExperimentContent) -> list[Panel]:
    return [*content.panels, *(panel for _, panels in content.views for panel in panels)]


def _command(
    folders: Sequence[Path],
    out: Path,
    labels: Sequence[str] | None,
    order: Order,
    reference: str | None,
    alike: float | None,
) -> str:
    words = ["labelemb", "report", *map(str, folders), "--out", str(out)]
    if labels is not None:
        words += ["--labels", ",".join(labels)]
    if order != "cluster":
        words += ["--order", order]
    if reference is not None:
        words += ["--reference", reference]
    if alike is not None:
        words += ["--alike", f"{alike:g}"]
    return shlex.join(words)


def _judged(judgements: Judgements) -> str:
    given = {"--human": judgements.human, "--groups": judgements.groups}
    return "".join(f" {option} {shlex.quote(str(path))}" for option, path in given.items() if path)
