from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelemb.errors import ConfigError
from labelemb.tasks.seq2seq.batch import BatchPlan, PairBatch, batches_by_length
from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.vocab import BOS, EOS, PAD, UNK


def test_batch_tensors(make_corpus: Callable[..., Corpus]) -> None:
    corpus = make_corpus([("a b b", "x"), ("b", "x x y")])
    a, b, x, y = (*corpus.src_vocab.encode("ab"), *corpus.tgt_vocab.encode("xy"))
    batch = PairBatch.from_rows(corpus.splits["train"], np.array([1, 0]))
    assert batch.source.tolist() == [[b, PAD, PAD], [a, b, b]]
    assert batch.lengths.tolist() == [1, 3]
    assert batch.target_input.tolist() == [[BOS, x, x, y], [BOS, x, PAD, PAD]]
    assert batch.targets.tolist() == [[x, x, y, EOS], [x, EOS, PAD, PAD]]
    assert batch.size == 6
    assert batch.inputs == (batch.source, batch.lengths, batch.target_input)


def test_empty_sentences_and_empty_batches(make_corpus: Callable[..., Corpus]) -> None:
    valid = make_corpus(held_out=[("", ""), ("cat cat", "x")]).splits["valid"]
    alone, none = PairBatch.from_rows(valid, np.array([0])), PairBatch.from_rows(valid, np.array([], dtype=np.int64))
    assert (alone.source.tolist(), alone.lengths.tolist(), alone.targets.tolist()) == ([[UNK]], [1], [[EOS]])
    assert PairBatch.from_rows(valid, np.array([0, 1])).source.tolist()[0] == [UNK, PAD]
    assert (len(none.source), none.targets.shape[0], none.size) == (0, 0, 0)


LENGTHS = st.lists(st.tuples(st.integers(1, 40), st.integers(1, 40)), min_size=1, max_size=60)


@settings(max_examples=40)
@given(LENGTHS, st.sampled_from(["sentences", "tokens"]), st.integers(1, 100))
def test_each_epoch_has_every_row_once_in_the_same_number_of_batches(
    lengths: list[tuple[int, int]], by: str, size: int
) -> None:
    source, target = np.array(lengths).T
    plan = BatchPlan(source, target, size, by)  # type: ignore[arg-type]
    for epoch in range(3):
        batches = plan.epoch(epoch)
        assert len(batches) == len(plan)
        assert sorted(np.concatenate(batches).tolist()) == list(range(len(lengths)))
        for rows in batches:
            longest = max(source[rows].max(), target[rows].max() + 1)
            assert len(rows) <= size if by == "sentences" else len(rows) == 1 or len(rows) * longest <= size


def test_padding_ratio_is_small_and_reported_correctly() -> None:
    draw = np.random.default_rng(0)
    source = draw.gamma(3.0, 7.0, 20_000).astype(int) + 1
    target = np.maximum(1, (source * draw.normal(1.2, 0.25, 20_000)).astype(int))
    for size, by in ((64, "sentences"), (2_000, "tokens")):
        plan = BatchPlan(source, target, size, by)  # type: ignore[arg-type]
        assert plan.padding <= 1.07
        batches = plan.epoch(0)
        whole = sum(len(rows) * (source[rows].max() + target[rows].max() + 1) for rows in batches)
        assert whole / (source + target + 1).sum() == pytest.approx(plan.padding), "the figure is true of every epoch"


def test_epochs_differ_and_are_reproducible() -> None:
    lengths = np.tile([3, 4, 5], 20)
    first, again = (BatchPlan(lengths, lengths, 4, seed=1) for _ in range(2))
    as_lists = [[rows.tolist() for rows in plan.epoch(epoch)] for plan, epoch in ((first, 0), (again, 0), (first, 1))]
    assert as_lists[0] == as_lists[1] != as_lists[2]
    assert {tuple(sorted(rows)) for rows in as_lists[0]} != {tuple(sorted(rows)) for rows in as_lists[2]}


def test_invalid_options_are_refused() -> None:
    with pytest.raises(
        ConfigError, match="batch_size: .* got 0; batch_type: expected sentences or tokens, got 'words'"
    ):
        BatchPlan(np.ones(1), np.ones(1), 0, "words")  # type: ignore[arg-type]


def test_batches_by_length() -> None:
    assert [rows.tolist() for rows in batches_by_length([1, 9, 9, 4], 3)] == [[1, 2, 3], [0]]
    assert torch.tensor(batches_by_length([2], 3)[0]).tolist() == [0]
