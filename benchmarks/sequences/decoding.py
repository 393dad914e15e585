"""Sentences per second of greedy and beam search."""

import copy
import sys
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
import torch
from torch import Tensor

from benchmarks.measure import clock, time_interleaved
from benchmarks.sequences import step_by_step
from benchmarks.sequences.matmul import RecordedProducts
from benchmarks.sequences.step_by_step import StepByStep
from benchmarks.sequences.text import BATCH
from benchmarks.tables import Comparison
from labelemb.tasks.seq2seq.batch import batches_by_length, source_batch
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.hypothesis import Hypothesis, SearchSettings
from labelemb.tasks.seq2seq.model import LSTMSeq2Seq
from labelemb.tasks.seq2seq.search import search
from labelemb.tasks.seq2seq.sentences import Sentences
from labelemb.tasks.seq2seq.task import Seq2SeqTask
from labelemb.tasks.seq2seq.vocab import EOS

Find = Callable[[Tensor, Tensor, SearchSettings], list[Hypothesis]]


def decoding(
    config: Seq2SeqConfig, corpus: Corpus, rounds: int, sentences: int, beam_sizes: Sequence[int]
) -> list[Comparison]:
    """Time searches over the first sentences of the test text, and their products alone; beam size 1: greedy."""
    source = corpus.splits["test"].src
    rows = np.flatnonzero(source.lengths)[:sentences]
    source = Sentences(source.ids, source.spans[rows])
    model = decodable(config, corpus, source)
    tables = []
    for size in beam_sizes:
        settings = SearchSettings(size, max_length=50)
        plain_find = step_by_step.greedy if size == 1 else step_by_step.beam
        library, plain = partial(search, model), partial(plain_find, StepByStep(model))
        check_decoding(model, source, settings)
        name = "one object per beam" if size > 1 else "plain loop"
        calls = {
            "batched tensors, finished rows removed": partial(decoded, library, source, settings),
            f"{name}, {BATCH} sentences": partial(decoded, plain, source, settings, sort=False),
        }
        ours, theirs = (RecordedProducts(call) for call in list(calls.values())[:2])
        if size == 1:  # with a beam it takes minutes
            calls[f"{name}, one sentence at a time"] = partial(decoded, plain, source, settings, sort=False, batch=1)
        products = {"matrix products of the first": ours, "matrix products of the second": theirs}
        # No warm-up: the check and the recording have run both programs.
        timings = time_interleaved({**calls, **products}, rounds, warmup=0, clock=clock())
        best, batched, *alone, best_products, batched_products = timings.values()
        lengths = [len(one.tokens) for one in decoded(library, source, settings)]
        ratios = {
            f"times as fast as {BATCH} sentences (target >= {2 if size == 1 else 3})": batched.over(best),
            "time over its matrix products": best.over(best_products),
            f"time over its matrix products, {name}": batched.over(batched_products),
            "times as fast if it did nothing but its matrix products": batched.over(best_products),
            "operations of matrix products, second over first": theirs.operations / ours.operations,
            "mean tokens per output": float(np.mean(lengths)),
        }
        if alone:
            ratios["times as fast as one sentence at a time"] = alone[0].over(best)
        title = f"decoding {len(source)} sentences, " + ("greedy" if size == 1 else f"beam {size}")
        tables.append(Comparison(title, timings, "sentences", len(source), ratios))
    return tables


@torch.no_grad()
def decodable(config: Seq2SeqConfig, corpus: Corpus, source: Sentences) -> LSTMSeq2Seq:
    """Return a model with random weights whose output lengths are those of a trained model.

    One unit of the last layer counts up over the source and down over the output, a fifth slower; near zero the end
    token becomes likely. Logits of the other words have a standard deviation of 3.
    """
    torch.manual_seed(0)
    model = Seq2SeqTask(config, corpus).model
    assert isinstance(model, LSTMSeq2Seq)
    width, last = config.hidden_size, config.layers - 1
    for lstm, step in ((model.encoder, 0.02), (model.decoder, -0.02 / 1.2)):
        gates = torch.arange(4) * width  # of unit 0: input, zero_grad, cell, output
        w_in, w_hidden, b_in, b_hidden = lstm.all_weights[last]
        for weight in (w_in, w_hidden, b_hidden):
            weight[gates] = 0
        b_in[gates] = torch.tensor([30.0, 30.0, step, 30.0])
    model.attention.output.weight[0] = 0
    model.attention.output.weight[0, width] = 10.0
    model.eval()
    tokens, lengths = source_batch(source, np.arange(min(len(source), BATCH)))
    hidden = model(tokens, lengths, torch.full((len(tokens), 5), EOS))
    model.head.weight[:, 0] = 0
    model.head.weight *= 3 / model.head(hidden).std()
    model.head.weight[EOS] = 0
    model.head.weight[EOS, 0] = -12.0
    model.head.bias[EOS] = 2.0
    return model


def decoded(
    find: Find, source: Sentences, settings: SearchSettings, sort: bool = True, batch: int = BATCH
) -> list[Hypothesis]:
    """Return the hypothesis of each sentence, from batches of similar lengths or in text order."""
    count = len(source)
    batches = (
        batches_by_length(source.lengths, batch) if sort else np.split(np.arange(count), range(batch, count, batch))
    )
    found: dict[int, Hypothesis] = {}
    with torch.no_grad():
        for rows in batches:
            found |= dict(zip(rows.tolist(), find(*source_batch(source, rows), settings), strict=True))
    return [found[row] for row in range(count)]


def check_decoding(model: LSTMSeq2Seq, source: Sentences, settings: SearchSettings) -> None:
    """Check that both give the same tokens and attention; where fp32 rounding differs, float64 must agree."""
    find = step_by_step.greedy if settings.beam_size == 1 else step_by_step.beam

    def differing(model: LSTMSeq2Seq, source: Sentences) -> list[int]:
        mine = decoded(partial(search, model), source, settings)
        plain = decoded(partial(find, StepByStep(model)), source, settings, sort=False)
        pairs = enumerate(zip(mine, plain, strict=True))
        return [row for row, (a, b) in pairs if (a.tokens, a.attended) != (b.tokens, b.attended)]

    rows = differing(model, source)
    print(f"beam {settings.beam_size}: {len(rows)} of {len(source)} outputs differ in fp32", file=sys.stderr)
    if rows:
        exact = copy.deepcopy(model).double()
        assert not differing(exact, Sentences(source.ids, source.spans[rows])), "outputs differ in float64"
