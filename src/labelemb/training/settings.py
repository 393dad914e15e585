"""Settings of the training loop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from labelemb.runs import Line
from labelemb.training.optimizers import OptimizerSettings
from labelemb.training.parallel import Sharding


@dataclass(frozen=True)
class CheckpointCriterion:
    """The metric that selects a checkpoint to keep.

    Args:
        metric: Key of the history line; a line without it is never selected.
        name: Name of the checkpoint (``RunFolder.best_by``); ``""``: ``best.pt``.
        highest: Whether the highest value is the best instead of the lowest. Of equal values the first is kept.
    """

    metric: str
    name: str = ""
    highest: bool = False

    def selects_last(self, history: Sequence[Line]) -> bool:
        """Return whether the last line is the best so far."""
        return self.metric in history[-1] and self.since_best(history) == 0

    def since_best(self, history: Sequence[Line]) -> int:
        """Return the number of evaluations with the metric since the best one; NaN is never the best."""
        best, since = math.inf, 0
        for value in (line[self.metric] for line in history if self.metric in line):
            value = -value if self.highest else value
            best, since = (value, 0) if value < best else (best, since + 1)
        return since


@dataclass(frozen=True)
class FitSettings:
    """Settings of ``fit``.

    Args:
        epochs: Passes over the training data.
        seed: Seed of dropout. The task seeds the model, the data order and augmentation.
        optimizer: Optimizer and learning-rate schedule.
        eval_interval: Optimizer steps between evaluations, each of which writes a history line; None: one per epoch.
        save_every: Optimizer steps between checkpoints to resume from, written at the next evaluation; None: one per
            evaluation.
        gradient_accumulation_steps: Micro-batches per optimizer step.
        best: Criteria of the checkpoints to keep.
        sharding: How several processes share the weights, see ``labelemb.training.parallel``.
        patience: Stop after this many evaluations without a better value of the first criterion; None: never.
    """

    epochs: int
    seed: int
    optimizer: OptimizerSettings
    eval_interval: int | None = None
    save_every: int | None = None
    gradient_accumulation_steps: int = 1
    best: tuple[CheckpointCriterion, ...] = (CheckpointCriterion("valid_error"),)
    sharding: Sharding = "none"
    patience: int | None = None

    def stops_early(self, history: Sequence[Line]) -> bool:
        """Return whether training ends with the last line. The history alone decides, as after a resume."""
        return self.patience is not None and self.best[0].since_best(history) >= self.patience
