"""The published scripts: the same training under the published option names."""

import sys

from labelemb.cli.main import guarded
from labelemb.cli.plan import Verb
from labelemb.cli.train import TRAIN, add_resume, train

ALIASES = {"data": "--data_dir", "seed": "--num", "learning_rate": "--lr"}
MODES = {"baseline": "cross_entropy", "emb": "label_embedding"}


def run(program: str, preset: str, out: str) -> int:
    """Train a preset with the arguments of the script ``program``; return the exit code."""
    verb = Verb(program, TRAIN.what, preset=preset, out=out, aliases=ALIASES, options=add_resume)
    return guarded(lambda arguments: train(arguments, verb), _with_method_names(sys.argv[1:]))


def _with_method_names(arguments: list[str]) -> list[str]:
    """Translate the published --mode=baseline and --mode=emb.

    >>> _with_method_names(["--mode=emb", "--lr", "0.1"])
    ['--method=label_embedding', '--lr', '0.1']
    """
    joined = "\n".join(arguments).replace("--mode\n", "--mode=").split("\n")
    translated = []
    for argument in joined:
        name, is_there, value = argument.partition("=")
        if name == "--mode" and is_there:
            argument = "--method=" + ",".join(MODES.get(mode, mode) for mode in value.split(","))
        translated.append(argument)
    return translated
