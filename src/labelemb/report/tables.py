"""Result tables as plain text and Markdown: one row per experiment, then one row per method."""

from collections.abc import Sequence

from labelemb.methods import BASELINE
from labelemb.report.checks import comparability_warnings, unfinished_runs
from labelemb.report.comparison import MISSING, compare_all, compare_methods, comparison_cells, severity_cells
from labelemb.report.conclusions import conclusion_lines
from labelemb.report.corpora import load_sentences
from labelemb.report.corpus_tables import corpus_lines
from labelemb.report.example_tables import example_lines
from labelemb.report.experiment import ErrorReduction, Experiment
from labelemb.report.findings import findings
from labelemb.report.methods import method_rank, method_title
from labelemb.report.metric import ERROR
from labelemb.report.run import SELECTIONS, Selection
from labelemb.report.several import several_lines
from labelemb.report.tradeoffs import tradeoff_sentences
from labelemb.stats.paired import Summary

# Columns of the table of experiments; other methods have a row each in the table of all methods.
_COLUMNS = (BASELINE, "label_embedding", "frozen_embedding")
_ERRORS = (
    "Test error in percent: mean ± sample standard deviation over seeds (number of seeds).",
    "Reduction: points, and share of the one-hot error. Seconds per epoch: median of training time.",
)
_TEXT = ("Scores of the test text: mean ± sample standard deviation over seeds (number of seeds).",)
_INTERVALS = (
    "Intervals: 95 %, mean of the differences between runs with the same seed, Student's t; p: the paired permutation",
    "test of that mean, corrected for the number of methods (Holm).",
)


def text_table(
    experiments: Sequence[Experiment],
    warnings: Sequence[str] = (),
    reference: str | None = None,
    alike: float | None = None,
) -> str:
    """Return tables, findings, data notes and warnings for a terminal.

    Args:
        experiments: Experiments with their runs.
        warnings: Warnings from reading the runs.
        reference: Method to compare with. None: cross entropy if present, otherwise the first method.
        alike: Largest difference in points that counts as equivalent; None for no test of equivalence.
    """
    parts = _definitions(experiments)
    for title, cells in _tables(experiments, reference).items():
        parts += ["", f"{title}:", *align(cells)]
    for title, lines in _sections(experiments, warnings, reference, alike).items():
        parts += ["", f"{title}:", *(f"- {line}" for line in lines)]
    return "\n".join(parts) + "\n"


def markdown_table(
    experiments: Sequence[Experiment],
    warnings: Sequence[str] = (),
    reference: str | None = None,
    alike: float | None = None,
) -> str:
    """Return the content of ``text_table`` as Markdown."""
    parts = [" ".join(_definitions(experiments))]
    for title, cells in _tables(experiments, reference).items():
        head, *rows = [[_escape(cell) for cell in row] for row in cells]
        lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] + ["---:"] * (len(head) - 1), *rows)]
        parts += ["", f"**{title}**", "", *lines]
    for title, lines in _sections(experiments, warnings, reference, alike).items():
        parts += ["", f"{title}:", "", *(f"- {_escape(line)}" for line in lines)]
    return "\n".join(parts) + "\n"


def align(rows: Sequence[Sequence[str]]) -> list[str]:
    """Return the lines of a table for a terminal; the first row is the header."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "─" * len(max(lines, key=len)), *lines[1:]]


def _tables(experiments: Sequence[Experiment], reference: str | None) -> dict[str, list[list[str]]]:
    """Return title -> cells: errors by experiment for each selection, then each experiment by method.

    The second table is left out where it would repeat the first: two methods and a single metric.
    """
    images = [experiment for experiment in experiments if not experiment.is_text]
    tables = {
        SELECTIONS[selection][0].upper() + SELECTIONS[selection][1:]: _error_cells(images, selection)
        for selection in SELECTIONS
        if images and (selection == "last" or _any_error(images, selection))
    }
    for found in compare_all(experiments, reference):
        if len(found.results) > 2 or len(found.metrics) > 1 or reference:
            is_error = found.primary == ERROR
            when = "test data after the last epoch" if is_error else "the test text, read once at the end"
            tables[f"{found.experiment}: all methods, {when}"] = comparison_cells(found)
        if found.severity_metrics:
            title = f"{found.experiment}: severity of errors and order by confidence, test data after the last epoch"
            tables[title] = severity_cells(found)
    return tables


def _error_cells(experiments: Sequence[Experiment], selection: Selection) -> list[list[str]]:
    methods = sorted({method for experiment in experiments for method in experiment.groups}, key=method_rank)
    methods = [method for method in methods if method in _COLUMNS] or methods
    others = [method for method in methods if method != BASELINE] if BASELINE in methods else []
    head = ["task", *map(method_title, methods)]
    head += [f"reduction, {method_title(method)}" if len(others) > 1 else "reduction" for method in others]
    rows = [[*head, "seconds per epoch"]]
    for experiment in experiments:
        if selection != "last" and not _any_error([experiment], selection):
            continue  # trained without validation data
        groups = [experiment.groups.get(method) for method in methods]
        row = [experiment.name, *(_mean(group.summary(selection) if group else None) for group in groups)]
        row += [_reduction(experiment.error_reduction(method, selection)) for method in others]
        seconds = [group.seconds if group else None for group in groups]
        row.append(" → ".join(MISSING if value is None else f"{value:.3g}" for value in seconds))
        rows.append(row)
    return rows


def _any_error(experiments: Sequence[Experiment], selection: Selection) -> bool:
    return any(group.summary(selection) for experiment in experiments for group in experiment.groups.values())


def _mean(summary: Summary | None) -> str:
    if summary is None:
        return MISSING
    deviation = "" if summary.sd is None else f" ± {summary.sd:.2f}"
    return f"{summary.mean:.2f}{deviation} ({summary.n})"


def _reduction(reduction: ErrorReduction | None) -> str:
    if reduction is None:
        return MISSING
    relative = "" if reduction.relative is None else f" ({100 * reduction.relative:.1f} %)"
    return f"{reduction.absolute:.2f}{relative}"


def _sections(
    experiments: Sequence[Experiment], warnings: Sequence[str], reference: str | None, alike: float | None
) -> dict[str, list[str]]:
    """Return title -> lines of what stands below the tables."""
    metrics = " or ".join(dict.fromkeys(experiment.primary_metric.name for experiment in experiments))
    differences = [line for experiment in experiments for line in comparability_warnings(experiment, reference)]
    compared = [compare_methods(experiment, reference) for experiment in experiments]
    sections = {
        f"Findings, by the test {metrics} after the last epoch": [
            line for experiment in experiments for line in findings(experiment, reference)
        ],
        "Conclusions, and paired seeds that small differences need (80 % power)": [
            line for found in compare_all(experiments, reference) for line in conclusion_lines(found, alike)
        ],
        "Seeds and test examples together, both as samples (95 % interval)": [
            line
            for found, experiment in zip(compared, experiments, strict=True)
            if found
            for line in (
                *example_lines(experiment, found.reference),
                *corpus_lines(experiment.name, load_sentences(experiment), found.reference),
            )
        ],
        "All experiments together": several_lines(experiments, reference),
        "Gains and their costs": [line for each in experiments for line in tradeoff_sentences(each, reference)],
        "Data": [f"{experiment.name}: {note}" for experiment in experiments for note in experiment.data_notes],
        "Unfinished runs, not counted": [line for experiment in experiments for line in unfinished_runs(experiment)],
        "Warnings": [*warnings, *differences],
    }
    return {title: lines for title, lines in sections.items() if lines}


def _definitions(experiments: Sequence[Experiment]) -> list[str]:
    """Return how the numbers in the tables are computed."""
    kinds = {experiment.is_text for experiment in experiments}
    return [*(_ERRORS if False in kinds else ()), *(_TEXT if True in kinds else ()), *_INTERVALS]


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")
