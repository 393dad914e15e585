"""The configuration keys that image and text classification share."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from labelemb.errors import Choices, ConfigError
from labelemb.metrics.human import read_groups
from labelemb.tasks.classification.imbalance import ClassWeights, Sampling
from labelemb.training.config import TrainingConfig
from labelemb.training.settings import CheckpointCriterion, FitSettings

BestMetric = Literal["valid_error", "valid_nll", "valid_macro_f1", "valid_balanced_accuracy"]
HIGHEST = ("valid_macro_f1", "valid_balanced_accuracy")  # the higher, the better


@dataclass(frozen=True)
class ClassificationConfig(TrainingConfig):
    """Configuration of a classification run.

    Args:
        sampling: ``shuffled``: every training example once per epoch; ``balanced``: as many examples per epoch, of
            every label equally many (rare labels are repeated, frequent ones take turns).
        class_weights: ``none``, or ``balanced``: every label has the same total weight in the loss, inversely
            proportional to its number of training examples.
        best_metric: Validation metric that selects best.pt and that ``patience`` waits for: ``valid_error``,
            ``valid_nll``, ``valid_macro_f1`` or ``valid_balanced_accuracy``.
        groups: File with the group of each label, such as superclasses, to measure how severe errors are: .csv with
            rows label,group; .json with the labels of each group. null: not measured.

    Raises:
        ConfigError: Naming every invalid option.
    """

    sampling: Sampling = "shuffled"
    class_weights: ClassWeights = "none"
    best_metric: BestMetric = "valid_error"
    groups: str | None = None

    def check_values(self, choices: Choices) -> None:
        """Report invalid values to ``choices``."""
        choices.expect_one_of("sampling", self.sampling, get_args(Sampling))
        choices.expect_one_of("class_weights", self.class_weights, get_args(ClassWeights))
        choices.expect_one_of("best_metric", self.best_metric, get_args(BestMetric))
        super().check_values(choices)

    @property
    def fit_settings(self) -> FitSettings:
        """Return the options of the training loop."""
        criterion = CheckpointCriterion(self.best_metric, highest=self.best_metric in HIGHEST)
        return replace(super().fit_settings, best=(criterion,))

    def check_validation(self, held_out: bool) -> None:
        """Raise ConfigError if ``patience`` waits for validation data that the run does not have."""
        if self.patience is not None and not held_out:
            raise ConfigError("patience", "validation data to wait for", "none held out", "Add --validate true")

    @property
    def files(self) -> dict[str, Path]:
        """Return the input files of a run: option -> file."""
        return super().files | ({"groups": Path(self.groups).expanduser()} if self.groups else {})

    def groups_of(self, label_names: Sequence[str]) -> list[str] | None:
        """Return the group of each label; None without a file.

        Raises:
            DataError: The file is missing or damaged, or lacks a label.
        """
        return read_groups(Path(self.groups).expanduser(), label_names) if self.groups else None
