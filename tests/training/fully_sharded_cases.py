"""What each of two processes does: train the recipes with all weights, and with weights split by fully_shard."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from labelemb.runs import RunFolder
from labelemb.tasks.seq2seq import recipe as seq2seq
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.text import recipe as text
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.vision import recipe as vision
from labelemb.tasks.vision.config import VisionConfig
from labelemb.training.checkpoint import load_checkpoint
from labelemb.training.config import TrainingConfig
from labelemb.training.parallel import FullySharded, Replicas
from labelemb.training.state import TrainState

MOMENTS = {"exp_avg", "momentum_buffer"}
Train = Callable[[Any, RunFolder], None]


def recipes(folder: str) -> dict[str, tuple[Train, TrainingConfig]]:
    shared: dict[str, Any] = {"device": "cpu", "epochs": 2, "learning_rate": 0.02, "optimizer": "sgd"}
    vision_config = VisionConfig(**shared, width=9, batch_size=300)
    return {
        "vision": (vision.train, replace(vision_config, max_grad_norm=1.0, gradient_accumulation_steps=2)),
        "running mean": (vision.train, replace(vision_config, embedding_update="running_mean", terms="hard,soft,aux")),
        "text": (
            text.train,
            TextConfig(**shared, hidden_size=4, dataset=f"csv:{folder}/rows.csv", batch_size=20, dropout=0.0),
        ),
        "seq2seq": (
            seq2seq.train,
            Seq2SeqConfig(
                **(shared | {"optimizer": "adam"}),
                corpus=f"{folder}/corpus",
                embedding_size=6,
                hidden_size=6,
                layers=1,
                batch_size=6,
                soft_start=1,
                max_length=5,
            ),
        ),
    }


def train_both_ways(folder: str) -> None:
    os.environ |= {"RANK": str(dist.get_rank()), "LOCAL_RANK": str(dist.get_rank()), "WORLD_SIZE": "2"}
    os.environ |= {"MASTER_ADDR": "localhost", "MASTER_PORT": "1"}  # the group is there already
    for name, (train, config) in recipes(folder).items():
        runs = {sharding: RunFolder(Path(folder) / name / sharding) for sharding in ("none", "fsdp")}
        for sharding, run in runs.items():
            with prepared_states() as states:
                train(replace(config, sharding=sharding), run)
            check_what_ran(states[0], sharding)
        # Adam divides gradients that are almost 0 by themselves.
        compare(*runs.values(), atol=1e-4 if config.optimizer == "sgd" else 0.02)
    resume(Path(folder), runs["fsdp"], *recipes(folder)["seq2seq"])


@contextmanager
def prepared_states() -> Iterator[list[TrainState]]:
    """Collect the states that are prepared inside the block."""
    prepare, found = TrainState.prepare, list[TrainState]()

    def collect(*arguments: Any) -> TrainState:
        found.append(prepare(*arguments))
        return found[-1]

    TrainState.prepare = collect  # type: ignore[method-assign]
    yield found
    TrainState.prepare = prepare  # type: ignore[method-assign]


def check_what_ran(state: TrainState, sharding: str) -> None:
    assert isinstance(state.parallel, FullySharded if sharding == "fsdp" else Replicas)
    parameters = [p for group in state.parallel.optimizer.param_groups for p in group["params"]]
    moments = [
        value for p in parameters for name, value in state.parallel.optimizer.state[p].items() if name in MOMENTS
    ]
    assert len(moments) >= len(parameters)
    whole = sum(p.numel() for p in parameters)
    for tensors in (parameters, moments[: len(parameters)]):
        local = sum((p.to_local() if hasattr(p, "to_local") else p).numel() for p in tensors)
        assert local < 0.6 * whole if sharding == "fsdp" else local == whole, (local, whole)


def compare(one: RunFolder, other: RunFolder, atol: float) -> None:
    lines = [run.history() for run in (one, other)]
    assert len(lines[0]) == len(lines[1]) > 0
    for a, b in zip(*lines, strict=True):
        assert a["terms"].keys() == b["terms"].keys()
        for term, value in a["terms"].items():
            assert abs(b["terms"][term] - value) <= atol * max(1, abs(value)), (term, value, b["terms"][term])
    states = [load_checkpoint(run.last_checkpoint) for run in (one, other)]
    for part in ("model", "loss"):
        assert states[0][part].keys() == states[1][part].keys()
        for key, value in states[0][part].items():
            torch.testing.assert_close(states[1][part][key], value, rtol=0, atol=atol)
    assert one.labels_file.is_file() == other.labels_file.is_file() is True


def resume(folder: Path, whole: RunFolder, train: Train, config: TrainingConfig) -> None:
    """A run that ends after its first checkpoint and goes on has the bits of one that did not end."""
    run = RunFolder(folder / "resumed")
    save = TrainState.save

    def save_and_stop(state: TrainState, *arguments: Any) -> None:
        save(state, *arguments)
        raise KeyboardInterrupt

    TrainState.save = save_and_stop  # type: ignore[method-assign]
    try:
        train(replace(config, sharding="fsdp"), run)
    except KeyboardInterrupt:
        dist.barrier()
    TrainState.save = save  # type: ignore[method-assign]
    assert len(run.history()) == 1
    dist.barrier()
    train(replace(config, sharding="fsdp"), run)
    compare(whole, run, atol=0)
