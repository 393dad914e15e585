"""The training loop, on Accelerate: devices, mixed precision, several processes and machines, trackers."""

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import islice

import torch
from accelerate import Accelerator

from labelemb.runs import RunFolder
from labelemb.training.optimizers import learning_rate_at
from labelemb.training.out_of_memory import step_within_memory
from labelemb.training.progress import TrainingProgress
from labelemb.training.seeding import stream_seed
from labelemb.training.settings import FitSettings
from labelemb.training.state import RunningSums, TrainState
from labelemb.training.task import Batch, Shard, Task


def fit(
    task: Task,
    settings: FitSettings,
    run: RunFolder,
    accelerator: Accelerator,
    check_held: Callable[[], object] = lambda: None,
) -> None:
    """Train to the last epoch or the end of ``patience``, from the run's last checkpoint on if there is one.

    A resumed run ends with the same bits as an uninterrupted one: checkpoints are written at evaluations, and random
    numbers drawn after that depend on the seed and the position only.

    Args:
        task: Model, loss and data.
        settings: Settings of the loop.
        run: The run folder.
        accelerator: Device and processes.
        check_held: Called before each write; raises once another process has taken the run over.
    """
    accelerator.init_trackers("labelemb")
    state = TrainState.prepare(task, settings, accelerator)
    total_steps = settings.epochs * task.steps_per_epoch
    period = settings.eval_interval or task.steps_per_epoch
    history = state.restore(run)
    step = history[-1]["step"] if history else 0
    title, main = "/".join(run.path.parts[-3:]), accelerator.is_main_process
    with TrainingProgress(title, settings.epochs, task.steps_per_epoch, step, shown=main) as progress:
        while step < total_steps and not settings.stops_early(history):
            # Reseeded at each evaluation, so that dropout after a resume is that of an uninterrupted run.
            torch.manual_seed(stream_seed(settings.seed, "dropout", len(history), accelerator.process_index))
            end = min(step + period, total_steps)
            sums, start = RunningSums(), time.perf_counter()
            for micro_batches in islice(_batches(task, step, state.shard), end - step):
                rate = learning_rate_at(step, total_steps, task.steps_per_epoch, settings.optimizer)
                take = partial(state.step, rate=rate, sums=sums)
                terms = step_within_memory(take, micro_batches, task, state.shard)
                step += 1
                if step % task.steps_per_epoch == 0:
                    with state.parallel.full_parameters():
                        state.parallel.loss.epoch_end()
                progress.step(step, terms, sums.correct, sums.count)
            line, last = state.evaluate(sums, history, step, start)
            state.parallel.loss.sync()
            history.append(line)
            if main:
                check_held()
            state.save(run, history, last)
            if main:
                run.publish()
            progress.line(line)
            accelerator.log({key: value for key, value in line.items() if key != "terms"} | line["terms"], step=step)
            accelerator.wait_for_everyone()
    for tracker in accelerator.trackers:  # end_training() would also destroy the process group that the next run needs
        tracker.finish()
    if main:
        check_held()
        epochs = -(-step // task.steps_per_epoch)
        run.finish({"epochs": epochs, "steps": step} | ({"stopped_early": True} if step < total_steps else {}))
        run.publish()


def _batches(task: Task, step: int, shard: Shard) -> Iterator[Sequence[Batch]]:
    """Yield batches from a step on, epoch after epoch."""
    epoch, start = divmod(step, task.steps_per_epoch)
    while True:
        yield from task.batches(epoch, start, shard)
        epoch, start = epoch + 1, 0
