"""The metrics of a classifier on held-out examples. N examples, V labels."""

from torch import Tensor

from labelemb.metrics.calibration import RowScores
from labelemb.metrics.classification import balanced_accuracy, error_percent, macro_f1
from labelemb.metrics.selective import selective_metrics
from labelemb.metrics.severity import severity_metrics


def held_out_metrics(
    scores: RowScores, labels: Tensor, num_labels: int, groups: Tensor | None = None
) -> dict[str, float]:
    """Return error, likelihood, calibration, F1, selective prediction and severity; percentages where not in nats.

    Args:
        scores: Scores of N examples.
        labels: True labels, int64, (N,).
        num_labels: V.
        groups: Group of each label, int64, (V,), for the severity of errors; None: not measured.
    """
    predicted = scores.predicted.round().long()
    metrics = {"error": error_percent(round(float(scores.correct.sum())), len(labels)), **scores.metrics()}
    metrics["macro_f1"] = macro_f1(predicted, labels, num_labels)
    metrics["balanced_accuracy"] = balanced_accuracy(scores.correct, labels, num_labels)
    metrics |= selective_metrics(scores.confidence, scores.correct)
    return metrics if groups is None else metrics | severity_metrics(predicted, labels, groups.to(labels.device))
