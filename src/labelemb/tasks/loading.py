"""Load the trained model of a run folder, of any task."""

from pathlib import Path
from typing import get_args

from labelemb.errors import ConfigError, DataError
from labelemb.runs import RunFolder
from labelemb.tasks.classification.trained import Checkpoint
from labelemb.tasks.seq2seq.trained import TrainedTranslator
from labelemb.tasks.text.trained import TrainedTextModel
from labelemb.tasks.vision.trained import TrainedModel

# a config key that only the runs of this task have -> the task
KEYS = {"corpus": "seq2seq", "text_column": "text", "label_level": "vision"}


def task_of(run: RunFolder) -> str:
    """Return ``vision``, ``text`` or ``seq2seq``.

    Raises:
        DataError: If the folder is not a run folder, or that of a run that ``labelemb train`` did not make.
    """
    config = run.config()
    for key, task in KEYS.items():
        if key in config:
            return task
    raise DataError(str(run.path), "a run of labelemb train", "one that was recorded or imported, without its model")


def load_classifier(
    folder: Path | str, checkpoint: str = "last", device: str = "cpu"
) -> TrainedModel | TrainedTextModel:
    """Load the trained classifier of a run folder.

    Args:
        folder: A run folder of an image or text classification run.
        checkpoint: ``last`` (the one that is reported) or ``best`` on the validation data.
        device: Torch device.

    Raises:
        ConfigError: If there is no such kind of checkpoint.
        DataError: If the folder is not the run folder of a classifier with such a checkpoint.
    """
    if checkpoint not in get_args(Checkpoint):
        raise ConfigError("checkpoint", " or ".join(get_args(Checkpoint)), repr(checkpoint))
    run = RunFolder(Path(folder))
    task = task_of(run)
    if task == "seq2seq":
        raise DataError(str(folder), "a run of an image or text classifier", "a sequence-to-sequence run")
    return (TrainedTextModel if task == "text" else TrainedModel)(run, checkpoint, device)  # type: ignore[arg-type]


def load_run(
    folder: Path | str, checkpoint: str = "last", device: str = "cpu"
) -> TrainedModel | TrainedTextModel | TrainedTranslator:
    """Load the trained model of a run folder, ready for predictions.

    Classifiers have ``model`` (a module in evaluation mode), ``label_names``, ``preprocessing``, ``predict`` and
    ``evaluate``; translators have ``model``, ``tokenizer``, ``translate`` and ``evaluate``. Nothing in the folder is
    executed.

    Args:
        folder: A run folder, such as ``runs/digits/label_embedding/seed-0``.
        checkpoint: ``last`` (the one that is reported) or ``best`` on the validation data.
        device: Torch device.

    Raises:
        ConfigError: If there is no such kind of checkpoint.
        DataError: If the folder is not a run folder with such a checkpoint.

    Example:
        >>> run = load_run("runs/intents/label_embedding/seed-0")  # doctest: +SKIP
        >>> run.predict(["my card has not arrived"])  # doctest: +SKIP
        [[('card_arrival', 0.91), ('card_delivery_estimate', 0.04), ('lost_or_stolen_card', 0.01)]]
    """
    if task_of(RunFolder(Path(folder))) == "seq2seq":
        return TrainedTranslator(Path(folder), checkpoint, device)
    return load_classifier(folder, checkpoint, device)
