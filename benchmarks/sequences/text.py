"""Random text, for a benchmark without external data."""

import numpy as np

from labelemb.tasks.seq2seq.batch import Rows
from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.sentences import Sentences, Split
from labelemb.tasks.seq2seq.vocab import SPECIAL, Vocabulary

BATCH = 64  # sentences, as published


def random_corpus() -> Corpus:
    """Return a corpus with sentence lengths and vocabularies like those of talks, words drawn from 1 / rank."""
    draw = np.random.default_rng(0)
    source_words, target_words = (Vocabulary.of(f"word{number}" for number in range(size)) for size in (17_191, 7_709))
    splits = {}
    for name, pairs, longest in (("train", 40_000, 50), ("test", 1_268, 100)):
        source = np.clip(draw.gamma(2.0, 9.0, pairs).astype(np.int64) + 1, 1, longest)
        target = np.clip(np.rint(source * draw.normal(1.3, 0.25, pairs)).astype(np.int64), 1, longest)
        splits[name] = Split(
            random_sentences(draw, source, len(source_words)), random_sentences(draw, target, len(target_words))
        )
    return Corpus(splits, source_words, target_words, {"options": {"char": False, "lower": False, "share": False}})


def random_sentences(draw: np.random.Generator, lengths: Rows, words: int) -> Sentences:
    chances = 1 / np.arange(1, words - len(SPECIAL) + 1)
    ids = draw.choice(np.arange(len(SPECIAL), words), int(lengths.sum()), p=chances / chances.sum())
    stops = lengths.cumsum()
    return Sentences(ids, np.stack([stops - lengths, stops], axis=1))
