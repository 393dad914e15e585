"""What the commands that use a trained model share: loading it, and options of checkpoint and search."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelemb.runs import RunFolder

if TYPE_CHECKING:
    from labelemb.tasks.seq2seq.hypothesis import SearchSettings
    from labelemb.tasks.seq2seq.trained import TrainedTranslator
    from labelemb.tasks.text.trained import TrainedTextModel
    from labelemb.tasks.vision.trained import TrainedModel

SEARCH = ("beam_size", "max_length", "length_penalty")


def add_checkpoint(parser: Any, help_text: str) -> None:
    """Add ``--checkpoint``."""
    parser.add_argument("--checkpoint", type=str, default="last", help=help_text)


def add_groups(parser: Any) -> None:
    """Add ``--groups``."""
    text = "group of each label: .csv of rows label,group; .json of labels by group; .npz of classes, fine_to_coarse"
    parser.add_argument("--groups", type=str, help=text)


def add_search(parser: Any) -> None:
    """Add the options of the search for an output; those that are not given are the run's."""
    parser.add_argument("--beam_size", type=int, help="beam size, 1: greedy; default: as configured for the run")
    parser.add_argument(
        "--max_length", type=int, help="maximum number of output tokens; default: as configured for the run"
    )
    penalty = "exponent of the length that scores are divided by; default: as configured for the run"
    parser.add_argument("--length_penalty", type=float, help=penalty)


def is_text_run(source: Path) -> bool:
    """Whether a run folder, or the folder of a checkpoint, is that of a sequence-to-sequence run."""
    run = RunFolder(source if source.is_dir() else source.parent)
    return run.config_file.is_file() and "corpus" in run.config()


def load_classifier(chosen: Any) -> "TrainedModel | TrainedTextModel":
    """Load the classifier that ``run`` and ``--checkpoint`` name. Raises ConfigError, DataError."""
    from labelemb.tasks.loading import load_classifier as load

    return load(chosen.run, chosen.checkpoint, _device())


def load_translator(chosen: Any) -> "TrainedTranslator":
    """Load the sequence-to-sequence model that ``run`` and ``--checkpoint`` name. Raises ConfigError, DataError."""
    from labelemb.tasks.seq2seq.trained import TrainedTranslator

    return TrainedTranslator(Path(chosen.run), chosen.checkpoint, _device())


def search_settings(model: "TrainedTranslator", chosen: Any) -> "SearchSettings":
    """Return the run's search settings, changed as the options say."""
    given = {name: getattr(chosen, name) for name in SEARCH if getattr(chosen, name) is not None}
    return replace(model.config.search_settings, **given)


def _device() -> str:
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
