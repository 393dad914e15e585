"""Small synthetic run folders."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch

from labelemb.runs import RunFolder
from labelemb.terms.embedding import DenseLabelEmbedding

WriteRun = Callable[..., RunFolder]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    return tmp_path / "runs"


def write(
    out: Path,
    method: str,
    seed: int,
    test: Sequence[float],
    valid: Sequence[float] = (),
    task: str = "mnist-mlp",
    seconds: float = 2.0,
    finished: bool = True,
    config: dict[str, Any] | None = None,
    signature: dict[str, Any] | None = None,
    logits: torch.Tensor | None = None,
    names: Sequence[str] | None = None,
    metrics: dict[str, float] | None = None,
) -> RunFolder:
    """Write one run: its test errors, one per epoch, and what a test cares for besides."""
    run = RunFolder.of(out, task, method, seed)
    settings = {"dataset": "mnist", "method": method, "seed": seed, "epochs": len(test), "learning_rate": 0.001}
    origin = {"labelemb": "0.1.0", "torch": "2.13.0", "machine": "a box", "device": "cpu", "threads": 1}
    run.open(settings | (config or {}), origin | {"seed": seed, "data_digest": "d1"} | (signature or {}))
    lines = []
    for number, error in enumerate(test):
        line: dict[str, Any] = {"epoch": number + 1, "step": 10 * (number + 1), "terms": {"hard": 1.0}}
        line |= {"train_error": error / 2, "test_error": error, "seconds": seconds} | (metrics or {})
        if valid:
            line["valid_error"] = valid[number]
        if logits is not None:
            line |= {"true_label_mass": 0.2 + 0.1 * number, "label_entropy": 2.0 - 0.1 * number}
        lines.append(line)
    run.write_history(lines)
    if logits is not None:
        embedding = DenseLabelEmbedding(len(logits))
        embedding.load_state_dict({"weight": logits})
        embedding.save(run.labels_file, names)
    if finished:
        run.finish({"epochs": len(test)})
    return run


@pytest.fixture
def write_run(runs: Path) -> WriteRun:
    """Return ``write`` into the folder of the test."""
    return partial(write, runs)


def soft(*rows: Sequence[float]) -> torch.Tensor:
    """Return logits whose softmax is the given rows."""
    return torch.tensor(rows).log()


ANIMALS = ["cat", "dog", "car", "truck"]
ANIMAL_ROWS = ([0.6, 0.3, 0.06, 0.04], [0.25, 0.65, 0.04, 0.06], [0.05, 0.05, 0.7, 0.2], [0.02, 0.08, 0.3, 0.6])
