"""Model, loss and optimizer during training: steps, evaluations, checkpoints."""

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor

from labelemb.errors import DataError
from labelemb.runs import Line, RunFolder
from labelemb.training.checkpoint import load_checkpoint, load_history, load_optimizer, load_weights, save_checkpoint
from labelemb.training.parallel import Parallel, make_parallel
from labelemb.training.settings import FitSettings
from labelemb.training.task import Batch, Shard, Task


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
        parallel = make_parallel(settings.sharding, model, loss, settings.optimizer, accelerator)
        shard = Shard(accelerator.process_index, accelerator.num_processes, settings.gradient_accumulation_steps)
        return cls(task, settings, accelerator, parallel, shard)

    def step(self, micro_batches: Sequence[Batch], rate: float, sums: RunningSums) -> dict[str, Tensor]:
        """Take one optimizer step; return the loss terms of the last micro-batch."""
        num_items_in_batch = self._count_rows(micro_batches) if len(micro_batches) > 1 else None
        for number, batch in enumerate(micro_batches):
            last, parallel = number == len(micro_batches) - 1, self.parallel
            with contextlib.nullcontext() if last else parallel.no_sync():
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
        with torch.no_grad(), self.accelerator.autocast(), self.parallel.full_parameters():
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
        with self.parallel.full_parameters():
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
