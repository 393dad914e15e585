"""Single predictions: confusion matrix and most confused labels. N examples, V labels."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError
from labelemb.memory import check_memory
from labelemb.report.experiment import Experiment, Group
from labelemb.runs.predictions import Predictions, read_predictions

# Evaluations that a run keeps, CHECKPOINT/SPLIT, and what they are called.
EVALUATIONS = {
    "last/test": "test, last epoch",
    "best/test": "test, chosen epoch",
    "last/valid": "validation, last epoch",
    "best/valid": "validation, chosen epoch",
}
LAST_TEST = "last/test"
Array = NDArray[np.float64]


@dataclass(frozen=True)
class GroupPredictions:
    """Predictions of one method in one evaluation.

    Attributes:
        method: Name of the method.
        label_names: Names of the V labels.
        labels: True labels, (N,).
        by_seed: Seed -> predictions.
    """

    method: str
    label_names: list[str]
    labels: NDArray[np.int64]
    by_seed: dict[int, Predictions]

    def wrong(self, seeds: Sequence[int]) -> NDArray[np.bool_]:
        """Return whether each prediction is wrong, (seeds, N)."""
        return np.stack([~self.by_seed[seed].correct for seed in seeds])

    def confusion(self) -> Array:
        """Return the percentage of examples of each label (row) predicted as each label, (V, V), mean over seeds."""
        size = len(self.label_names)
        counts = np.zeros((size, size))
        for predictions in self.by_seed.values():
            np.add.at(counts, (self.labels, predictions.predicted.astype(np.int64)), 1)
        totals = counts.sum(axis=1, keepdims=True)
        shares: Array = 100 * counts / np.where(totals > 0, totals, 1)
        return shares


@dataclass(frozen=True)
class ConfusedPair:
    """A label that is often predicted as another one.

    Attributes:
        label: Name of the true label.
        predicted: Name of the predicted label.
        percent: Share of the examples of the label, mean over seeds.
        examples: Test examples most often confused this way: index and number of seeds.
    """

    label: str
    predicted: str
    percent: float
    examples: list[tuple[int, int]]


@lru_cache(maxsize=256)
def load_predictions(experiment: Experiment, evaluation: str = LAST_TEST) -> list[GroupPredictions]:
    """Return the predictions of each method that has them.

    Args:
        experiment: Experiment with its runs.
        evaluation: A key of ``EVALUATIONS``.

    Raises:
        DataError: A file is damaged, or the runs of a method were evaluated on different examples.
    """
    found = [predictions for group in experiment.groups.values() if (predictions := _load(group, evaluation))]
    for other in found[1:]:
        if not np.array_equal(other.labels, found[0].labels):
            raise DataError(
                f"{experiment.name}, {other.method}",
                f"predictions for the same examples ({evaluation})",
                "other labels",
            )
    return found


def confused_pairs(predictions: GroupPredictions, count: int = 8, examples: int = 4) -> list[ConfusedPair]:
    """Return the label pairs with the largest share of confusions, largest first."""
    confusion = predictions.confusion()
    np.fill_diagonal(confusion, 0)
    order = np.argsort(-confusion, axis=None, kind="stable")[:count]
    pairs = []
    for row, column in zip(*np.unravel_index(order, confusion.shape), strict=True):
        if confusion[row, column] > 0:
            hits = sum((p.predicted == column) & (predictions.labels == row) for p in predictions.by_seed.values())
            worst = np.argsort(-np.asarray(hits), kind="stable")[:examples]
            names = predictions.label_names
            shown = [(int(index), int(hits[index])) for index in worst if hits[index]]
            pairs.append(ConfusedPair(names[row], names[column], float(confusion[row, column]), shown))
    return pairs


def paired_seeds(reference: GroupPredictions, other: GroupPredictions) -> list[int]:
    """Return the seeds that both methods have."""
    return sorted(reference.by_seed.keys() & other.by_seed.keys())


def _load(group: Group, evaluation: str) -> GroupPredictions | None:
    found = {run.seed: read_predictions(run.folder.predictions_file).get(evaluation) for run in group.runs}
    by_seed = {seed: predictions for seed, predictions in found.items() if predictions}
    if not by_seed:
        return None
    first = next(iter(by_seed.values()))
    if any(not np.array_equal(first.label, other.label) for other in by_seed.values()):
        expected = f"predictions for the same examples ({evaluation})"
        raise DataError(f"{group.experiment}, {group.method}", expected, "other labels")
    labels = first.label.astype(np.int64)
    size = 1 + max(int(max(p.label.max(initial=0), p.predicted.max(initial=0))) for p in by_seed.values())
    names = next((names for run in group.runs if (names := run.label_names)), [])
    if names and size > len(names):
        raise DataError(
            f"{group.experiment}, {group.method}", f"predictions of {len(names)} labels", f"label {size - 1}"
        )
    check_memory("report", f"confusions of {size:,} labels", 8 * size**2)
    names = names or [str(label) for label in range(size)]
    return GroupPredictions(group.method, names, labels, by_seed)
