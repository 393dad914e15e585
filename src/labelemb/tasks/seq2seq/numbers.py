"""numbers-en-vi: numbers in words, English to Vietnamese, made on the spot by num2words: needs no download."""

from collections.abc import Iterator
from tempfile import TemporaryDirectory

import numpy as np

from labelemb.errors import DataError
from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions, write_corpus
from labelemb.tasks.seq2seq.text_io import Pairs

NAME = "numbers-en-vi"
SPLITS = {"train": 12_000, "valid": 500, "test": 500}
BELOW = 100_000
SEED = 20171028


def numbers_en_vi(split: str) -> Pairs:
    """Return the pairs of a split: numbers below 100,000, no number in two splits, the same ones everywhere.

    The words are plain ones: "twenty one thousand three hundred and five", "hai mươi mốt nghìn ba trăm lẻ năm".

    Raises DataError when num2words is not installed.
    """
    try:
        from num2words import num2words
    except ImportError:
        raise DataError(NAME, "num2words, which makes it", "none installed", "pip install num2words") from None
    start = 0
    for name, size in SPLITS.items():
        if name == split:
            break
        start += size
    order = np.random.default_rng(SEED).permutation(BELOW)[start : start + SPLITS[split]]

    def read() -> Iterator[tuple[str, str]]:
        for number in order.tolist():
            english = num2words(number, lang="en").replace("-", " ").replace(",", "")
            yield english, num2words(number, lang="vi")

    return read


def load_numbers() -> Corpus:
    """Make numbers-en-vi, prepare it and return it in memory; no file stays. Raises DataError without num2words."""
    with TemporaryDirectory() as folder:
        write_corpus(f"{folder}/{NAME}", {name: numbers_en_vi(name) for name in SPLITS}, PreprocessOptions())
        return Corpus.open(f"{folder}/{NAME}").in_memory()
