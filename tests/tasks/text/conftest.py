"""A small set of labelled texts that a model learns in a second."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

WORDS = {
    "fruit": ["apple", "pear", "plum", "cherry", "grape"],
    "tool": ["hammer", "saw", "drill", "pliers", "wrench"],
    "bird": ["robin", "crow", "heron", "swift", "finch"],
}


def sentences(count: int, seed: int = 0) -> list[tuple[str, str]]:
    """Return ``count`` texts of each label, of 4 to 7 words."""
    draw = np.random.default_rng(seed)
    rows = []
    for label, words in WORDS.items():
        for _ in range(count):
            chosen = [*draw.choice(words, 2), *draw.choice(["the", "a", "is", "here", "there"], draw.integers(2, 6))]
            rows.append((" ".join(draw.permutation(chosen)), label))
    return rows


def write_csv(path: Path, rows: Sequence[tuple[str, str]], columns: tuple[str, str] = ("text", "label")) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([columns, *rows])
    return path


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the cache of encoded texts out of the home directory."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
