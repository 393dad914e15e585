"""The published command lines, translated to those of this package: their flags, and nothing else, differ.

The scripts in ``scripts/`` call these functions.
"""

import sys
from collections.abc import Sequence

from labelemb.cli.main import guarded, main

# Published option -> ours; each may stand as "--option value" or "--option=value".
VISION_FLAGS = {"--data_dir": "--data", "--num": "--seed", "--lr": "--learning_rate", "--mode": "--method"}
VISION_FLAGS |= {"-r": "--resume"}
METHODS = {"baseline": "cross_entropy", "emb": "label_embedding"}


def train_images(preset: str, out: str) -> int:
    """Run ``labelemb train`` with the arguments of a published vision script; return the exit code."""
    return main(["train", preset, "--out", out, *vision_arguments(sys.argv[1:])])


def preprocess_text() -> int:
    """Run ``labelemb preprocess`` with the arguments of the published preprocess.py; return the exit code."""
    return main(["preprocess", *double_dashes(sys.argv[1:])])


def train_text() -> int:
    """Train with the arguments of the published train.py; return the exit code."""
    from labelemb.cli.published_nlp import train

    return guarded(train, double_dashes(sys.argv[1:]))


def predict_text() -> int:
    """Predict with the arguments of the published predict.py; return the exit code."""
    from labelemb.cli.published_nlp import predict

    return guarded(predict, double_dashes(sys.argv[1:]))


def vision_arguments(arguments: Sequence[str]) -> list[str]:
    """Translate the flags of the vision scripts.

    Example:
        >>> vision_arguments(["--mode=emb", "--lr", "0.1", "--mode", "baseline", "-r"])
        ['--method=label_embedding', '--learning_rate', '0.1', '--method', 'cross_entropy', '--resume']
    """
    translated: list[str] = []
    for argument in arguments:
        name, separator, value = argument.partition("=")
        if translated and translated[-1] == "--method":
            name = METHODS.get(name, name)
        if name == "--mode":
            value = METHODS.get(value, value)
        translated.append(VISION_FLAGS.get(name, name) + separator + value)
    return translated


def double_dashes(arguments: Sequence[str]) -> list[str]:
    """Write options with two dashes, which the published language scripts take with one.

    Example:
        >>> double_dashes(["-train_src", "a.en", "-share", "-seed", "-1"])
        ['--train_src', 'a.en', '--share', '--seed', '-1']
    """
    return [f"-{argument}" if argument[:1] == "-" and argument[1:2].isalpha() else argument for argument in arguments]
