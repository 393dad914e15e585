"""The training loop, on Accelerate: devices, mixed precision, several processes and machines, trackers."""

import contextlib
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from labelemb.errors import DataError
from labelemb.runs import Line, RunFolder
from labelemb.training.checkpoint import load_checkpoint, load_history, load_optimizer, load_weights, save_checkpoint
from labelemb.training.optimizers import OptimizerSettings, learning_rate_at
from labelemb.training.out_of_memory import step_within_memory
from labelemb.training.parallel import Parallel, Sharding, share
from labelemb.training.progress import TrainingProgress
from labelemb.training.seeding import stream_seed
from labelemb.training.task import Batch, Shard, Task


@dataclass(frozen=True)
class CheckpointCriterion:
    """The metric that selects a checkpoint to keep.

    Args:
        metric: Key of the history line; a line without it is never selected.
        name: Name of the checkpoint (``RunFolder.best_by``); ``""``: ``best.pt``.
        highest: Whether the highest value is the best instead of the lowest. Of equal values the first is kept.
    """

    metric: str
    name: str = ""
    highest: bool = False

    def selects_last(self, history: Sequence[Line]) -> bool:
        """Return whether the last line is the best so far."""
        return self.metric in history[-1] and self.since_best(history) == 0

    def since_best(self, history: Sequence[Line]) -> int:
        """Return the number of evaluations since the best one, those without the metric aside; NaN is no best."""
        best, since = math.inf, 0
        for value in (line[self.metric] for line in history if self.metric in line):
            value = -value if self.highest else value
            best, since = (value, 0) if value < best else (best, since + 1)
        return since


@dataclass(frozen=True)
class FitSettings:
    """Settings of ``fit``.

    Args:
        epochs: Passes over the training data.
        seed: Seed of dropout. The task seeds the model, the data order and augmentation.
        optimizer: Optimizer and learning-rate schedule.
        eval_interval: Optimizer steps between evaluations, each of which writes a history line; None: one per epoch.
        save_every: Optimizer steps between checkpoints to resume from, written at the next evaluation; None: one per
            evaluation.
        gradient_accumulation_steps: Micro-batches per optimizer step.
        best: Criteria of the checkpoints to keep.
        patience: Stop after this many evaluations without a better value of the first criterion; None: never.
    """

    epochs: int
    seed: int
    optimizer: OptimizerSettings
    eval_interval: int | None = None
    save_every: int | None = None
    gradient_accumulation_steps: int = 1
    best: tuple[CheckpointCriterion, ...] = (CheckpointCriterion("valid_error"),)
    sharding: Sharding = "none"
    patience: int | None = None

    def stops_early(self, history: Sequence[Line]) -> bool:
        """Return whether training ends with the last line. The history alone decides, as after a resume."""
        return self.patience is not None and self.best[0].since_best(history) >= self.patience


@dataclass
class RunningSums:
    """Sums since the last evaluation. They stay on the device, so that no step waits for it."""

    steps: int = 0
    size: int = 0
    terms: dict[str, Tensor] = field(default_factory=dict)
    correct: Tensor | int = 0
    count: Tensor | int = 0

    def add(self, batch: Batch, output: Any) -> None:
        """Add one micro-batch and its ``LossOutput``."""
        self.size += batch.size
        for name, value in output.terms.items():
            self.terms[name] = self.terms.get(name, torch.zeros_like(value)) + value
        self.correct, self.count = self.correct + output.correct, self.count + output.count


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
        check_held: Called before each write; raises when the run is no longer this process's to write.
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
                    with state.parallel.whole():
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


@dataclass
class TrainState:
    """Model, loss and optimizer, prepared for the device and the processes."""

    task: Task
    settings: FitSettings
    accelerator: Accelerator
    parallel: Parallel
    shard: Shard

    @classmethod
    def prepare(cls, task: Task, settings: FitSettings, accelerator: Accelerator) -> "TrainState":
        """Move data, model and loss to the device and share them over the processes."""
        task.setup(accelerator.device)
        model, loss = task.model.to(accelerator.device), task.loss.to(accelerator.device)
        for module in (model, loss):
            module.train()  # pretrained models are loaded in evaluation mode, without dropout
        parallel = share(settings.sharding, model, loss, settings.optimizer, accelerator)
        shard = Shard(accelerator.process_index, accelerator.num_processes, settings.gradient_accumulation_steps)
        return cls(task, settings, accelerator, parallel, shard)

    def step(self, micro_batches: Sequence[Batch], rate: float, sums: RunningSums) -> dict[str, Tensor]:
        """Take one optimizer step; return the loss terms of the last micro-batch."""
        num_items_in_batch = self._count_rows(micro_batches) if len(micro_batches) > 1 else None
        for number, batch in enumerate(micro_batches):
            last, parallel = number == len(micro_batches) - 1, self.parallel
            with contextlib.nullcontext() if last else parallel.without_gradient_exchange():
                with self.accelerator.autocast():
                    output = parallel.compute(batch, num_items_in_batch)
                self.accelerator.backward(output.loss)
            sums.add(batch, output)
        optimizer = self.parallel.optimizer
        if self.settings.optimizer.max_grad_norm:
            self.parallel.clip(self.settings.optimizer.max_grad_norm)
        for group in optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        optimizer.step()
        optimizer.zero_grad()
        sums.steps += 1
        terms: dict[str, Tensor] = output.terms
        return terms

    def _count_rows(self, micro_batches: Sequence[Batch]) -> Tensor:
        """Return the number of rows, or their total weight, of a batch over its micro-batches and all processes."""
        counts = [self.parallel.loss.count_items(batch.targets) for batch in micro_batches]
        return self._total(torch.stack(counts).sum())

    def _total(self, counts: Tensor) -> Tensor:
        total: Tensor = self.accelerator.reduce(counts, reduction="sum")
        return total

    def evaluate(self, sums: RunningSums, history: Sequence[Line], step: int, start: float) -> tuple[Line, bool]:
        """Return the history line of the steps since the last evaluation, and whether the run ends with it.

        Args:
            sums: Sums over these steps.
            history: The lines before.
            step: Number of steps so far.
            start: ``time.perf_counter()`` at the first of them.
        """
        names = list(sums.terms)
        means = [self.accelerator.reduce(sums.terms[name] / sums.steps, reduction="mean") for name in names]
        correct, count = self._total(torch.stack([torch.as_tensor(sums.correct), torch.as_tensor(sums.count)])).tolist()
        size = int(self._total(torch.tensor(sums.size, device=self.accelerator.device)))
        seconds = time.perf_counter() - start  # reading the values above has waited for the device
        self._broadcast_buffers()

        def line(last: bool) -> Line:
            return {
                "epoch": -(-step // self.task.steps_per_epoch),
                "step": step,
                "terms": {name: float(value) for name, value in zip(names, means, strict=True)},
                "train_error": 100 * (1 - correct / max(count, 1)),
                **self._metrics(last),
                "seconds": seconds,
                f"{self.task.unit}_per_second": size / seconds,
            }

        last = step == self.settings.epochs * self.task.steps_per_epoch
        found = line(last)
        if not last and self.settings.stops_early([*history, found]):
            found, last = line(True), True
        return found, last

    def _metrics(self, last: bool) -> Mapping[str, float]:
        """Return the metrics of the held-out data."""
        modules = (self.parallel.model, self.parallel.loss)
        for module in modules:
            module.eval()
        with torch.no_grad(), self.accelerator.autocast(), self.parallel.whole():
            metrics = self.task.evaluate(self.parallel.model, self.shard, self._total, last)
        for module in modules:
            module.train()
        return metrics

    def _broadcast_buffers(self) -> None:
        """Let all processes evaluate the model that is saved: their batch statistics differ after the last step."""
        if self.accelerator.num_processes > 1:
            for buffer in self.parallel.model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def save(self, run: RunFolder, history: list[Line], last: bool) -> None:
        """Write artifacts and checkpoints; the checkpoint to resume from is written last. Call it on every process.

        Args:
            run: The run folder.
            history: Its lines so far.
            last: Whether this is the end of the run.
        """
        states, main = self.parallel.states(), self.accelerator.is_main_process
        weights = {name: states[name] for name in ("model", "loss")}
        with self.parallel.whole():
            if main:
                self.task.save_artifacts(run)
        if not main:
            return
        for criterion in self.settings.best:
            if criterion.selects_last(history):
                save_checkpoint(run.best_by(criterion.name), {**weights, "line": history[-1]})
                run.keep_output(criterion.name)
        if last or self._is_save_due(history):
            scaler = self.accelerator.scaler
            content = {**states, "scaler": scaler.state_dict() if scaler else {}}
            save_checkpoint(run.last_checkpoint, {**content, "history": history})
        run.write_history(history)

    def _is_save_due(self, history: Sequence[Line]) -> bool:
        """Return whether a multiple of ``save_every`` was passed since the previous evaluation."""
        every = self.settings.save_every or 1
        before = history[-2]["step"] if len(history) > 1 else 0
        return bool(history[-1]["step"] // every > before // every)

    def restore(self, run: RunFolder) -> list[Line]:
        """Load the last checkpoint, if there is one; return the history so far."""
        if not run.last_checkpoint.is_file():
            return []
        path = run.last_checkpoint
        content = load_checkpoint(path)
        history = load_history(content, self.settings.epochs * self.task.steps_per_epoch, path)
        load_weights(self.parallel.model, content, "model", path)
        load_weights(self.parallel.loss, content, "loss", path)
        load_optimizer(self.parallel.optimizer, content, path)
        if self.accelerator.scaler is not None:
            try:
                self.accelerator.scaler.load_state_dict(content["scaler"])
            except (KeyError, RuntimeError, TypeError) as error:
                raise DataError(f"{path}, scaler", "the state of a gradient scaler", error) from error
        if self.accelerator.is_main_process:
            run.write_history(history)
        return history
