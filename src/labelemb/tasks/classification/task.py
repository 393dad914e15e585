"""The part of a training task that image and text classification share. N rows, V labels."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

import torch
from torch import Tensor, nn

from labelemb.losses.base import Loss
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.method import LossContext
from labelemb.methods import build_loss
from labelemb.metrics.calibration import RowScores
from labelemb.metrics.classification import errors_by_label, mean_entropy, true_label_mass
from labelemb.metrics.held_out import held_out_metrics
from labelemb.metrics.severity import group_numbers
from labelemb.runs import RunFolder
from labelemb.runs.predictions import TOP, Predictions
from labelemb.tasks.classification.config import ClassificationConfig
from labelemb.tasks.classification.imbalance import balanced_weights
from labelemb.training.seeding import stream_seed
from labelemb.training.task import Batch, Shard


class ClassificationTask(ABC):
    """Evaluation and artifacts of a classification run; see ``labelemb.training.task.Task``.

    A subclass sets ``unit``, ``model``, ``loss`` and ``steps_per_epoch`` and implements ``setup``, ``batches``,
    ``held_out_labels`` and ``held_out_batches``.

    Args:
        label_names: The V label names.
        groups: Group of each label, for the severity of errors; None: not measured.
    """

    unit: str
    model: nn.Module
    loss: Loss
    steps_per_epoch: int
    ignore_index = -100

    def __init__(self, label_names: Sequence[str], groups: Sequence[str] | None = None) -> None:
        self.label_names = tuple(label_names)
        self._groups = None if groups is None else group_numbers(groups)
        self._errors_by_label: dict[str, list[float | None]] = {}
        self._predictions: dict[str, Predictions] = {}

    @abstractmethod
    def summary(self) -> tuple[str, ...]:
        """Return a few lines that describe data and model."""

    @abstractmethod
    def held_out_labels(self, last: bool) -> Mapping[str, Tensor]:
        """Return the labels ``(N,)`` of each held-out split to evaluate now, on the device of the run.

        Args:
            last: Whether the run ends here.
        """

    @abstractmethod
    def held_out_batches(self, split: str, shard: Shard) -> Iterable[tuple[Tensor, Batch]]:
        """Yield this process's share of a held-out split: row indices and the batch of these rows."""

    @abstractmethod
    def setup(self, device: torch.device) -> None:
        """Prepare the data for the device."""

    @abstractmethod
    def batches(self, epoch: int, start: int, shard: Shard) -> Iterator[Sequence[Batch]]:
        """Yield the training batches of an epoch from batch ``start`` on."""

    def evaluate(
        self, model: nn.Module, shard: Shard, total: Callable[[Tensor], Tensor], last: bool = True
    ) -> Mapping[str, float]:
        """Return errors, calibration and severity on each held-out split, and statistics of the label embedding."""
        metrics: dict[str, float] = {}
        for split, labels in self.held_out_labels(last).items():
            scores, *top = self._scores(model, split, len(labels), shard, total)
            found = held_out_metrics(scores, labels, len(self.label_names), self._groups)
            metrics |= {f"{split}_{key}": value for key, value in found.items()}
            self._errors_by_label[split] = errors_by_label(scores.correct, labels, len(self.label_names))
            self._predictions[split] = Predictions.of(scores, labels, *top)
        if isinstance(self.loss, LabelEmbeddingLoss):
            soft_labels = self.loss.embedding.soft_labels()
            metrics |= {"true_label_mass": true_label_mass(soft_labels), "label_entropy": mean_entropy(soft_labels)}
        return metrics

    def save_artifacts(self, run: RunFolder) -> None:
        """Write errors by label, predictions and, if one is learned, the label embedding with its label names."""
        run.write_errors_by_label(self.label_names, self._errors_by_label)
        run.write_predictions(self._predictions)
        if isinstance(self.loss, LabelEmbeddingLoss):
            self.loss.embedding.save(run.labels_file, self.label_names)

    @torch.no_grad()
    def _scores(
        self, model: nn.Module, split: str, count: int, shard: Shard, total: Callable[[Tensor], Tensor]
    ) -> tuple[RowScores, Tensor, Tensor]:
        """Return the scores of all rows of a split, their top labels and the probabilities of these."""
        device = next(model.parameters()).device
        width, kept = len(fields(RowScores)), min(TOP, len(self.label_names))
        table = torch.zeros(count, width + 2 * kept, dtype=torch.float64, device=device)
        for rows, batch in self.held_out_batches(split, shard):
            logits = model.head(model(*batch.inputs))  # type: ignore[operator]
            probabilities, labels = logits.double().softmax(1).topk(kept)
            scores = RowScores.of(logits, batch.labels).stacked()
            table[rows] = torch.cat([scores, labels.double(), probabilities], dim=1)
        table = total(table)
        labels, probabilities = table[:, width : width + kept], table[:, width + kept :]
        return RowScores(*table[:, :width].unbind(1)), labels.round().long(), probabilities


def build_classification_loss(
    config: ClassificationConfig, hidden_size: int, label_names: Sequence[str], labels: Tensor, steps_per_epoch: int
) -> Loss:
    """Return the loss of the config's method for a classifier with ``hidden_size`` inputs.

    Args:
        config: Configuration of the run.
        hidden_size: D.
        label_names: The V label names.
        labels: Labels of the training examples, int64 ``(N,)``.
        steps_per_epoch: Optimizer steps per epoch.

    Raises:
        ConfigError: If the options do not fit the method.
        DataError: If a file that the method reads is damaged or lacks a label.
    """
    context = LossContext(
        hidden_size=hidden_size,
        label_names=label_names,
        num_samples=len(labels),
        epochs=config.epochs,
        steps=config.epochs * steps_per_epoch,
        objective=config.objective,
        impl=config.impl,
        seed=stream_seed(config.seed, "method"),
    )
    loss = build_loss(config.method, config.method_options, context)
    if config.class_weights == "balanced":
        loss.set_class_weights(balanced_weights(labels, len(label_names)))
    return loss
