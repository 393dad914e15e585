"""The published scripts: the same training under the published option names."""

import sys

from labelemb.cli.main import guarded
from labelemb.cli.plan import Verb
from labelemb.cli.train import TRAIN, add_resume, train

ALIASES = {"data": "--data_dir", "seed": "--num", "learning_rate": "--lr"}


def run(program: str, preset: str, out: str) -> int:
    """Train a preset with the arguments of the script ``program``; return the exit code."""
    verb = Verb(program, TRAIN.what, preset=preset, out=out, aliases=ALIASES, options=add_resume)
    return guarded(lambda arguments: train(arguments, verb), sys.argv[1:])
