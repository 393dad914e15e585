"""Configuration of sequence-to-sequence runs."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

from labelemb.errors import Choices
from labelemb.methods import METHODS
from labelemb.ops.backends import Implementation
from labelemb.tasks.seq2seq import numbers
from labelemb.tasks.seq2seq.attention import QueryActivation
from labelemb.tasks.seq2seq.batch import BatchType
from labelemb.tasks.seq2seq.hypothesis import SearchSettings
from labelemb.tasks.seq2seq.model import ModelDims
from labelemb.tasks.seq2seq.scores import SCORES
from labelemb.tasks.seq2seq.transformer import check_heads
from labelemb.terms.objective import Cap, Mix, Objective
from labelemb.training.config import TrainingConfig
from labelemb.training.settings import CheckpointCriterion, FitSettings

ModelName = Literal["lstm", "transformer"]


EVAL_SENTENCES = 64  # evaluation batch size where batch_size counts tokens


@dataclass(frozen=True)
class Seq2SeqConfig(TrainingConfig):
    """Configuration of a sequence-to-sequence run; the presets are values of it.

    The options shared by all tasks are documented in ``TrainingConfig``.

    Args:
        corpus: ``numbers-en-vi`` (generated); ``iwslt15-en-vi`` (as published), ``iwslt15-en-vi-cased`` or
            ``iwslt15-en-vi-small``, read from the Stanford files; or a folder written by ``labelemb preprocess``,
            absolute or below ``--data``.
        limit: Number of training pairs to use, from the first on; 0: all.
        restore: Checkpoint to initialize the weights from; null: none.
        model: ``lstm`` (published) or ``transformer``.
        embedding_size: Size of the word embeddings.
        hidden_size: Hidden size of encoder and decoder, and input size of the classifier.
        layers: Number of layers of encoder and decoder.
        dropout: Dropout probability.
        query_activation: LSTM: activation of the attention query, ``none`` or ``tanh``.
        heads: Transformer: number of attention heads; must divide hidden_size.
        feedforward: Transformer: inner size of the feed-forward blocks; null: 4 * hidden_size.
        batch_type: Unit of batch_size: ``sentences``, or ``tokens`` of the longer side including padding.
        rank: Rank of the compressed label embedding; null: hidden_size.
        save_interval: Optimizer steps between resumable checkpoints; null: at every evaluation.
        eval_metrics: Metrics of the generated text, separated by commas: ``exact``, ``bleu``, ``rouge``.
        beam_size: Beam size for the test set after the last step; validation decodes greedily.
        max_length: Maximum number of generated tokens.
        length_penalty: Exponent of the length that beam scores are divided by; 0: none.
        unk: Whether to replace a generated unknown token by the source word with the most attention.

    Raises:
        ConfigError: Naming every invalid option.
    """

    # Methods that store a (V, V) matrix or need a sample index per token do not work with a vocabulary.
    methods: ClassVar[tuple[str, ...]] = tuple(
        name for name, method in METHODS.items() if method.large_vocabulary and not method.needs_index
    )

    corpus: str = numbers.NAME
    limit: int = 0
    restore: str | None = None
    model: ModelName = "lstm"
    embedding_size: int = 512
    hidden_size: int = 512
    layers: int = 2
    dropout: float = 0.2
    query_activation: QueryActivation = "none"
    heads: int = 8
    feedforward: int | None = None
    epochs: int = 25
    batch_size: int = 64
    batch_type: BatchType = "sentences"
    max_grad_norm: float = 5.0
    decay_factor: float = 0.5
    decay_every: int = 8
    mix: Mix = "sum"
    cap: Cap = "absolute"
    rank: int | None = None
    impl: Implementation = "auto"
    save_interval: int | None = None
    eval_metrics: str = "bleu"
    beam_size: int = 1
    max_length: int = 50
    length_penalty: float = 0.0
    unk: bool = True

    def check_values(self, choices: Choices) -> None:
        """Record invalid options."""
        choices.include(lambda: self.sizes)
        choices.expect_one_of("model", self.model, get_args(ModelName))
        if self.model == "transformer":
            choices.include(lambda: check_heads(self.hidden_size, self.heads))
        for name in ("rank", "save_interval", "feedforward"):
            value = getattr(self, name)
            choices.expect(value is None or value >= 1, name, "a whole number >= 1, or null", value)
        choices.expect(self.heads >= 1, "heads", "a whole number >= 1", self.heads)
        choices.expect(self.limit >= 0, "limit", "a whole number >= 0", self.limit)
        choices.expect_one_of("batch_type", self.batch_type, get_args(BatchType))
        for name in self.score_names:
            choices.expect_one_of("eval_metrics", name, list(SCORES))
        choices.include(lambda: self.search_settings)
        super().check_values(choices)

    @property
    def objective(self) -> Objective:
        """Return the options of the loss; sums are divided by the number of tokens, as published."""
        return replace(super().objective, reduction="token")

    @property
    def files(self) -> dict[str, Path]:
        """Return the input files of a run: option -> file."""
        return super().files | ({"restore": Path(self.restore).expanduser()} if self.restore else {})

    @property
    def fit_settings(self) -> FitSettings:
        """Return the options of the training loop."""
        scores = (CheckpointCriterion(f"valid_{SCORES[name]}", name, highest=True) for name in self.score_names)
        return replace(
            super().fit_settings,
            save_every=self.save_interval,
            best=(CheckpointCriterion("valid_perplexity"), *scores),
        )

    @property
    def sizes(self) -> ModelDims:
        """Return the dimensions of the model."""
        return self.values_of(ModelDims)

    @property
    def eval_batch_size(self) -> int:
        """Return the number of sentences per batch of evaluation and decoding."""
        return self.batch_size if self.batch_type == "sentences" else EVAL_SENTENCES

    @property
    def search_settings(self) -> SearchSettings:
        """Return the options of the search."""
        return SearchSettings(self.beam_size, self.max_length, self.length_penalty)

    @property
    def score_names(self) -> list[str]:
        """Return the names of the evaluation metrics."""
        return [name.strip() for name in self.eval_metrics.split(",")]
