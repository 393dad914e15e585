"""From a text-classification config to a finished run folder."""

from dataclasses import replace
from functools import cache, lru_cache, partial
from pathlib import Path

from labelemb.runs import RunFolder
from labelemb.tasks.text import data
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.data import DataOptions, TextData
from labelemb.tasks.text.model import build_model
from labelemb.tasks.text.task import TextTask
from labelemb.training.model_size import check_model_size
from labelemb.training.runner import check_run, train_run


@lru_cache(maxsize=1)
def load_data(options: DataOptions, folder: Path | None) -> TextData:
    """Read a data set once per process: the seeds of a matrix share it."""
    return data.load(options, folder)


def check(config: TextConfig, run: RunFolder, data_folder: Path | None = None) -> tuple[str, ...]:
    """Check that a run can start; nothing is written into its folder.

    Returns:
        What the run starts with, in a few lines.

    Raises:
        ConfigError: If the options do not fit, or the folder holds another run.
        DataError: If the data or the pretrained model cannot be used.
    """
    found = load_data(config.data_options, data_folder)
    if not config.is_pretrained:
        check_model_size("hidden_size", partial(build_model, config, len(found.label_names)))
    summary = _try_to_build(replace(config, seed=0), data_folder)
    check_run(config, run, found.digest)
    return summary


def train(config: TextConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Train a run, or resume it; a finished run is left untouched. Raises as ``check`` does."""
    found = load_data(config.data_options, data_folder)
    facts = {"note": found.note} if found.note else {}
    train_run(_build(config, found), config, run, found.digest, facts)


@cache
def _try_to_build(config: TextConfig, folder: Path | None) -> tuple[str, ...]:
    """Build model and loss once for all seeds, to check the config; return a summary of data and model."""
    return _build(config, load_data(config.data_options, folder)).summary()


def _build(config: TextConfig, found: TextData) -> TextTask:
    task = TextTask(config, found)
    config.check_length(task)
    config.check_validation(found.valid is not None)
    return task
