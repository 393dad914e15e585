"""A step without enough memory: the error names options that fit, found by trying."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch

from labelemb.errors import ConfigError
from labelemb.runs import RunFolder
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.recipe import train
from labelemb.training.state import TrainState

ERRORS = {
    "gpu": torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"),
    "cpu": RuntimeError("[enforce fail at alloc_cpu.cpp:118] DefaultCPUAllocator: can't allocate memory"),
    "numpy": MemoryError("Unable to allocate 2 GiB"),
}


@pytest.mark.parametrize(
    ("error", "most", "says"),
    [
        ("gpu", 100, "--gradient_accumulation_steps 2 fits: 100 images at a time"),
        ("cpu", 60, "--gradient_accumulation_steps 4 fits: 50 images at a time"),
        ("numpy", 0, "Lower --batch_size"),
    ],
)
def test_options_that_fit(error: str, most: int, says: str, tmp_path: Path, monkeypatch: Any) -> None:
    step = TrainState.step

    def limited(self: Any, micro_batches: Sequence[Any], **options: Any) -> Any:
        if max(batch.size for batch in micro_batches) > most:
            raise ERRORS[error]
        return step(self, micro_batches, **options)

    monkeypatch.setattr(TrainState, "step", limited)
    config = VisionConfig(dataset="digits", model="mlp", width=8, batch_size=200, epochs=1, device="cpu")
    run = RunFolder(tmp_path / "run")
    with pytest.raises(ConfigError, match=f"batch_size: expected .* got out of memory with 200 images.*{says}"):
        train(config, run)
    assert not run.history_file.exists()
    assert not run.last_checkpoint.exists()


def test_other_errors_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Any, micro_batches: Sequence[Any], **options: Any) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(TrainState, "step", broken)
    with pytest.raises(RuntimeError, match="a bug"):
        train(VisionConfig(dataset="digits", model="mlp", epochs=1, device="cpu"), RunFolder(tmp_path))
