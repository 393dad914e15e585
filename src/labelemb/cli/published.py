"""The published scripts: the same training under the published option names."""

import sys

from labelemb.cli.main import guarded
from labelemb.cli.train import Published, train

ALIASES = {"data": "--data_dir", "seed": "--num", "learning_rate": "--lr"}


def run(program: str, preset: str, out: str) -> int:
    """Train a preset with the arguments of the script ``program``; return the exit code."""
    published = Published(preset, out, ALIASES)
    return guarded(lambda arguments: train(arguments, published, program), sys.argv[1:])
