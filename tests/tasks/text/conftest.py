"""A small set of labeled texts that a model learns in a second."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from labelemb.runs import RunFolder
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.recipe import train

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


def assert_resumed_equals_uninterrupted(config: TextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run that is interrupted while its second line is written ends with the same bits."""
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    train(config, whole)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(RunFolder, "write_history", lambda run, lines: stop() if len(lines) == 2 else None)
        with pytest.raises(KeyboardInterrupt):
            train(config, cut)
    train(config, cut)
    for name in ("model", "loss"):
        one, other = (torch.load(run.last_checkpoint, weights_only=True)[name] for run in (whole, cut))
        assert all(torch.equal(one[key], other[key]) for key in one)
