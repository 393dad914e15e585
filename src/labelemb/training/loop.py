"""fit: the one training loop, on Accelerate (devices, mixed precision, several processes and machines, trackers)."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from labelemb.errors import DataError
from labelemb.runs import Line, RunFolder
from labelemb.training.checkpoint import load_checkpoint, load_history, load_optimizer, load_weights, save_checkpoint
from labelemb.training.optimizers import OptimizerSettings, build_optimizer, learning_rate_at
from labelemb.training.progress import TrainingProgress
from labelemb.training.seeding import stream_seed
from labelemb.training.task import Batch, Shard, Task


@dataclass(frozen=True)
class CheckpointCriterion:
    """A figure of the history line that chooses a checkpoint, and how.

    figure   a line that lacks it is never chosen
    name     the checkpoint's (``RunFolder.best_by``); "": best.pt
    highest  whether the highest wins, or the lowest; of equals the first
    """

    figure: str
    name: str = ""
    highest: bool = False

    def is_last(self, history: Sequence[Line]) -> bool:
        """Say whether the last line is the best so far."""
        sign = -1 if self.highest else 1
        values = [sign * line[self.figure] for line in history if self.figure in line]
        return self.figure in history[-1] and values[-1] < min(values[:-1], default=float("inf"))


@dataclass(frozen=True)
class FitSettings:
    """How long, in what pieces, and what is best.

    epochs          passes over the training data
    seed            drives dropout here; model, data order and augmentation draw from it in the task
    optimizer       see ``OptimizerSettings``
    evaluate_every  steps between evaluations, a history line each; None: once per epoch
    save_every      steps between checkpoints to go on from, at the evaluation that follows; None: at each evaluation
    gradient_accumulation_steps   pieces a batch is cut into (gradient accumulation)
    best            what chooses a checkpoint to keep
    """

    epochs: int
    seed: int
    optimizer: OptimizerSettings
    evaluate_every: int | None = None
    save_every: int | None = None
    gradient_accumulation_steps: int = 1
    best: tuple[CheckpointCriterion, ...] = (CheckpointCriterion("valid_error"),)


@dataclass
class RunningSums:
    """Sums over the steps since the last evaluation, on the device: nothing waits for it before ``means``."""

    steps: int = 0
    size: int = 0
    terms: dict[str, Tensor] = field(default_factory=dict)
    correct: Tensor | int = 0
    count: Tensor | int = 0

    def add(self, batch: Batch, terms: dict[str, Tensor], correct: Tensor, count: Tensor) -> None:
        """Add one micro-batch."""
        self.size += batch.size
        for name, value in terms.items():
            self.terms[name] = self.terms.get(name, torch.zeros_like(value)) + value
        self.correct, self.count = self.correct + correct, self.count + count


def fit(task: Task, settings: FitSettings, run: RunFolder, accelerator: Accelerator) -> None:
    """Train until the last epoch, or go on where a killed process stopped; the run folder ends up the same.

    Bit for bit: checkpoints are written at evaluations, and what is drawn afterwards depends on the seed and the
    position alone.
    """
    accelerator.init_trackers("labelemb")
    state = TrainState.prepare(task, settings, accelerator)
    total_steps = settings.epochs * task.steps_per_epoch
    period = settings.evaluate_every or task.steps_per_epoch
    history = state.restore(run)
    step = history[-1]["step"] if history else 0
    title, main = "/".join(run.path.parts[-3:]), accelerator.is_main_process
    with TrainingProgress(title, settings.epochs, task.steps_per_epoch, step, shown=main) as progress:
        while step < total_steps:
            # Reseeded here, so that dropout after a resume is what it would have been.
            torch.manual_seed(stream_seed(settings.seed, "dropout", len(history), accelerator.process_index))
            end = min(step + period, total_steps)
            sums, start = RunningSums(), time.perf_counter()
            for pieces in islice(_batches(task, step, state.shard), end - step):
                rate = learning_rate_at(step, total_steps, task.steps_per_epoch, settings.optimizer)
                terms = state.step(pieces, rate, sums)
                step += 1
                if step % task.steps_per_epoch == 0:
                    state.own_loss.epoch_end()
                progress.step(step, terms, sums.correct, sums.count)
            line = state.evaluate(sums, step, start)
            state.own_loss.sync()
            history.append(line)
            if main:
                state.save(run, history, last=step == total_steps)
            progress.line(line)
            accelerator.log({key: value for key, value in line.items() if key != "terms"} | line["terms"], step=step)
            accelerator.wait_for_everyone()
    for tracker in accelerator.trackers:  # end_training would also end the process group that the next run needs
        tracker.finish()
    if main:
        run.finish({"epochs": settings.epochs, "steps": step})


def _batches(task: Task, step: int, shard: Shard) -> Iterator[Sequence[Batch]]:
    """Yield batches from that step on, epoch after epoch."""
    epoch, start = divmod(step, task.steps_per_epoch)
    while True:
        yield from task.batches(epoch, start, shard)
        epoch, start = epoch + 1, 0


@dataclass
class TrainState:
    """Model, loss and optimiser, prepared for the device and the processes at hand.

    own_model, own_loss  the modules themselves, without the wrapper of data parallelism
    """

    task: Task
    settings: FitSettings
    accelerator: Accelerator
    model: nn.Module
    loss: nn.Module
    own_model: Any
    own_loss: Any
    optimizer: Optimizer
    shard: Shard

    @classmethod
    def prepare(cls, task: Task, settings: FitSettings, accelerator: Accelerator) -> "TrainState":
        """Move data, model and loss to the device and wrap them for the processes at hand."""
        task.setup(accelerator.device)
        model, loss = task.model, task.loss.to(accelerator.device)
        optimizer = build_optimizer(model, loss, settings.optimizer)
        model, optimizer = accelerator.prepare(model, optimizer)
        if any(parameter.requires_grad for parameter in loss.parameters()):
            loss = accelerator.prepare(loss)  # data parallelism refuses a module with nothing to train
        shard = Shard(accelerator.process_index, accelerator.num_processes, settings.gradient_accumulation_steps)
        own_model, own_loss = accelerator.unwrap_model(model), accelerator.unwrap_model(loss)
        return cls(task, settings, accelerator, model, loss, own_model, own_loss, optimizer, shard)

    def step(self, pieces: Sequence[Batch], rate: float, sums: RunningSums) -> dict[str, Tensor]:
        """Take one optimiser step on the micro-batches of a batch; return the loss terms of the last one."""
        num_items_in_batch = self._rows(pieces) if len(pieces) > 1 else None
        for number, batch in enumerate(pieces):
            with contextlib.ExitStack() as stack:
                if number < len(pieces) - 1:  # gradients travel between processes once per step
                    for module in (self.model, self.loss):
                        stack.enter_context(self.accelerator.no_sync(module))
                with self.accelerator.autocast():
                    hidden = self.model(*batch.inputs)
                    counts = {"num_items_in_batch": num_items_in_batch, "index": batch.index}
                    output = self.loss(hidden, self.own_model.head, batch.targets, **counts)
                self.accelerator.backward(output.loss)
            sums.add(batch, output.terms, output.correct, output.count)
        if self.settings.optimizer.max_grad_norm:
            parameters = [p for group in self.optimizer.param_groups for p in group["params"]]
            self.accelerator.clip_grad_norm_(parameters, self.settings.optimizer.max_grad_norm)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("lr_scale", 1.0)
        self.optimizer.step()
        self.optimizer.zero_grad()
        self.own_loss.step()
        sums.steps += 1
        terms: dict[str, Tensor] = output.terms
        return terms

    def _rows(self, pieces: Sequence[Batch]) -> Tensor:
        """Count the rows of a whole batch over its pieces and all processes."""
        counts = [(batch.labels != self.task.ignore_index).sum() for batch in pieces]
        return self._total(torch.stack(counts).sum())

    def _total(self, counts: Tensor) -> Tensor:
        total: Tensor = self.accelerator.reduce(counts, reduction="sum")
        return total

    def evaluate(self, sums: RunningSums, step: int, start: float) -> Line:
        """Close the steps since the last evaluation and make a history line of them."""
        names = list(sums.terms)
        means = [self.accelerator.reduce(sums.terms[name] / sums.steps, reduction="mean") for name in names]
        correct, count = self._total(torch.stack([torch.as_tensor(sums.correct), torch.as_tensor(sums.count)])).tolist()
        size = int(self._total(torch.tensor(sums.size, device=self.accelerator.device)))
        seconds = time.perf_counter() - start  # the values above were read back: the device has finished
        model = self.own_model
        self._take_buffers_of_the_first()
        for module in (model, self.own_loss):
            module.eval()
        with torch.no_grad(), self.accelerator.autocast():
            figures = self.task.evaluate(model, self.shard, self._total)
        for module in (model, self.own_loss):
            module.train()
        return {
            "epoch": -(-step // self.task.steps_per_epoch),
            "step": step,
            "terms": {name: float(value) for name, value in zip(names, means, strict=True)},
            "train_error": 100 * (1 - correct / max(count, 1)),
            **figures,
            "seconds": seconds,
            f"{self.task.unit}_per_second": size / seconds,
        }

    def _take_buffers_of_the_first(self) -> None:
        """Let all processes score the model that is saved: batch statistics went apart in the last step."""
        if self.accelerator.num_processes > 1:
            for buffer in self.own_model.buffers():
                torch.distributed.broadcast(buffer, src=0)

    def save(self, run: RunFolder, history: list[Line], last: bool) -> None:
        """Write what the evaluation leaves; the checkpoint to go on from, which decides where that is, comes last.

        last  whether the run ends here
        """
        weights = {"model": self.own_model.state_dict(), "loss": self.own_loss.state_dict()}
        self.task.save_artifacts(run)
        for best in self.settings.best:
            if best.is_last(history):
                save_checkpoint(run.best_by(best.name), {**weights, "line": history[-1]})
                run.keep_output(best.name)
        if last or self._is_due(history):
            scaler = self.accelerator.scaler
            content = {"optimizer": self.optimizer.state_dict(), "scaler": scaler.state_dict() if scaler else {}}
            save_checkpoint(run.last_checkpoint, {**weights, **content, "history": history})
        run.write_history(history)

    def _is_due(self, history: Sequence[Line]) -> bool:
        """Say whether a multiple of ``save_every`` was passed since the evaluation before."""
        every = self.settings.save_every or 1
        before = history[-2]["step"] if len(history) > 1 else 0
        return bool(history[-1]["step"] // every > before // every)

    def restore(self, run: RunFolder) -> list[Line]:
        """Take up the last checkpoint, if there is one; return the history so far."""
        if not run.last_checkpoint.is_file():
            return []
        path = run.last_checkpoint
        content = load_checkpoint(path)
        history = load_history(content, self.settings.epochs * self.task.steps_per_epoch, path)
        load_weights(self.own_model, content, "model", path)
        load_weights(self.own_loss, content, "loss", path)
        load_optimizer(self.optimizer, content, path)
        if self.accelerator.scaler is not None:
            try:
                self.accelerator.scaler.load_state_dict(content["scaler"])
            except (KeyError, RuntimeError, TypeError) as error:
                raise DataError(f"{path}, scaler", "the state of a gradient scaler", error) from error
        if self.accelerator.is_main_process:
            run.write_history(history)
        return history
