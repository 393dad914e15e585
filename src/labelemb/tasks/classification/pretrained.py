"""What pretrained text and image models share: where they come from, how they are loaded, their learning rates."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelemb.errors import ConfigError, DataError
from labelemb.memory import is_out_of_memory
from labelemb.runs import RunFolder

PREFIX = "hf:"
PRETRAINED_RATES = (5e-5, 2e-3, 1e-2)  # learning rates of the pretrained layers, the head and the loss's parameters
HEAD_STD = 0.02  # as transformers initializes classifiers
RATES = ("learning_rate", "head_learning_rate", "loss_learning_rate")


def learning_rates(config: object, defaults: Sequence[float | None]) -> dict[str, Any]:
    """Return the three learning rates of a config by key, with a default for each that is null.

    Args:
        config: Has the keys ``RATES``.
        defaults: Learning rates of the model, its head and the loss's parameters; None: that of the model.
    """
    chosen = {name: getattr(config, name) for name in RATES}
    pairs = zip(chosen.items(), defaults, strict=True)
    return {name: default if value is None else value for (name, value), default in pairs}


def pretrained_source(model: str) -> str:
    """Return the folder or hub id of ``hf:DIR_OR_ID``.

    Raises:
        DataError: If it looks like a folder and holds no model.
    """
    source = model.removeprefix(PREFIX)
    path = Path(source).expanduser()
    if path.is_dir():
        if not (path / "config.json").is_file():
            raise DataError(
                "model", "a folder with config.json, as save_pretrained writes it", f"{str(path)!r} without it"
            )
        return str(path)
    if source.count("/") > 1 or source.startswith((".", "/", "~")):
        raise DataError("model", "a folder with a pretrained model, or an id of the hub", f"no such folder: {source}")
    return source


def load_pretrained(kind: str, source: str, what: str, **options: Any) -> Any:
    """Call ``from_pretrained`` of a class of transformers; remote code is never executed.

    Args:
        kind: Name of the class.
        source: Folder or hub id.
        what: What is loaded, for the error message.
        **options: Options of ``from_pretrained``.

    Raises:
        ConfigError: If transformers is not installed.
        DataError: If it cannot be loaded.
    """
    try:
        import transformers
    except ImportError as error:
        hint = "pip install 'labelemb[transformers]'"
        raise ConfigError("model", "the package 'transformers', for hf: models", "not installed", hint) from error
    silence_transformers()
    try:
        return getattr(transformers, kind).from_pretrained(source, trust_remote_code=False, **options)
    except Exception as error:  # the network, the hub and many readers can fail below
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError("model", f"{what} in {source}", reason) from error


def build_from_config(kind: str, folder: str, **options: Any) -> Any:
    """Build a model of transformers with random weights from a saved configuration.

    Args:
        kind: Name of the auto class.
        folder: Folder with the configuration, which may be someone else's.
        **options: Changes of the configuration.

    Raises:
        DataError: If the configuration cannot be read, or no model be built from it.
    """
    config = load_pretrained("AutoConfig", folder, "the configuration of a model", **options)
    import transformers

    try:
        return getattr(transformers, kind).from_config(config, trust_remote_code=False).float()
    except Exception as error:  # any value of the configuration can be wrong
        if is_out_of_memory(error):
            raise
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise DataError(folder, "the configuration of a model", reason) from error


def silence_transformers() -> None:
    """Keep warnings and progress bars of transformers from the terminal."""
    from transformers.utils import logging as transformers_logging

    logging: Any = transformers_logging
    logging.disable_progress_bar()
    logging.set_verbosity_error()


def encoder_folder(run: RunFolder) -> Path:
    """Return where a run keeps the configuration, and the tokenizer, of its pretrained model."""
    return run.path / "encoder"
