"""Every choice of a language run."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, get_args

from labelemb.errors import Choices
from labelemb.methods import MethodName
from labelemb.ops.backends import Implementation
from labelemb.tasks.seq2seq import numbers
from labelemb.tasks.seq2seq.attention import QueryActivation
from labelemb.tasks.seq2seq.batch import BatchType
from labelemb.tasks.seq2seq.model import ModelDims
from labelemb.tasks.seq2seq.scores import SCORES
from labelemb.tasks.seq2seq.search import SearchSettings
from labelemb.tasks.seq2seq.transformer import check_heads
from labelemb.terms.objective import Cap, Mix, Objective
from labelemb.training.config import TrainingConfig
from labelemb.training.loop import CheckpointCriterion, FitSettings

ModelName = Literal["lstm", "transformer"]


SENTENCES = 64  # side by side where the batches of training are counted in tokens


@dataclass(frozen=True)
class Seq2SeqConfig(TrainingConfig):
    """Every choice of a language run; the presets are values of it.

    corpus            numbers-en-vi; iwslt15-en-vi (as published), iwslt15-en-vi-cased or iwslt15-en-vi-small, from the
                      Stanford files; or the folder that labelemb preprocess wrote, as it is or below --data
    limit             first training pairs that are used; 0: all
    restore           checkpoint whose weights the run starts from; null: none
    model             lstm, as published, or transformer
    embedding_size    of the words
    hidden_size       of encoder, decoder and the state in front of the classifier
    layers            of encoder and decoder
    dropout           lstm: between the layers and on what attention gives; transformer: see TransformerSeq2Seq
    query_activation  lstm: none or tanh, on the attention query
    heads             transformer: of attention; they divide hidden_size
    feedforward       transformer: size inside the feed-forward blocks; null: 4 * hidden_size
    batch_size        sentences per optimiser step, or tokens; over all processes
    batch_type          what batch_size counts: sentences, or tokens of the longer side with their padding
    rank              of the compressed label embedding; null: hidden_size
    eval_interval     optimiser steps between evaluations; null: one per epoch
    save_interval     optimiser steps between checkpoints to go on from; null: one per evaluation
    eval_metrics            of the output, commas between: exact, bleu, rouge
    beam_size         of the search at the end, on the test text; validation text is searched greedily
    max_length        most tokens of an output
    length_penalty    exponent of the length that scores are divided by in the search; 0: none
    unk               replace an unknown word by the source word that has the most attention

    The other keys are those of every task (``TrainingConfig``).
    """

    # The others remember a matrix over all words, or each sample, or read no sequences.
    methods: ClassVar[tuple[MethodName, ...]] = (
        *(
            "cross_entropy",
            "label_embedding",
            "frozen_embedding",
            "label_smoothing",
            "matched_smoothing",
            "shuffled_embedding",
            "tf_kd",
            "label_relaxation",
        ),
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
    eval_interval: int | None = None
    save_interval: int | None = None
    eval_metrics: str = "bleu"
    beam_size: int = 1
    max_length: int = 50
    length_penalty: float = 0.0
    unk: bool = True

    def expect(self, choices: Choices) -> None:
        """Note what cannot be."""
        choices.include(lambda: self.sizes)
        choices.expect_one_of("model", self.model, get_args(ModelName))
        if self.model == "transformer":
            choices.include(lambda: check_heads(self.hidden_size, self.heads))
        for name in ("rank", "eval_interval", "save_interval", "feedforward"):
            value = getattr(self, name)
            choices.expect(value is None or value >= 1, name, "a whole number >= 1, or null", value)
        choices.expect(self.limit >= 0, "limit", "a whole number >= 0", self.limit)
        choices.expect_one_of("batch_type", self.batch_type, get_args(BatchType))
        for name in self.score_names:
            choices.expect_one_of("eval_metrics", name, list(SCORES))
        choices.include(lambda: self.search_settings)
        super().expect(choices)

    @property
    def objective(self) -> Objective:
        """Return the choices that are the loss's; sums are divided by the number of tokens, as published."""
        return replace(super().objective, reduction="token")

    @property
    def files(self) -> dict[str, Path]:
        """Return the files that a run starts from: config key -> file."""
        return super().files | ({"restore": Path(self.restore).expanduser()} if self.restore else {})

    @property
    def fit_settings(self) -> FitSettings:
        """Return the choices that are the training loop's."""
        scores = (CheckpointCriterion(f"valid_{SCORES[name]}", name, highest=True) for name in self.score_names)
        return replace(
            super().fit_settings,
            evaluate_every=self.eval_interval,
            save_every=self.save_interval,
            best=(CheckpointCriterion("valid_perplexity"), *scores),
        )

    @property
    def sizes(self) -> ModelDims:
        """Return the choices that are the model's, whatever its kind."""
        return ModelDims(**self.share(ModelDims))

    @property
    def sentences_at_once(self) -> int:
        """Return how many sentences are scored and searched side by side."""
        return self.batch_size if self.batch_type == "sentences" else SENTENCES

    @property
    def search_settings(self) -> SearchSettings:
        """Return the choices that are the search's."""
        return SearchSettings(self.beam_size, self.max_length, self.length_penalty)

    @property
    def score_names(self) -> list[str]:
        """Return the scores, one by one."""
        return [name.strip() for name in self.eval_metrics.split(",")]
