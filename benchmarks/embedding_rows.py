"""Training steps of translation with 8,000 target words: one-hot, label embedding, and with a share of the rows.

    python -m benchmarks.embedding_rows

Target on a CPU: with ``embedding_rows=0.25`` at most 1.3 times the time of a one-hot step, in both phases of training:
before ``soft_start``, where label embedding has the terms hard, aux, embedding and cap, and after it, where it has all.
A step is what the training loop does: batch, forward, loss, backward, gradient clipping, Adam. The model is that of the
preset, its text is random with the sentence lengths of talks. With one thread (default) CPU time is measured.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import torch

from benchmarks.measure import Timing, clock, time_interleaved
from benchmarks.sequences.text import random_corpus
from benchmarks.tables import Comparison, show, write
from labelemb.presets import read_preset
from labelemb.tasks.seq2seq.batch import BatchPlan, PairBatch
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.task import Seq2SeqTask
from labelemb.training.device import make_accelerator
from labelemb.training.settings import FitSettings
from labelemb.training.state import RunningSums, TrainState

PRESET = "iwslt15-en-vi-small"
ONE_HOT = "one-hot"
SHARES = (1.0, 0.5, 0.25, 0.1)
RESULTS = Path(__file__).parent / "results" / "embedding_rows.csv"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--rounds", type=int, default=12, help="measured rounds, each of one step per program")
    parser.add_argument("--threads", type=int, default=1, help="torch threads")
    parser.add_argument("--width", type=int, help="size of embeddings, hidden states and rank; default: the preset's")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    corpus, values = random_corpus(), read_preset(PRESET).values
    sizes = dict.fromkeys(("embedding_size", "hidden_size", "rank"), args.width) if args.width else {}
    config = Seq2SeqConfig(**values | sizes | {"precision": "fp32", "device": "cpu"})
    tables = [
        measure(replace(config, soft_start=0), corpus, args.rounds, "all terms"),
        measure(replace(config, soft_start=10**9), corpus, args.rounds, "before soft_start"),
    ]
    note = f"{PRESET}, width {config.hidden_size}, {len(corpus.tgt_vocab)} target words, batches of {config.batch_size}"
    show(*tables, note=note)
    write(RESULTS, *tables, note=note)


def measure(config: Seq2SeqConfig, corpus: Corpus, rounds: int, title: str) -> Comparison:
    """Time one step of each program per round, all on the same batch."""
    train = corpus.splits["train"]
    batches = BatchPlan(train.src.lengths, train.tgt.lengths, config.batch_size).epoch(0)[: rounds + 2]
    calls = {ONE_HOT: Steps(replace(config, method="cross_entropy"), corpus, batches)}
    for share in SHARES:
        changed = Seq2SeqConfig(**vars(config) | {"embedding_rows": share})  # the field of a method
        calls[f"embedding_rows {share:g}"] = Steps(changed, corpus, batches)
    timings = time_interleaved(calls, rounds, warmup=2, clock=clock())
    words = [PairBatch.from_rows(train, rows).size for rows in batches[2:]]
    per_word = {
        name: Timing(tuple(1000 * s / n for s, n in zip(timing.samples, words, strict=True)))
        for name, timing in timings.items()
    }
    ratios = {
        f"{name} over {ONE_HOT}{' (target <= 1.3)' if name.endswith(' 0.25') else ''}": timing.over(timings[ONE_HOT])
        for name, timing in timings.items()
        if name != ONE_HOT
    }
    return Comparison(f"training step, {title}", per_word, "words", 1000, ratios)


class Steps:
    """Steps of the training loop on given batches, one per call."""

    def __init__(self, config: Seq2SeqConfig, corpus: Corpus, batches: list) -> None:  # type: ignore[type-arg]
        self._task = Seq2SeqTask(config, corpus)
        settings = FitSettings(epochs=1, seed=0, optimizer=config.optimizer_settings)
        self._state = TrainState.prepare(self._task, settings, make_accelerator("fp32", "cpu", "none", Path()))
        self._batches = iter([PairBatch.from_rows(corpus.splits["train"], rows) for rows in batches])

    def __call__(self) -> None:
        """Take the next step."""
        self._state.step([next(self._batches)], 1e-3, RunningSums())


if __name__ == "__main__":
    main()
