"""What a classification run starts with, in a few lines."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from labelemb.tasks.classification.config import ClassificationConfig
from labelemb.training.device import device_name


def summary_lines(
    config: ClassificationConfig,
    unit: str,
    splits: Mapping[str, Tensor],
    model: nn.Module,
    steps_per_epoch: int,
    notes: tuple[str, ...] = (),
) -> tuple[str, ...]:
    """Describe data, model and device of a run.

    Args:
        config: Configuration of the run, resolved.
        unit: What the examples are, such as "texts".
        splits: Split -> labels of its examples, int64 ``(N,)``; "train" first.
        model: The model.
        steps_per_epoch: Optimizer steps per epoch.
        notes: More lines, about the data.
    """
    sizes = ", ".join(f"{name} {len(labels):,}" for name, labels in splits.items())
    counts = torch.bincount(splits["train"])
    counts = counts[counts > 0]
    fewest, most = int(counts.min()), int(counts.max())
    each = f"{most:,}" if fewest == most else f"{fewest:,} to {most:,}"
    total = sum(map(len, splits.values()))
    parameters = [(p.numel(), p.requires_grad) for p in model.parameters()]
    size = sum(number for number, _ in parameters)
    trained = sum(number for number, is_trained in parameters if is_trained)
    part = "" if trained == size else f", {trained:,} of them trained"
    dataset = getattr(config, "dataset", "")
    name = getattr(config, "model", type(model).__name__)
    return (
        f"{dataset}: {total:,} {unit}, {len(counts)} labels; {sizes}; {each} per label in train",
        *notes,
        f"model {name}: {size:,} parameters{part}; batch size {config.batch_size}, {steps_per_epoch:,} steps per "
        f"epoch, {config.epochs} epoch{'s' * (config.epochs > 1)}; {device_name(config.device)}, {config.precision}",
    )
