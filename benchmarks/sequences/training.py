"""Words per second of whole training steps."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.measure import Timing, clock, time_interleaved
from benchmarks.sequences.matmul import Product
from benchmarks.sequences.step_by_step import StepByStep
from benchmarks.sequences.text import BATCH
from benchmarks.tables import Comparison
from labelemb.tasks.seq2seq.batch import BatchPlan, PairBatch, Rows
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.model import LSTMSeq2Seq
from labelemb.tasks.seq2seq.sentences import Split
from labelemb.tasks.seq2seq.task import Seq2SeqTask
from labelemb.training.device import make_accelerator
from labelemb.training.settings import FitSettings
from labelemb.training.state import RunningSums, TrainState


def training(config: Seq2SeqConfig, corpus: Corpus, rounds: int, batches: int) -> Comparison:
    """Time training steps: batches of similar lengths and random order, whole targets and token by token."""
    train = corpus.splits["train"]
    plan = BatchPlan(train.src.lengths, train.tgt.lengths, BATCH)
    check_training(config, corpus, plan)
    library, plain = train_state(config, corpus), train_state(config, corpus, StepByStep)
    published = train_state(replace(config, impl="eager"), corpus, partial(StepByStep, packed=True))
    calls = {
        "whole target, similar lengths": Counted(library, train, similar_lengths(plan, train, batches)),
        "whole target, random order": Counted(library, train, random_order(train, batches)),
        "token by token, similar lengths": Counted(plain, train, similar_lengths(plan, train, batches)),
        "token by token, random order": Counted(plain, train, random_order(train, batches)),
        "the same, packed encoder, eager loss": Counted(published, train, random_order(train, batches)),
    }
    product = Product(config, corpus)
    timings = time_interleaved({**calls, "product": product}, rounds, warmup=1, clock=clock())
    limit = calls["whole target, similar lengths"].operations(config, corpus) / product.rate(timings.pop("product"))
    spent = sum(timings["whole target, similar lengths"].samples)
    per_word = {name: calls[name].per_thousand_words(timing) for name, timing in timings.items()}
    best, random, steps, plain_steps, whole = per_word.values()
    ratios = {
        "words per second over token by token in random order (target >= 2.5)": plain_steps.over(best),
        "over the published variant with packed encoder and eager loss": whole.over(best),
        "part due to whole targets (over token by token, similar lengths)": steps.over(best),
        "part due to similar lengths (over whole target, random order)": random.over(best),
        "tokens with padding over tokens without, similar lengths (target <= 1.07)": plan.padding,
        "tokens with padding over tokens without, random order": random_padding(train),
        "time over the matmul limit": spent / limit,
    }
    return Comparison(f"training, label embedding; {batches} batches per round", per_word, "words", 1000, ratios)


def train_state(
    config: Seq2SeqConfig, corpus: Corpus, wrap: Callable[[LSTMSeq2Seq], nn.Module] | None = None
) -> TrainState:
    """Return model, loss and optimizer of the recipe."""
    task = Seq2SeqTask(replace(config, method="label_embedding"), corpus)
    assert isinstance(task.model, LSTMSeq2Seq)
    task.model = wrap(task.model) if wrap else task.model
    settings = FitSettings(epochs=1, seed=0, optimizer=config.optimizer_settings)
    return TrainState.prepare(task, settings, make_accelerator("fp32", "cpu", "none", Path()))


class Counted:
    """Training steps that count the target words of each call."""

    def __init__(self, train_state: TrainState, train: Split, rounds: Iterator[list[Rows]]) -> None:
        self.train_state, self.train, self.rounds = train_state, train, rounds
        self.words: list[int] = []
        self.seen: list[list[Rows]] = []

    def __call__(self) -> None:
        """Run the steps of the next round."""
        rows = next(self.rounds)
        batches = [PairBatch.from_rows(self.train, one) for one in rows]
        for batch in batches:
            self.train_state.step([batch], 1e-3, RunningSums())
        self.words.append(sum(batch.size for batch in batches))
        self.seen.append(rows)

    def per_thousand_words(self, timing: Timing) -> Timing:
        """Return seconds per 1,000 words, because rounds differ in length. The first call is warm-up."""
        return Timing(tuple(1000 * s / n for s, n in zip(timing.samples, self.words[1:], strict=True)))

    def operations(self, config: Seq2SeqConfig, corpus: Corpus) -> float:
        """Return the operations of all calls but the first: matrix products, forward once and backward twice."""
        total, labels, width = 0.0, len(corpus.tgt_vocab), config.hidden_size
        for rows in itertools.chain.from_iterable(self.seen[1:]):
            batch = PairBatch.from_rows(self.train, rows)
            target, source = self.train.tgt.lengths[rows] + 1, self.train.src.lengths[rows]
            tokens, distinct = int(target.sum()), len(set(batch.targets.flatten().tolist())) - 1
            recurrent = (tokens + int(source.sum())) * config.layers * 16 * width**2
            attention = tokens * 6 * width**2 + 4 * int((target * source).sum()) * width
            total += 3 * (recurrent + attention) + (10 * tokens + 10 * distinct) * labels * width
        return total


def similar_lengths(plan: BatchPlan, train: Split, batches: int) -> Iterator[list[Rows]]:
    """Yield rounds of batches spread over all lengths, so that rounds are comparable."""
    for epoch in itertools.count():
        ranked = sorted(plan.epoch(epoch), key=lambda rows: int(train.tgt.lengths[rows].sum()))
        apart = len(ranked) // batches
        for first in np.random.default_rng(epoch).permutation(apart).tolist():
            yield ranked[first::apart][:batches]


def random_order(train: Split, batches: int) -> Iterator[list[Rows]]:
    """Yield rounds of random batches."""
    draw = np.random.default_rng(0)
    while True:
        yield [draw.choice(len(train), BATCH, replace=False) for _ in range(batches)]


def random_padding(train: Split) -> float:
    """Return tokens with padding over tokens without, both sides, batches in random order."""
    source, target = train.src.lengths, train.tgt.lengths + 1
    order = np.random.default_rng(0).permutation(len(train))
    batches = np.split(order, range(BATCH, len(order), BATCH))
    whole = sum(len(rows) * int(source[rows].max() + target[rows].max()) for rows in batches)
    return whole / int(source.sum() + target.sum())


def check_training(config: Seq2SeqConfig, corpus: Corpus, plan: BatchPlan) -> None:
    """Check that all decoders give the same hidden states and gradients, in float64, on a short batch."""
    task = Seq2SeqTask(replace(config, dropout=0.0, hidden_size=64, embedding_size=48, rank=32), corpus)
    assert isinstance(task.model, LSTMSeq2Seq)
    model, loss = task.model.double(), task.loss.double()
    batch = PairBatch.from_rows(corpus.splits["train"], plan.epoch(0)[0][:16])
    parameters = [*model.parameters(), *loss.parameters()]
    found = []
    for one in (model, StepByStep(model), StepByStep(model, packed=True)):
        hidden = one(*batch.inputs)
        total = loss(hidden, model.head, batch.targets).loss
        found.append([hidden, total, *torch.autograd.grad(total, parameters, allow_unused=True)])
    for mine, *others in zip(*found, strict=True):
        for other in others:
            if mine is not None:
                torch.testing.assert_close(mine, other, atol=1e-10, rtol=1e-8)
