"""Words per second of whole training steps."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import nn

from benchmarks.measure import Timing, interleaved
from benchmarks.sequences.step_by_step import StepByStep
from benchmarks.sequences.text import BATCH
from benchmarks.tables import Peers
from labelemb.seq2seq.batch import BatchPlan, PairBatch, Rows
from labelemb.seq2seq.config import Seq2SeqConfig
from labelemb.seq2seq.corpus import Corpus, Split
from labelemb.seq2seq.model import LSTMSeq2Seq
from labelemb.seq2seq.task import Seq2SeqTask
from labelemb.training.device import make_accelerator
from labelemb.training.loop import FitSettings, Tally, Trainee


def training(config: Seq2SeqConfig, corpus: Corpus, rounds: int, batches: int, rate: float) -> Peers:
    """Time whole training steps: batches of like lengths and random ones, whole targets and token by token."""
    train = corpus.splits["train"]
    lengths = (train.src.lengths, train.tgt.lengths)
    plan = BatchPlan(*lengths, BATCH)
    check_training(config, corpus, plan)
    ours, plain = trainee(config, corpus, None), trainee(config, corpus, StepByStep)
    orders = {"like lengths": like_lengths(plan, lengths, batches), "random order": random_order(len(train), batches)}
    peers = {"whole target": ours, "token by token": plain}
    calls = {f"{decoder}, {order}": (peers[decoder], rows) for decoder in peers for order, rows in orders.items()}
    counted = {name: Counted(one, train, iter(rows())) for name, (one, rows) in calls.items()}
    timings = interleaved(counted, rounds, warmup=1)
    # Rounds differ in length: seconds per 1,000 words compare.
    words = {name: one.words[1:] for name, one in counted.items()}
    per_word = {
        name: Timing(tuple(1000 * s / n for s, n in zip(timing.samples, words[name], strict=True)))
        for name, timing in timings.items()
    }
    names = list(per_word)
    best, worst = per_word[names[0]], per_word[names[-1]]
    floor = counted[names[0]].operations(config, corpus) / rate
    spent = sum(timings[names[0]].samples)
    ratios = {
        "times the words per second of token by token in random order (aim >= 2.5)": worst.over(best),
        "of it by the whole target in one call, like lengths": per_word[names[2]].over(best),
        "of it by like lengths, whole target": per_word[names[1]].over(best),
        "tokens with padding over those without, like lengths (aim <= 1.07)": plan.padding,
        "tokens with padding over those without, random order": random_padding(lengths),
        "seconds over the floor of the products, like lengths and whole target": spent / floor,
    }
    title = f"training, 1,000 target words; label embedding; {batches} batches a round"
    return Peers(title, per_word, "words", 1000, ratios)


def trainee(config: Seq2SeqConfig, corpus: Corpus, wrap: Callable[[LSTMSeq2Seq], nn.Module] | None) -> Trainee:
    """Return the model with the loss and the optimiser of the recipe."""
    task = Seq2SeqTask(replace(config, mode="emb"), corpus)
    assert isinstance(task.model, LSTMSeq2Seq)
    task.model = wrap(task.model) if wrap else task.model
    settings = FitSettings(epochs=1, seed=0, optimizer=config.optimizer_settings)
    return Trainee.prepare(task, settings, make_accelerator("fp32", "cpu", "none", Path()))


class Counted:
    """Training steps on the next batches, and how many target words each call had."""

    def __init__(self, trainee: Trainee, train: Split, rounds: Iterator[list[Rows]]) -> None:
        self.trainee, self.train, self.rounds = trainee, train, rounds
        self.words: list[int] = []
        self.seen: list[list[Rows]] = []

    def __call__(self) -> None:
        """Take the steps of the next round."""
        rows = next(self.rounds)
        batches = [PairBatch.of(self.train, one) for one in rows]
        for batch in batches:
            self.trainee.step([batch], 1e-3, Tally())
        self.words.append(sum(batch.size for batch in batches))
        self.seen.append(rows)

    def operations(self, config: Seq2SeqConfig, corpus: Corpus) -> float:
        """Return those of all calls but the first: products of words alone, forward and twice that backward."""
        total, labels, width = 0.0, len(corpus.tgt_vocab), config.hidden_size
        for rows in itertools.chain.from_iterable(self.seen[1:]):
            batch = PairBatch.of(self.train, rows)
            target, source = self.train.tgt.lengths[rows] + 1, self.train.src.lengths[rows]
            tokens, distinct = int(target.sum()), len(batch.targets.unique()) - 1
            recurrent = (tokens + int(source.sum())) * config.layers * 16 * width**2
            attention = tokens * 6 * width**2 + 4 * int((target * source).sum()) * width
            total += 3 * (recurrent + attention) + (10 * tokens + 10 * distinct) * labels * width
        return total


def like_lengths(plan: BatchPlan, lengths: Sequence[Rows], batches: int) -> Callable[[], Iterator[list[Rows]]]:
    """Return rounds of batches from all over the plan, short to long, so that rounds are alike."""

    def rounds() -> Iterator[list[Rows]]:
        for epoch in itertools.count():
            ranked = sorted(plan.epoch(epoch), key=lambda rows: int(lengths[1][rows].sum()))
            offsets = np.random.default_rng(epoch).permutation(len(ranked) // batches)
            for offset in offsets.tolist():
                yield ranked[offset :: len(ranked) // batches][:batches]

    return rounds


def random_order(pairs: int, batches: int) -> Callable[[], Iterator[list[Rows]]]:
    """Return rounds of batches without regard to lengths."""

    def rounds() -> Iterator[list[Rows]]:
        draw = np.random.default_rng(0)
        while True:
            yield [draw.choice(pairs, BATCH, replace=False) for _ in range(batches)]

    return rounds


def random_padding(lengths: tuple[Rows, Rows]) -> float:
    """Return the tokens of both sides with padding over those without, batches in random order."""
    source, target = lengths[0], lengths[1] + 1
    order = np.random.default_rng(0).permutation(len(source))
    batches = np.split(order, range(BATCH, len(order), BATCH))
    whole = sum(len(rows) * int(source[rows].max() + target[rows].max()) for rows in batches)
    return whole / int(source.sum() + target.sum())


def check_training(config: Seq2SeqConfig, corpus: Corpus, plan: BatchPlan) -> None:
    """Stop unless both decoders give the same hidden states and gradients, in float64, on a short batch."""
    task = Seq2SeqTask(replace(config, dropout=0.0, hidden_size=64, embedding_size=48, rank=32), corpus)
    assert isinstance(task.model, LSTMSeq2Seq)
    model, loss = task.model.double(), task.loss.double()
    batch = PairBatch.of(corpus.splits["train"], plan.epoch(0)[0][:16])
    parameters = [*model.parameters(), *loss.parameters()]
    found = []
    for one in (model, StepByStep(model)):
        hidden = one(*batch.inputs)
        total = loss(hidden, model.head, batch.targets).total
        found.append([hidden, total, *torch.autograd.grad(total, parameters, allow_unused=True)])
    for mine, plain in zip(*found, strict=True):
        if mine is not None:
            torch.testing.assert_close(mine, plain, atol=1e-10, rtol=1e-8)
