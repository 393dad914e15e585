"""Two processes whose weights are split by fully_shard train as two that have all of them."""

from pathlib import Path

import pytest

from labelemb.errors import ConfigError
from labelemb.runs import RunFolder
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions, write_corpus
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.recipe import train
from tests.processes import run_in_processes
from tests.training import fully_sharded_cases


def test_split_weights_train_as_whole_ones(tmp_path: Path) -> None:
    rows = [f"{verb} {number},{verb}" for verb in ("buy", "sell", "return") for number in range(20)]
    (tmp_path / "rows.csv").write_text("\n".join(["text,label", *rows]) + "\n")
    pairs = [(f"say {word} now", f"now {word}") for word in "abcdefghijkl"]
    sources = {"train": lambda: iter(pairs), "valid": lambda: iter(pairs[:2])}
    write_corpus(tmp_path / "corpus", sources, PreprocessOptions())
    run_in_processes(2, tmp_path, fully_sharded_cases.train_both_ways, str(tmp_path))


def test_one_process_has_nothing_to_split(tmp_path: Path) -> None:
    config = VisionConfig(device="cpu", epochs=1, width=4, sharding="fsdp")
    with pytest.raises(ConfigError, match=r"sharding: expected none with one process.*torchrun"):
        train(config, RunFolder(tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_no_gradient_scaler_with_split_weights() -> None:
    with pytest.raises(ConfigError, match="precision: expected fp32 or bf16 with sharding fsdp"):
        VisionConfig(sharding="fsdp", precision="fp16")
