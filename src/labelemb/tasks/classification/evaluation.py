"""Evaluation of logits on labeled examples. N examples, V labels."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from labelemb.csv_cells import write_rows
from labelemb.metrics.calibration import RowScores
from labelemb.metrics.classification import error_percent, errors_by_label, f1_by_label
from labelemb.metrics.held_out import held_out_metrics
from labelemb.metrics.severity import least_severe, mean_cost, severity_metrics


@dataclass(frozen=True)
class Evaluation:
    """Errors and calibration of a model on labeled examples.

    Args:
        count: Number of examples.
        error: Errors in percent.
        error_top5: Percentage of examples whose label is not among the five most probable ones.
        macro_f1: Mean over labels of the F1 score, in percent.
        balanced_accuracy: Mean over labels of the share of correct examples, in percent.
        nll: Mean negative log-likelihood in nats.
        ece: Expected calibration error in percent.
        aurc: Area under the risk-coverage curve in percent.
        accuracy_at_80: Accuracy in percent on the 80 % of the examples that the model is most confident on.
        temperature: Temperature that the logits were divided by; the errors do not depend on it.
        errors_by_label: Errors in percent of each label that occurs.
        f1_by_label: F1 score in percent of each label that occurs or is predicted.
    """

    count: int
    error: float
    error_top5: float
    macro_f1: float
    balanced_accuracy: float
    nll: float
    ece: float
    aurc: float
    accuracy_at_80: float
    temperature: float
    errors_by_label: dict[str, float]
    f1_by_label: dict[str, float]


@dataclass(frozen=True)
class Severity:
    """How severe the errors of some decisions are.

    Args:
        error: Errors in percent.
        cost: Mean cost; None without a cost matrix.
        errors_in_group: Share of the errors inside the right group in percent; None without groups or errors.
        hierarchical_distance: Mean of 0 for right, 1 inside the group, 2 outside; None without groups.
    """

    error: float
    cost: float | None = None
    errors_in_group: float | None = None
    hierarchical_distance: float | None = None


def evaluate_logits(logits: Tensor, labels: Tensor, label_names: Sequence[str], temperature: float = 1.0) -> Evaluation:
    """Evaluate logits ``(N, V)`` against labels ``(N,)``.

    Args:
        logits: Logits of the model, before division by the temperature.
        labels: int64 label of each example.
        label_names: The V label names.
        temperature: Temperature that the logits are divided by.
    """
    logits, num_labels = logits / temperature, len(label_names)
    scores = RowScores.of(logits, labels)
    metrics = held_out_metrics(scores, labels, num_labels)
    in_top5 = (logits.topk(min(5, num_labels)).indices == labels[:, None]).any(1)
    errors = zip(label_names, errors_by_label(scores.correct, labels, num_labels), strict=True)
    f1 = zip(label_names, f1_by_label(scores.predicted.long(), labels, num_labels), strict=True)
    names = ("error", "macro_f1", "balanced_accuracy", "nll", "ece", "aurc", "accuracy_at_80")
    return Evaluation(
        count=len(labels),
        error_top5=error_percent(in_top5.sum(), len(labels)),
        **{name: metrics[name] for name in names},
        temperature=temperature,
        errors_by_label={name: error for name, error in errors if error is not None},
        f1_by_label={name: score for name, score in f1 if score is not None},
    )


def severity_of_decisions(
    logits: Tensor, labels: Tensor, cost: Tensor | None = None, groups: Tensor | None = None, decide: bool = False
) -> Severity:
    """Return how severe the errors are of the most probable labels, or of the decisions of least expected cost.

    Args:
        logits: ``(N, V)``, divided by the temperature.
        labels: ``(N,)`` int64.
        cost: ``(V, V)``, cost of predicting k where y is true.
        groups: ``(V,)`` int64, group of each label.
        decide: Whether to decide by the least expected cost; needs ``cost``.
    """
    assert not decide or cost is not None
    predicted = least_severe(logits.softmax(1), cost) if decide and cost is not None else logits.argmax(1)
    return Severity(
        error_percent((predicted == labels).sum(), len(labels)),
        None if cost is None else mean_cost(predicted, labels, cost),
        **({} if groups is None else severity_metrics(predicted, labels, groups)),
    )


def predictions_csv(logits: Tensor, labels: Tensor, label_names: Sequence[str], top: int = 5) -> str:
    """Return a CSV table with a row per example: number, true label, ``top`` most probable labels, probabilities.

    Args:
        logits: Logits ``(N, V)``, divided by the temperature.
        labels: int64 label of each example, ``(N,)``.
        label_names: The V label names.
        top: Number of labels per example.
    """
    count = min(top, len(label_names))
    content = io.StringIO()
    ranks = range(1, count + 1)
    rows: list[list[object]] = [["example", "label", *(f"predicted_{k}" for k in ranks), *(f"p_{k}" for k in ranks)]]
    for number, (label, found) in enumerate(zip(labels.tolist(), top_labels(logits, label_names, count), strict=True)):
        rows.append([number, label_names[label], *(name for name, _ in found), *(f"{p:.6f}" for _, p in found)])
    write_rows(content, rows)
    return content.getvalue()


def top_labels(logits: Tensor, label_names: Sequence[str], top: int) -> list[list[tuple[str, float]]]:
    """Return for each row the ``top`` most probable labels with their probabilities, most probable first."""
    values, indices = logits.softmax(1).topk(min(top, len(label_names)))
    rows = zip(indices.tolist(), values.tolist(), strict=True)
    return [[(label_names[i], p) for i, p in zip(labels, probabilities, strict=True)] for labels, probabilities in rows]
