"""What to do when a training step runs out of memory: the number of micro-batches that fits is tried out."""

import gc
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TypeVar

import torch

from labelemb.errors import ConfigError
from labelemb.memory import is_out_of_memory
from labelemb.training.task import Batch, Shard, Task

T = TypeVar("T")
Step = Callable[[Sequence[Batch]], T]


def step_within_memory(step: Step[T], micro_batches: Sequence[Batch], task: Task, shard: Shard) -> T:
    """Call ``step`` with the micro-batches of an optimizer step.

    Args:
        step: Takes an optimizer step. After an error it is called with smaller micro-batches, so the run is over then.
        micro_batches: Micro-batches of the step.
        task: Task that the batches are of.
        shard: How its batches are cut into micro-batches.

    Raises:
        ConfigError: There is not enough memory; the hint names options that fit.
    """
    try:
        return step(micro_batches)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    # Outside the except clause: its traceback keeps the tensors of the failed step alive.
    size = max(batch.size for batch in micro_batches)
    got = f"out of memory with {size:,} {task.unit} at a time"
    raise ConfigError("batch_size", "batches that fit into memory", got, _advice(step, task, shard))


def _advice(step: Step[T], task: Task, shard: Shard) -> str:
    """Return options that fit, found by trying smaller and smaller micro-batches."""
    pieces, rows = shard.gradient_accumulation_steps, 2
    while shard.count == 1 and rows > 1:  # other processes would have to try along
        pieces *= 2
        smaller = next(iter(task.batches(0, 0, replace(shard, gradient_accumulation_steps=pieces))))
        rows = max(len(batch.labels) for batch in smaller)
        if _fits(step, smaller[:2]):  # two, since the gradients of the first are in memory during the second
            size = max(batch.size for batch in smaller)
            return f"--gradient_accumulation_steps {pieces} fits: {size:,} {task.unit} at a time, the same batch size"
    return "Lower --batch_size or the size of the model, or raise --gradient_accumulation_steps"


def _fits(step: Step[T], micro_batches: Sequence[Batch]) -> bool:
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    try:
        step(micro_batches)
    except Exception:  # no memory, or batch statistics of a single example
        return False
    return True
