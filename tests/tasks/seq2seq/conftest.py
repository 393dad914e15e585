from collections.abc import Callable
from pathlib import Path

import pytest

from labelemb.tasks.seq2seq.corpus import Corpus
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions, write_corpus

TRAIN = [("the cat sits", "con mèo ngồi"), ("the dog sits here", "con chó ngồi đây"), ("The cat runs", "con mèo chạy")]
HELD_OUT = [("the bird sits", "con chim ngồi"), ("", "")]


@pytest.fixture
def make_corpus(tmp_path: Path) -> Callable[..., Corpus]:
    """Prepare a corpus from pairs in memory."""

    def make(
        train: list[tuple[str, str]] = TRAIN, held_out: list[tuple[str, str]] = HELD_OUT, **options: object
    ) -> Corpus:
        sources = {"train": lambda: iter(train), "valid": lambda: iter(held_out)}
        write_corpus(tmp_path / "made", sources, PreprocessOptions(**options))  # type: ignore[arg-type]
        return Corpus.open(tmp_path / "made")

    return make
