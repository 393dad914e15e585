"""Training recipe for image classification: from a config to a finished run folder."""

import math
from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path

from labelemb.errors import ConfigError
from labelemb.memory import check_memory
from labelemb.runs import RunFolder
from labelemb.tasks.vision import datasets
from labelemb.tasks.vision.config import VisionConfig
from labelemb.tasks.vision.datasets import DataOptions
from labelemb.tasks.vision.images import ImageData
from labelemb.tasks.vision.models import build_model
from labelemb.tasks.vision.pretrained import PretrainedImageModel, check_images_fit, input_spec
from labelemb.tasks.vision.task import VisionTask
from labelemb.training.model_size import check_model_size
from labelemb.training.runner import check_run, train_run


@lru_cache(maxsize=1)
def load_data(name: str, folder: Path | None, options: DataOptions | None = None) -> ImageData:
    """Load a data set and cache it, so that runs with different seeds in one process share it."""
    return datasets.load(name, folder, options)


def check(config: VisionConfig, run: RunFolder, data_folder: Path | None = None) -> tuple[str, ...]:
    """Check that a run can start, without writing anything.

    Args:
        config: Configuration of the run.
        run: Run folder.
        data_folder: Folder with the files of a named data set.

    Returns:
        What the run starts with, in a few lines.

    Raises:
        ConfigError: If the options do not fit each other or the data, or the folder holds a different run.
        DataError: If files are missing or damaged.
    """
    data = load_data(config.dataset, data_folder, config.data_options)
    if not config.is_pretrained:
        make = partial(build_model, config.model, data.image_shape, len(data.label_names), config.width)
        check_model_size("width", make)
    rows = min(config.batch_size, len(data.train))
    check_memory("batch_size", f"a batch of {rows} images", rows * 4 * math.prod(data.image_shape))
    summary = _try_to_build(replace(config, seed=0), data_folder)
    check_run(config, run, data.digest)
    return summary


def train(config: VisionConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Train a run to completion, resuming from its last checkpoint; a finished run is left unchanged.

    Args:
        config: Configuration of the run.
        run: Run folder.
        data_folder: Folder with the files of a named data set.

    Raises:
        ConfigError: As for ``check``.
        DataError: As for ``check``.
    """
    data = load_data(config.dataset, data_folder, config.data_options)
    task = _build(config, data)
    facts = {"note": data.note} if data.note else {}
    train_run(task, config, run, data.digest, facts)


@cache
def _try_to_build(config: VisionConfig, folder: Path | None) -> tuple[str, ...]:
    """Build model and loss once for all seeds, to check the config; return a summary of data and model."""
    task = _build(config, load_data(config.dataset, folder, config.data_options))
    if isinstance(task.model, PretrainedImageModel):
        check_images_fit(task.model, task.data.image_shape)
    return task.summary()


def _build(config: VisionConfig, data: ImageData) -> VisionTask:
    task = VisionTask(config, _normalised(config, data))
    config.check_length(task)
    config.check_validation(data.valid is not None)
    return task


def _normalised(config: VisionConfig, data: ImageData) -> ImageData:
    """Return the data with the channel statistics that a pretrained model was trained with, where they are known."""
    if not config.is_pretrained:
        return data
    spec, channels = input_spec(config.model), data.image_shape[0]
    if spec.mean is None or spec.std is None:
        return data
    if not len(spec.mean) == len(spec.std) == channels:
        raise ConfigError("model", f"a model for images with {channels} channels", f"{len(spec.mean)} channels")
    return replace(data, mean=spec.mean, std=spec.std)
