"""Configuration of text-classification runs."""

from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Self, get_args

from labelemb.errors import Choices
from labelemb.tasks.classification.config import ClassificationConfig
from labelemb.tasks.classification.pretrained import PREFIX, PRETRAINED_RATES, learning_rates
from labelemb.tasks.text import data
from labelemb.tasks.text.data import DataOptions
from labelemb.tasks.text.pretrained import Pooling
from labelemb.training.optimizers import OptimizerName, OptimizerSettings, Schedule

EMBEDDED = "ngrams"
# learning rates of the body, the head and the loss's parameters
EMBEDDED_RATES = (5e-3, 5e-3, 5e-3)


@dataclass(frozen=True)
class TextConfig(ClassificationConfig):
    """Configuration of a text-classification run; the presets are values of it.

    The options shared by all tasks are documented in ``TrainingConfig`` and ``ClassificationConfig``.

    Args:
        dataset: Labeled texts: ``csv:PATH``, ``tsv:PATH``, ``jsonl:PATH``, ``parquet:PATH`` or ``hub:ID``.
        valid_file: Validation file; null: a stratified tenth of the training texts.
        test_file: Test file; null: the hub's test split, else a stratified fifth of the training texts.
        text_column: Column with the text.
        label_column: Column with the label.
        validate: Whether to hold out validation texts where there is no validation split; null: yes.
        per_label: Maximum number of training texts per label (few-shot); null: all.
        model: ``ngrams`` (small, trained from scratch) or ``hf:DIR_OR_ID`` (pretrained encoder of transformers).
        pooling: Pretrained encoders: ``mean`` over the tokens, ``cls`` (first token) or ``pooler`` (the model's own).
        hidden_size: ``ngrams``: size of embeddings and hidden layer.
        max_length: Pretrained encoders: maximum number of tokens of a text; longer texts are truncated.
        dropout: Dropout probability in front of the classifier.
        frozen_layers: Pretrained encoders: number of lower layers, and the embeddings, that are not trained; 0: none.
        gradient_checkpointing: Pretrained encoders: recompute activations in the backward pass to save memory.
        learning_rate: Peak learning rate of the encoder; null: 5e-3 for ``ngrams``, 5e-5 for pretrained encoders.
        head_learning_rate: Peak learning rate of the classifier; null: 5e-3 for ``ngrams``, 2e-3 otherwise.
        loss_learning_rate: Peak learning rate of the label embedding; null: 5e-3 for ``ngrams``, 1e-2 otherwise.
        warmup: Fraction of the steps that the ``linear`` schedule warms up.

    Raises:
        ConfigError: Naming every invalid option.
    """

    dataset: str = ""
    valid_file: str | None = None
    test_file: str | None = None
    text_column: str = "text"
    label_column: str = "label"
    validate: bool | None = None
    per_label: int | None = None
    model: str = EMBEDDED
    pooling: Pooling = "mean"
    hidden_size: int = 128
    max_length: int = 128
    dropout: float = 0.1
    frozen_layers: int = 0
    gradient_checkpointing: bool = False
    epochs: int = 8
    batch_size: int = 32
    optimizer: OptimizerName = "adamw"
    learning_rate: float | None = None  # type: ignore[assignment]
    head_learning_rate: float | None = None
    loss_learning_rate: float | None = None
    weight_decay: float = 0.01
    max_grad_norm: float = 1.0
    schedule: Schedule = "linear"
    warmup: float = 0.1

    def check_values(self, choices: Choices) -> None:
        """Report invalid values to ``choices``."""
        if self.dataset:
            choices.include(lambda: data.check_form(self.dataset))
        known = self.model == EMBEDDED or (self.is_pretrained and len(self.model) > len(PREFIX))
        hint = f"A pretrained encoder: {PREFIX}{self.model}" if ":" not in self.model else ""
        choices.expect(known, "model", f"{EMBEDDED} or hf:DIR_OR_ID", repr(self.model), hint)
        choices.expect_one_of("pooling", self.pooling, get_args(Pooling))
        for name in ("hidden_size", "max_length"):
            choices.expect(getattr(self, name) >= 1, name, "a whole number >= 1", getattr(self, name))
        choices.expect(
            self.per_label is None or self.per_label >= 1, "per_label", "a whole number >= 1, or null", self.per_label
        )
        choices.expect(self.frozen_layers >= 0, "frozen_layers", "a whole number >= 0", self.frozen_layers)
        choices.expect(0 <= self.dropout < 1, "dropout", "a probability from 0 to below 1", self.dropout)
        super().check_values(choices)

    @property
    def is_pretrained(self) -> bool:
        """Whether the encoder is a pretrained one."""
        return self.model.startswith(PREFIX)

    @property
    def data_options(self) -> DataOptions:
        """Return the options of the data set."""
        return DataOptions(**{field.name: getattr(self, field.name) for field in fields(DataOptions)})

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Return the options of the optimizer, with learning rates that suit the model."""
        values = {field.name: getattr(self, field.name) for field in fields(OptimizerSettings)}
        return OptimizerSettings(**values | self._learning_rates())

    @property
    def files(self) -> dict[str, Path]:
        """Return the input files of a run: option -> file."""
        weights = Path(self.model.removeprefix(PREFIX)).expanduser() / "model.safetensors"
        return super().files | ({"model": weights} if self.is_pretrained and weights.is_file() else {})

    def resolved(self) -> Self:
        """Return the config with every automatic choice made."""
        return replace(super().resolved(), **self._learning_rates())

    def _learning_rates(self) -> dict[str, Any]:
        return learning_rates(self, PRETRAINED_RATES if self.is_pretrained else EMBEDDED_RATES)
