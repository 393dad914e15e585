"""What the page shows, as plain data for the template."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from labelemb.report.checks import comparability_warnings, unfinished_runs
from labelemb.report.comparison import MISSING, MethodComparison, MethodResult, comparison_cells, severity_cells
from labelemb.report.conclusions import MethodConclusion, seeds_table
from labelemb.report.experiment import Experiment, Group
from labelemb.report.findings import convergence_sentence, verdict
from labelemb.report.labels import LabelView, top_pairs
from labelemb.report.methods import method_title
from labelemb.report.panels import Panel
from labelemb.report.run import SELECTIONS
from labelemb.report.tradeoffs import Tradeoff, tradeoffs
from labelemb.report.wording import plural

Cell = tuple[str, float | str | None]  # text, and what the column is sorted by
_NO_VALUE: Cell = (MISSING, None)
RESULT_COLUMNS = (
    "experiment",
    "method",
    "seeds",
    "last epoch",
    "chosen epoch",
    "reduction",
    "95 % interval",
    "s / epoch",
)


@dataclass(frozen=True)
class ExperimentContent:
    """An experiment with everything that the page derives from it.

    Attributes:
        experiment: The runs.
        comparison: Methods compared, None where there is nothing to compare.
        panels: Charts.
        views: Soft labels, with their panels.
        conclusions: What the comparison of each method with the reference shows.
        examples: Tables on single examples, see ``example_tables``.
    """

    experiment: Experiment
    comparison: MethodComparison | None
    panels: Sequence[Panel]
    views: Sequence[tuple[LabelView, Sequence[Panel]]] = ()
    conclusions: Sequence[MethodConclusion] = ()
    examples: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class PageContent:
    """Content of the page.

    Attributes:
        experiments: All experiments.
        methods: Names of all methods, in the order of the palette.
        colors: Their colors.
        warnings: Warnings from reading the runs.
        command: Command that makes this report again.
        reference: Method to compare with; None: cross entropy if present, otherwise the first method.
        sentences: On all experiments together; empty for a single one.
        several: Charts of all experiments together.
        intervals: Interval plots of several experiments on one scale.
        alike: Margin of equivalence in points; None where none was given.
        people: Lines on the agreement of label embeddings with people.
    """

    experiments: Sequence[ExperimentContent]
    methods: Sequence[str]
    colors: Sequence[str]
    warnings: Sequence[str]
    command: str
    reference: str | None = None
    sentences: Sequence[str] = ()
    several: Sequence[Panel] = ()
    intervals: Sequence[Panel] = ()
    alike: float | None = None
    people: Sequence[str] = ()


def finding(content: ExperimentContent, reference: str | None) -> dict[str, Any]:
    """Return the card of an experiment: sentences per method, costs, conclusions and most similar labels."""
    experiment, comparison = content.experiment, content.comparison
    gains = {found.method: found for found in tradeoffs(experiment, reference)}
    others = comparison.others if comparison else []
    concluded = {found.method: found for found in content.conclusions}
    rows = [
        _method_finding(experiment, comparison, result, gains.get(result.method), concluded.get(result.method))
        for result in others
        if comparison
    ]
    view = content.views[0][0] if content.views else None
    partial = view is not None and len(view.names) < view.num_labels
    return {
        "name": experiment.name,
        "rows": rows,
        "alone": None if rows else _alone(experiment),
        "pairs": top_pairs(view) if view else [],
        "among": f" among the {len(view.names)} displayed" if view and partial else "",
        "notes": experiment.data_notes,
    }


def result_rows(experiments: Sequence[Experiment]) -> list[list[Cell]]:
    """Return the rows of the table of test errors, a cell per entry of ``RESULT_COLUMNS``.

    The scores of text output are in the table of all metrics.
    """
    errors = [experiment for experiment in experiments if not experiment.is_text]
    return [_result_row(experiment, group) for experiment in errors for group in experiment.groups.values()]


def method_tables(contents: Sequence[ExperimentContent]) -> list[dict[str, Any]]:
    """Return the table of all methods of each experiment, with definitions of its metrics."""
    return [
        {
            "name": found.experiment,
            "tables": [comparison_cells(found), *([severity_cells(found)] if found.severity_metrics else [])],
            "legend": [(m.title, m.definition, "lower" if m.lower else "higher") for m in found.metrics],
        }
        for found in (content.comparison for content in contents)
        if found and (len(found.results) > 2 or len(found.metrics) > 1)
    ]


def seeds_tables(contents: Sequence[ExperimentContent]) -> list[tuple[str, list[list[str]]]]:
    """Return name and cells of the table of seeds needed of each experiment with conclusions."""
    return [(each.experiment.name, seeds_table(each.conclusions)) for each in contents if each.conclusions]


def warning_lines(content: PageContent) -> list[str]:
    """Return everything that limits what can be concluded."""
    experiments = [each.experiment for each in content.experiments]
    unfinished = [f"Unfinished, not counted: {line}" for e in experiments for line in unfinished_runs(e)]
    differences = [line for e in experiments for line in comparability_warnings(e, content.reference)]
    return [*unfinished, *content.warnings, *differences]


def provenance(experiment: Experiment) -> dict[str, Any] | None:
    """Return versions, machine and configuration with a column per method; None without finished runs."""
    groups = [group for group in experiment.groups.values() if group.runs]
    facts = [
        [run.signature | {k: v for k, v in run.config.items() if k not in run.signature} for run in group.runs]
        for group in groups
    ]
    keys = dict.fromkeys(key for column in facts for fact in column for key in fact if key != "seed")
    rows = [
        (key, ["; ".join(dict.fromkeys(_text(fact.get(key)) for fact in column)) for column in facts]) for key in keys
    ]
    columns = [f"{method_title(group.method)}, {_seeds(group)}" for group in groups]
    return {"name": experiment.name, "columns": columns, "rows": rows} if groups else None


def _method_finding(
    experiment: Experiment,
    comparison: MethodComparison,
    result: MethodResult,
    gain: Tradeoff | None,
    conclusion: MethodConclusion | None,
) -> dict[str, Any]:
    primary = comparison.primary
    unit = f"\u00a0{primary.unit}" if primary.unit else ""
    means = [
        primary.format(one.summaries[primary.key].mean) + unit for one in (comparison.of(comparison.reference), result)
    ]
    convergence = experiment.convergence(result.method)
    few = len(comparison.results) <= 4  # more have this sentence in the text table only
    return {
        "sentence": f"{method_title(result.method)} against {method_title(comparison.reference)}: "
        f"{verdict(result, primary.lower)}.",
        "means": " → ".join(means),
        "metric": f"Test {primary.name}",
        "headline": gain and gain.gain,
        "cost": gain and gain.cost.replace(" %", "\u00a0%"),
        "command": gain and gain.command,
        "conclusion": conclusion.sentence if conclusion and conclusion.conclusion not in ("better", "worse") else None,
        "convergence": convergence_sentence(convergence, result.method) + "." if convergence and few else None,
    }


def _alone(experiment: Experiment) -> str:
    groups = [group for group in experiment.groups.values() if group.runs]
    if not groups:
        return "No finished run yet."
    names = ", ".join(f"{method_title(group.method)} ({plural(len(group.runs), 'seed')})" for group in groups)
    return f"Only {names} so far: nothing to compare."


def _result_row(experiment: Experiment, group: Group) -> list[Cell]:
    title = method_title(group.method)
    cells: list[Cell] = [(experiment.name, experiment.name), (title, title), (str(len(group.runs)), len(group.runs))]
    for selection in SELECTIONS:
        summary = group.summary(selection)
        deviation = "" if summary is None or summary.sd is None else f" ± {summary.sd:.2f}"
        cells.append((f"{summary.mean:.2f}{deviation}", summary.mean) if summary else _NO_VALUE)
    reduction = experiment.error_reduction(group.method, "last")
    paired = reduction.paired if reduction else None
    relative = "" if reduction is None or reduction.relative is None else f" ({100 * reduction.relative:.1f} %)"
    cells.append((f"{reduction.absolute:.2f}{relative}", reduction.absolute) if reduction else _NO_VALUE)
    if paired is not None and paired.low is not None:
        cells.append((f"{paired.low:.2f} to {paired.high:.2f}, n = {paired.n}", paired.mean))
    else:
        cells.append(_NO_VALUE)
    return [*cells, _seconds(group)]


def _seconds(group: Group) -> Cell:
    return (f"{group.seconds:.3g}", group.seconds) if group.seconds is not None else _NO_VALUE


def _seeds(group: Group) -> str:
    return f"{plural(len(group.runs), 'seed')}: {', '.join(str(run.seed) for run in group.runs)}"


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else MISSING if value is None else str(value)
