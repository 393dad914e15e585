"""numbers-en-vi: numbers in words, English to Vietnamese, made on the spot by num2words: needs no download."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from labelemb.errors import DataError
from labelemb.seq2seq.preprocess import PreprocessOptions, SplitCounts, write_corpus
from labelemb.seq2seq.reading import Pairs

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
        raise DataError(
            "numbers-en-vi", "num2words, which makes it", "none installed", "pip install 'labelemb[text]'"
        ) from None
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


def write_numbers(folder: Path | str) -> dict[str, SplitCounts]:
    """Prepare numbers-en-vi in a folder, as ``write_corpus`` does."""
    return write_corpus(folder, {name: numbers_en_vi(name) for name in SPLITS}, PreprocessOptions())
