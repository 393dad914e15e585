"""The published table, a task a row and a method a column, as plain text, Markdown and CSV."""

import csv
import io
from collections.abc import Sequence

from labelemb.methods import BASELINE
from labelemb.report.aggregate import FIGURES, Comparison, Figure, Task, method_name, method_rank
from labelemb.report.checks import unfinished_of, warnings_of
from labelemb.report.comparison import comparison_cells, comparisons
from labelemb.report.findings import findings
from labelemb.report.measures import ERROR, TEXT_MEASURES
from labelemb.stats.paired import Summary, summarise

MISSING = "–"
PUBLISHED = (
    BASELINE,
    "label_embedding",
    "frozen_embedding",
)  # the others are in the table of all methods, where they have a row each
_ERRORS = (
    "Test error in percent: mean ± sample standard deviation over seeds (number of seeds).",
    "Reduction: points, and share of the one-hot error. Seconds per epoch: median of training time.",
)
_TEXT = ("Scores of the test text: mean ± sample standard deviation over seeds (number of seeds).",)
_INTERVALS = (
    "Intervals: 95 %, mean of the differences between runs with the same seed, Student's t; p: the paired permutation",
    "test of that mean, corrected for the number of methods (Holm).",
)


def text_table(tasks: Sequence[Task], warnings: Sequence[str] = (), reference: str | None = None) -> str:
    """Return the tables with their findings, notes and warnings for a terminal.

    reference  method that the others are compared with; None: one-hot, or the first
    """
    parts = _how(tasks)
    for title, cells in _tables(tasks, reference).items():
        parts += ["", f"{title}:", *aligned(cells)]
    for title, lines in _remarks(tasks, warnings, reference).items():
        parts += ["", f"{title}:", *(f"- {line}" for line in lines)]
    return "\n".join(parts) + "\n"


def markdown_table(tasks: Sequence[Task], warnings: Sequence[str] = (), reference: str | None = None) -> str:
    """Return the same as Markdown."""
    parts = [" ".join(_how(tasks))]
    for title, cells in _tables(tasks, reference).items():
        head, *rows = [[_escaped(cell) for cell in row] for row in cells]
        lines = ["| " + " | ".join(row) + " |" for row in (head, ["---"] + ["---:"] * (len(head) - 1), *rows)]
        parts += ["", f"**{title}**", "", *lines]
    for title, lines in _remarks(tasks, warnings, reference).items():
        parts += ["", f"{title}:", "", *(f"- {_escaped(line)}" for line in lines)]
    return "\n".join(parts) + "\n"


def csv_table(tasks: Sequence[Task]) -> str:
    """Return the figures unrounded: a row per task and figure, columns per method; empty where there is nothing."""
    file = io.StringIO()
    methods = _methods(tasks)
    columns = ["task", "figure"]
    for method in methods:
        columns += [f"{method}_{key}" for key in ("n", "mean", "sd", "seconds_per_epoch")]
        if method != BASELINE:
            columns += [f"{method}_{key}" for key in ("reduction", "relative_reduction")]
            columns += [f"{method}_{key}" for key in ("pairs", "paired_difference", "interval_low", "interval_high")]
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writeheader()
    for task in tasks:
        for figure in FIGURES:
            row: dict[str, object] = {"task": task.name, "figure": figure}
            for method in task.groups:
                row |= {f"{method}_{key}": value for key, value in _numbers(task, method, figure).items()}
            writer.writerow({key: "" if value is None else value for key, value in row.items()})
        for row in _text_rows(task):
            writer.writerow({key: "" if value is None else value for key, value in row.items()})
    return file.getvalue()


def _text_rows(task: Task) -> list[dict[str, object]]:
    """Return a row per score of the test text, named by it."""
    rows = []
    for measure in TEXT_MEASURES if task.is_text else ():
        row: dict[str, object] = {"task": task.name, "figure": measure.key}
        for method, group in task.groups.items():
            if summary := summarise(list(group.last(f"test_{measure.key}").values())):
                row |= {f"{method}_n": summary.n, f"{method}_mean": summary.mean, f"{method}_sd": summary.sd}
        if len(row) > 2:
            rows.append(row)
    return rows


def _numbers(task: Task, method: str, figure: Figure) -> dict[str, object]:
    group = task.groups[method]
    summary, comparison = group.summary(figure), task.compare(method, figure)
    numbers: dict[str, object] = {"n": summary.n if summary else 0, "seconds_per_epoch": group.seconds}
    if summary:
        numbers |= {"mean": summary.mean, "sd": summary.sd}
    if comparison:
        numbers |= {"reduction": comparison.absolute, "relative_reduction": comparison.relative}
        if comparison.paired:
            paired = comparison.paired
            numbers |= {"pairs": paired.n, "paired_difference": paired.mean}
            numbers |= {"interval_low": paired.low, "interval_high": paired.high}
    return numbers


def _tables(tasks: Sequence[Task], reference: str | None) -> dict[str, list[list[str]]]:
    """Return title -> cells: the published table by each figure, then each task's methods beside each other.

    The second says more than the first where there are more methods than the published two, or more figures.
    """
    errors = [task for task in tasks if not task.is_text]
    tables = {_sentence(figure): _cells(errors, figure) for figure in (_figures(errors) if errors else [])}
    for found in comparisons(tasks, reference):
        if len(found.standings) > 2 or len(found.measures) > 1 or reference:
            when = "test data after the last epoch" if found.head == ERROR else "the test text, read once at the end"
            tables[f"{found.task}: all methods, {when}"] = comparison_cells(found)
    return tables


def _cells(tasks: Sequence[Task], figure: Figure) -> list[list[str]]:
    methods = [method for method in _methods(tasks) if method in PUBLISHED] or _methods(tasks)
    others = [method for method in methods if method != BASELINE] if BASELINE in methods else []
    head = ["task", *map(method_name, methods)]
    head += [f"reduction, {method_name(method)}" if len(others) > 1 else "reduction" for method in others]
    rows = [[*head, "seconds per epoch"]]
    for task in tasks:
        if figure != "last" and not any(group.summary(figure) for group in task.groups.values()):
            continue  # trained without validation data
        row = [task.name]
        row += [_value(task.groups[method].summary(figure) if method in task.groups else None) for method in methods]
        row += [_reduction(task.compare(method, figure)) for method in others]
        seconds = [task.groups[method].seconds if method in task.groups else None for method in methods]
        row.append(" → ".join(MISSING if value is None else f"{value:.3g}" for value in seconds))
        rows.append(row)
    return rows


def _value(summary: Summary | None) -> str:
    if summary is None:
        return MISSING
    deviation = "" if summary.sd is None else f" ± {summary.sd:.2f}"
    return f"{summary.mean:.2f}{deviation} ({summary.n})"


def _reduction(comparison: Comparison | None) -> str:
    if comparison is None:
        return MISSING
    relative = "" if comparison.relative is None else f" ({100 * comparison.relative:.1f} %)"
    return f"{comparison.absolute:.2f}{relative}"


def aligned(rows: list[list[str]]) -> list[str]:
    """Return the lines of a table for a terminal; the first row is its head."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return [lines[0], "─" * len(max(lines, key=len)), *lines[1:]]


def _remarks(tasks: Sequence[Task], warnings: Sequence[str], reference: str | None) -> dict[str, list[str]]:
    """Return what stands below the tables, by title."""
    found = [line for task in tasks for line in findings(task, reference)]
    remarks = {
        f"Findings, by the test {_heads(tasks)} after the last epoch": found,
        "Data": [f"{task.name}: {note}" for task in tasks for note in task.notes],
        "Unfinished runs, not counted": [line for task in tasks for line in unfinished_of(task)],
        "Warnings": [*warnings, *(line for task in tasks for line in warnings_of(task, reference))],
    }
    return {title: lines for title, lines in remarks.items() if lines}


def _figures(tasks: Sequence[Task]) -> list[Figure]:
    """Return the figures that any run has; "last" in any case."""
    return [f for f in FIGURES if f == "last" or any(g.summary(f) for task in tasks for g in task.groups.values())]


def _how(tasks: Sequence[Task]) -> list[str]:
    """Say how the figures that are there are made."""
    kinds = {task.is_text for task in tasks}
    return [*(_ERRORS if False in kinds else ()), *(_TEXT if True in kinds else ()), *_INTERVALS]


def _heads(tasks: Sequence[Task]) -> str:
    return " or ".join(dict.fromkeys(task.head.name for task in tasks))


def _methods(tasks: Sequence[Task]) -> list[str]:
    return sorted({method for task in tasks for method in task.groups}, key=method_rank)


def _sentence(figure: Figure) -> str:
    return FIGURES[figure][0].upper() + FIGURES[figure][1:]


def _escaped(cell: str) -> str:
    return cell.replace("|", "\\|").replace("<", "&lt;")
