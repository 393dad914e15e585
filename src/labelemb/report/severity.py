"""Severity of errors from the predictions that runs keep, for runs that were trained without a grouping."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from labelemb.errors import DataError
from labelemb.metrics.human import read_groups
from labelemb.metrics.selective import selective_metrics
from labelemb.metrics.severity import group_numbers, severity_metrics
from labelemb.report.examples import LAST_TEST
from labelemb.report.experiment import Experiment
from labelemb.report.run import Run
from labelemb.runs.predictions import read_predictions


def with_severity(experiments: Sequence[Experiment], groups: Path) -> list[Experiment]:
    """Return the experiments with severity and selective prediction in the last history line of each run.

    Runs without predictions, and experiments with labels that the file lacks, stay as they are.

    Args:
        experiments: Experiments with their runs.
        groups: File with the group of each label, see ``read_groups``.

    Raises:
        DataError: The file is missing or damaged, or fits no run.
    """
    refused: list[DataError] = []
    changed = [_experiment(experiment, groups, refused) for experiment in experiments]
    if changed != list(experiments):
        return changed
    if refused:
        raise refused[0]
    raise DataError(
        "groups", "runs of this version, which keep their predictions", "none", "Use --groups when training"
    )


def _experiment(experiment: Experiment, file: Path, refused: list[DataError]) -> Experiment:
    groups = {
        method: replace(group, runs=tuple(_run(run, file, refused) for run in group.runs))
        for method, group in experiment.groups.items()
    }
    same = all(groups[method] == group for method, group in experiment.groups.items())
    return experiment if same else Experiment(experiment.name, groups)


def _run(run: Run, file: Path, refused: list[DataError]) -> Run:
    found, names = read_predictions(run.folder.predictions_file).get(LAST_TEST), run.label_names
    if found is None or not names:
        return run
    try:
        numbers = group_numbers(read_groups(file, names))
    except DataError as error:
        refused.append(error)
        return run
    predicted, labels = (torch.from_numpy(each.astype("int64")) for each in (found.predicted, found.label))
    confidence, correct = torch.from_numpy(found.confidence), torch.from_numpy(found.correct)
    metrics = severity_metrics(predicted, labels, numbers)
    metrics |= selective_metrics(confidence, correct)
    last = run.history[-1] | {f"test_{key}": value for key, value in metrics.items()}
    return replace(run, history=[*run.history[:-1], last])
