"""The unrounded results as CSV."""

import io
from collections.abc import Mapping, Sequence

from labelemb.csv_cells import write_rows
from labelemb.methods import BASELINE
from labelemb.report.experiment import Experiment
from labelemb.report.methods import method_rank
from labelemb.report.metric import TEXT_METRICS
from labelemb.report.run import SELECTIONS, Selection
from labelemb.stats.paired import summarize

_SUMMARY = ("n", "mean", "sd", "seconds_per_epoch")
_REDUCTION = ("reduction", "relative_reduction", "pairs", "paired_difference", "interval_low", "interval_high")


def csv_table(experiments: Sequence[Experiment]) -> str:
    """Return a row per experiment and metric with columns per method; a cell is empty where there is no value."""
    file = io.StringIO()
    methods = sorted({method for experiment in experiments for method in experiment.groups}, key=method_rank)
    columns = ["experiment", "metric"]
    for method in methods:
        keys = _SUMMARY if method == BASELINE else (*_SUMMARY, *_REDUCTION)
        columns += [f"{method}_{key}" for key in keys]
    rows = [
        row
        for experiment in experiments
        for row in (*(_error_row(experiment, selection) for selection in SELECTIONS), *_score_rows(experiment))
    ]
    write_rows(file, [columns, *([row.get(column) for column in columns] for row in rows)])
    return file.getvalue()


def _error_row(experiment: Experiment, selection: Selection) -> Mapping[str, object]:
    row: dict[str, object] = {"experiment": experiment.name, "metric": selection}
    for method in experiment.groups:
        row |= {f"{method}_{key}": value for key, value in _values(experiment, method, selection).items()}
    return row


def _score_rows(experiment: Experiment) -> list[Mapping[str, object]]:
    """Return a row per score of the generated test text."""
    rows: list[Mapping[str, object]] = []
    for metric in TEXT_METRICS if experiment.is_text else ():
        row: dict[str, object] = {"experiment": experiment.name, "metric": metric.key}
        for method, group in experiment.groups.items():
            if summary := summarize(list(group.last(f"test_{metric.key}").values())):
                row |= {f"{method}_n": summary.n, f"{method}_mean": summary.mean, f"{method}_sd": summary.sd}
        if len(row) > 2:
            rows.append(row)
    return rows


def _values(experiment: Experiment, method: str, selection: Selection) -> dict[str, object]:
    group = experiment.groups[method]
    summary, reduction = group.summary(selection), experiment.error_reduction(method, selection)
    values: dict[str, object] = {"n": summary.n if summary else 0, "seconds_per_epoch": group.seconds}
    if summary:
        values |= {"mean": summary.mean, "sd": summary.sd}
    if reduction:
        values |= {"reduction": reduction.absolute, "relative_reduction": reduction.relative}
        if paired := reduction.paired:
            values |= {"pairs": paired.n, "paired_difference": paired.mean}
            values |= {"interval_low": paired.low, "interval_high": paired.high}
    return values
