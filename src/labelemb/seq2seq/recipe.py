"""The language recipe: from a config to a finished run folder."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from labelemb.errors import Choices, ConfigError, DataError
from labelemb.losses.base import world_size
from labelemb.losses.cross_entropy import CrossEntropyLoss
from labelemb.losses.embedding import CompressedLabelEmbedding
from labelemb.losses.implementations import Implementation, check_implementation
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.objective import Cap, Mix, Objective
from labelemb.losses.terms import TERMS
from labelemb.metrics.classification import error_percent
from labelemb.metrics.likelihood import mean_nll, perplexity
from labelemb.runs import RunFolder
from labelemb.seq2seq import numbers
from labelemb.seq2seq.attention import QueryActivation
from labelemb.seq2seq.batch import BatchBy, BatchPlan, PairBatch, by_length
from labelemb.seq2seq.corpus import Corpus, Split
from labelemb.seq2seq.model import LSTMSeq2Seq
from labelemb.seq2seq.scores import SCORES, score
from labelemb.seq2seq.search import SearchSettings
from labelemb.seq2seq.translate import translate
from labelemb.seq2seq.vocab import PAD
from labelemb.training.device import Precision, best_precision, check_tracker, make_accelerator
from labelemb.training.loop import FitSettings, train_run
from labelemb.training.optim import OptimizerName, OptimizerSettings, Schedule
from labelemb.training.seeding import drawing_from
from labelemb.training.task import Share

Mode = Literal["baseline", "emb"]


@dataclass(frozen=True)
class Seq2SeqConfig:
    """Every choice of a language run; the presets are values of it.

    corpus            numbers-en-vi, or the folder that labelemb preprocess wrote, as it is or below --data
    embedding_size    of the words
    hidden_size       of encoder, decoder and the state in front of the classifier
    layers            of encoder and decoder
    dropout           between the layers and on what attention gives
    query_activation  none or tanh, on the attention query
    mode              baseline: one-hot cross entropy; emb: label embedding
    seed              drives model and loss initialisation, data order and dropout by streams of their own
    epochs            passes over the training pairs
    batch_size        sentences per optimiser step, or tokens; over all processes
    batch_by          what batch_size counts: sentences, or tokens of the longer side with their padding
    micro_batches     pieces a batch is cut into, to save memory
    optimizer         adam or sgd
    learning_rate     its peak
    momentum          of sgd
    weight_decay      of the model's parameters; the label embedding never gets any
    clip              largest norm of all gradients, model and loss together; 0: no clipping
    schedule          constant, step, cosine or one-cycle
    decay_factor      of the step schedule
    decay_every       epochs between two steps of the step schedule
    tau               temperature of the auxiliary head as the embedding's teacher
    alpha             confidence cap of the auxiliary head
    beta              weight of the hard term in a convex mix
    mix               sum or convex
    cap               absolute or hinge
    soft_start        optimiser steps before the soft term is on
    terms             terms in use, commas between: hard,soft,aux,embedding,cap
    rank              of the compressed label embedding; null: hidden_size
    impl              implementation of the loss: auto, eager, chunked or fused
    eval_interval     optimiser steps between evaluations; null: one per epoch
    scores            of the output, commas between: exact, bleu, rouge
    beam_size         of the search at the end, on the test text; validation text is searched greedily
    max_length        most tokens of an output
    length_penalty    exponent of the length that scores are divided by in the search; 0: none
    unk               replace an unknown word by the source word that has the most attention
    precision         fp32, bf16 or fp16 (autocast); auto: bf16 where the hardware has it
    device            auto or cpu
    tracker           none, or what Accelerate knows: tensorboard, wandb, ...
    """

    corpus: str = numbers.NAME
    embedding_size: int = 512
    hidden_size: int = 512
    layers: int = 2
    dropout: float = 0.2
    query_activation: QueryActivation = "none"
    mode: Mode = "emb"
    seed: int = 0
    epochs: int = 25
    batch_size: int = 64
    batch_by: BatchBy = "sentences"
    micro_batches: int = 1
    optimizer: OptimizerName = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    clip: float = 5.0
    schedule: Schedule = "constant"
    decay_factor: float = 0.5
    decay_every: int = 8
    tau: float = 2.0
    alpha: float = 0.9
    beta: float = 0.5
    mix: Mix = "sum"
    cap: Cap = "absolute"
    soft_start: int = 0
    terms: str = ",".join(TERMS)
    rank: int | None = None
    impl: Implementation = "auto"
    eval_interval: int | None = None
    scores: str = "bleu"
    beam_size: int = 1
    max_length: int = 50
    length_penalty: float = 0.0
    unk: bool = True
    precision: Precision = "fp32"
    device: Literal["auto", "cpu"] = "auto"
    tracker: str = "none"

    def __post_init__(self) -> None:
        with Choices() as choices:
            for name in ("embedding_size", "hidden_size", "layers", "epochs", "batch_size", "micro_batches"):
                choices.expect(getattr(self, name) >= 1, name, "a whole number >= 1", getattr(self, name))
            for name in ("rank", "eval_interval"):
                value = getattr(self, name)
                choices.expect(value is None or value >= 1, name, "a whole number >= 1, or null", value)
            choices.expect(0 <= self.dropout < 1, "dropout", "a number from 0 to below 1", self.dropout)
            choices.expect(self.seed >= 0, "seed", "a whole number >= 0", self.seed)
            choices.expect_one_of("mode", self.mode, get_args(Mode))
            choices.expect_one_of("batch_by", self.batch_by, get_args(BatchBy))
            for name in self.score_names:
                choices.expect_one_of("scores", name, SCORES)
            choices.include(lambda: self.objective)
            choices.include(lambda: self.optimizer_settings)
            choices.include(lambda: self.search_settings)
            choices.include(lambda: check_implementation(self.impl, None))

    @property
    def objective(self) -> Objective:
        """Return the choices that are the loss's; sums are divided by the number of tokens, as published."""
        terms = frozenset(term.strip() for term in self.terms.split(","))
        return Objective(self.tau, self.alpha, self.beta, self.mix, self.cap, "token", self.soft_start, terms)

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Return the choices that are the optimiser's."""
        return OptimizerSettings(**{field.name: getattr(self, field.name) for field in fields(OptimizerSettings)})

    @property
    def search_settings(self) -> SearchSettings:
        """Return the choices that are the search's."""
        return SearchSettings(self.beam_size, self.max_length, self.length_penalty)

    @property
    def score_names(self) -> list[str]:
        """Return the scores, one by one."""
        return [name.strip() for name in self.scores.split(",")]

    def resolved(self) -> "Seq2SeqConfig":
        """Return the config with "auto" replaced by what this machine has."""
        return replace(self, precision=best_precision(self.device)) if self.precision == "auto" else self


class Seq2SeqTask:
    """A model, a loss and a corpus, as the training loop wants them."""

    unit = "words"
    ignore_index = PAD

    def __init__(self, config: Seq2SeqConfig, corpus: Corpus) -> None:
        self.config, self.corpus = config, corpus
        train = corpus.splits["train"]
        self._plan = BatchPlan(train.src.lengths, train.tgt.lengths, config.batch_size, config.batch_by, config.seed)
        self.steps_per_epoch = len(self._plan)
        with drawing_from(config.seed, "model"):
            self.model: nn.Module = build_model(config, corpus)
        with drawing_from(config.seed, "loss"):
            self.loss = build_loss(config, corpus)
        self._nll = CrossEntropyLoss(PAD, impl=config.impl)
        self._step = 0

    def place(self, device: torch.device) -> None:
        """Note the device; the arrays stay where they are mapped."""
        self._device = device

    def batches(self, epoch: int, start: int, share: Share) -> Iterator[list[PairBatch]]:
        """Yield the batches of an epoch; its order depends on the seed and the epoch alone."""
        train = self.corpus.splits["train"]
        for number, rows in enumerate(self._plan.epoch(epoch)[start:], start=start):
            self._step = epoch * self.steps_per_epoch + number + 1
            pieces = share.pieces(torch.from_numpy(rows))
            yield [PairBatch.of(train, piece.numpy(), self._device) for piece in pieces]

    def evaluate(self, model: nn.Module, share: Share, total: Callable[[Tensor], Tensor]) -> Mapping[str, float]:
        """Return loss, perplexity (of the true words, softened targets aside), error and scores of the validation text.

        The test text is read once, after the last step. Every process searches all of it: BLEU is no sum of parts.
        """
        last = self._step == self.config.epochs * self.steps_per_epoch
        figures: dict[str, float] = {}
        for name, split in self.corpus.splits.items():
            if name == "valid" or (name == "test" and last):
                settings = self.config.search_settings
                settings = replace(settings, beam_size=1) if name == "valid" else settings
                found = self._likelihood(model, split, share, total) | self._scores(model, split, settings)
                figures |= {f"{name}_{key}": value for key, value in found.items()}
        return figures

    def leave(self, run: RunFolder) -> None:
        """Write the label embedding with the words it is of."""
        if isinstance(self.loss, LabelEmbeddingLoss):
            self.loss.embedding.save(run.labels_file, self.corpus.tgt_vocab.words)

    def _likelihood(
        self, model: nn.Module, split: Split, share: Share, total: Callable[[Tensor], Tensor]
    ) -> dict[str, float]:
        """Return what the model makes of the true outputs, word after word."""
        sums = torch.zeros(4, dtype=torch.float64, device=self._device)  # loss, likelihood, right words, words
        for rows in by_length(split.tgt.lengths, self.config.batch_size):
            mine = rows[share.index :: share.count]
            batch = PairBatch.of(split, mine, self._device)
            hidden = model(*batch.inputs)
            plain = self._nll(hidden, model.head, batch.targets, denominator=1.0)
            own = self.loss(hidden, model.head, batch.targets, denominator=1.0)
            parts = (own.total / world_size(), plain.total / world_size(), plain.correct, plain.count)
            sums += torch.stack([part.double() for part in parts])
        loss, nll, correct, count = total(sums)
        words = int(count)
        return {
            "loss": mean_nll(float(loss), words),
            "perplexity": perplexity(mean_nll(float(nll), words)),
            "error": error_percent(correct, words),
        }

    def _scores(self, model: nn.Module, split: Split, settings: SearchSettings) -> dict[str, float]:
        assert isinstance(model, LSTMSeq2Seq)
        config, corpus = self.config, self.corpus
        lines = translate(model, corpus, split.src, split.src_lines, settings, config.batch_size, config.unk)
        figures = [
            score(name, lines, split.tgt_lines, split.src_lines, corpus.by_character) for name in config.score_names
        ]
        return {key: value for found in figures for key, value in found.items()}


def build_model(config: Seq2SeqConfig, corpus: Corpus) -> LSTMSeq2Seq:
    """Return the model of the config for the vocabularies of a corpus."""
    return LSTMSeq2Seq(
        len(corpus.src_vocab),
        len(corpus.tgt_vocab),
        embedding_size=config.embedding_size,
        hidden_size=config.hidden_size,
        layers=config.layers,
        dropout=config.dropout,
        query_activation=config.query_activation,
        shared_embedding=corpus.shared,
    )


def build_loss(config: Seq2SeqConfig, corpus: Corpus) -> nn.Module:
    """Return the loss of the config's mode; the label embedding is compressed."""
    if config.mode == "baseline":
        return CrossEntropyLoss(PAD, impl=config.impl)
    labels = len(corpus.tgt_vocab)
    embedding = CompressedLabelEmbedding(labels, config.rank or config.hidden_size)
    return LabelEmbeddingLoss(config.hidden_size, labels, embedding, config.objective, PAD, config.impl)


@lru_cache(maxsize=1)
def load_corpus(name: str, folder: Path | None) -> Corpus:
    """Return numbers-en-vi, or the prepared corpus at ``name``, as it is or below ``folder``; once per process.

    Raises DataError.
    """
    if name == numbers.NAME:
        return numbers.load_numbers()
    try:
        return Corpus.open(Path(name).expanduser())
    except DataError:
        if folder is None or Path(name).is_absolute():
            raise
        return Corpus.open(folder / name)


def check(config: Seq2SeqConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Make sure that a run can start; nothing is written, and the net takes no memory.

    Raises ConfigError (also when the folder holds another run), DataError.
    """
    corpus = _checked_corpus(config, run, data_folder)
    with torch.device("meta"):
        _build(config, corpus)


def train(config: Seq2SeqConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Train one run to its end, from wherever a killed process left it; nothing happens when it is finished.

    Raises as ``check`` does.
    """
    task = _build(config, _checked_corpus(config, run, data_folder))
    accelerator = make_accelerator(config.precision, config.device, config.tracker, run.path)
    settings = FitSettings(
        epochs=config.epochs,
        seed=config.seed,
        optimizer=config.optimizer_settings,
        evaluate_every=config.eval_interval,
        micro_batches=config.micro_batches,
        select="valid_perplexity",
    )
    train_run(task, settings, run, accelerator, asdict(config), task.corpus.digest)


def _checked_corpus(config: Seq2SeqConfig, run: RunFolder, folder: Path | None) -> Corpus:
    check_tracker(config.tracker)
    corpus = load_corpus(config.corpus, folder)
    run.check(asdict(config), corpus.digest)
    return corpus


def _build(config: Seq2SeqConfig, corpus: Corpus) -> Seq2SeqTask:
    task = Seq2SeqTask(config, corpus)
    total_steps = config.epochs * task.steps_per_epoch
    if config.mode == "emb" and config.soft_start >= total_steps:
        raise ConfigError(
            "soft_start",
            f"fewer steps than the run has ({total_steps})",
            config.soft_start,
            f"About 0.4 of all steps is usual: {int(0.4 * total_steps)}",
        )
    return task
