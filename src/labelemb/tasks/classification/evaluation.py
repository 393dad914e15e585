"""Evaluation of logits on labelled examples. N examples, V labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from labelemb.metrics.calibration import RowScores
from labelemb.metrics.classification import error_percent


@dataclass(frozen=True)
class Evaluation:
    """Errors and calibration of a model on labelled examples.

    Args:
        count: Number of examples.
        error: Errors in percent.
        error_top5: Percentage of examples whose label is not among the five most probable ones.
        nll: Mean negative log-likelihood in nats.
        ece: Expected calibration error in percent.
        temperature: Temperature that the logits were divided by; affects ``nll`` and ``ece`` only.
        errors_by_label: Errors in percent of each label that occurs.
    """

    count: int
    error: float
    error_top5: float
    nll: float
    ece: float
    temperature: float
    errors_by_label: dict[str, float]


def evaluate_logits(logits: Tensor, labels: Tensor, label_names: Sequence[str], temperature: float = 1.0) -> Evaluation:
    """Evaluate logits ``(N, V)`` against labels ``(N,)``.

    Args:
        logits: Logits of the model, before division by the temperature.
        labels: int64 label of each example.
        label_names: The V label names.
        temperature: Temperature that the logits are divided by.
    """
    logits = logits / temperature
    wrong = logits.argmax(1) != labels
    count = len(labels)
    top5 = logits.topk(min(5, len(label_names))).indices
    errors_by_label = {
        name: 100 * float(wrong[labels == index].double().mean())
        for index, name in enumerate(label_names)
        if (labels == index).any()
    }
    scores = RowScores.of(logits, labels).figures()
    return Evaluation(
        count=count,
        error=error_percent((~wrong).sum(), count),
        error_top5=error_percent((top5 == labels[:, None]).any(1).sum(), count),
        nll=scores["nll"],
        ece=scores["ece"],
        temperature=temperature,
        errors_by_label=errors_by_label,
    )


def top_labels(logits: Tensor, label_names: Sequence[str], top: int) -> list[list[tuple[str, float]]]:
    """Return for each row the ``top`` most probable labels with their probabilities, most probable first."""
    values, indices = logits.softmax(1).topk(min(top, len(label_names)))
    rows = zip(indices.tolist(), values.tolist(), strict=True)
    return [[(label_names[i], p) for i, p in zip(labels, probabilities, strict=True)] for labels, probabilities in rows]
