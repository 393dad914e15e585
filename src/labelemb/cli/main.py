"""The entry: a verb, its arguments, an exit code. 0 done, 1 something failed, 2 a mistake in what was asked."""

import os
import signal
import sys
from collections.abc import Callable
from importlib import import_module

import labelemb
from labelemb.errors import ConfigError, LabelembError, nearest

# verb -> (module, function, what it does); a module is imported when its verb is asked for
VERBS = {
    "demo": ("demo", "demo", "one-hot against label embedding on small digits, in about a minute"),
    "list": ("look", "list_presets", "the presets"),
    "show": ("look", "show", "a preset, each key commented"),
    "preprocess": ("preprocess", "preprocess", "parallel text to a folder that trains"),
    "train": ("train", "train", "train a preset: methods, seeds, any key overridden"),
    "compare": ("compare", "compare", "does it help? several methods, trained where runs are missing, with a test"),
    "ablate": ("compare", "ablate", "what each term of the loss is worth: each switched off in turn"),
    "sweep": ("sweep", "sweep", "a grid of config keys, judged by validation data"),
    "translate": ("language", "translate", "lines in, lines out, by a trained language model"),
    "predict": ("use", "predict", "what a trained model sees on images"),
    "evaluate": ("use", "evaluate", "how good a trained model is on its test data, or on others"),
    "report": ("look", "report", "tables, curves, heat maps and a page of the runs in some folders"),
    "similar": ("look", "similar", "the labels nearest to a label"),
    "export": ("look", "export", "a learned label embedding as safetensors, csv, npy or for tensorboard's projector"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run ``labelemb ARGUMENTS`` and return the exit code."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if not arguments or arguments[0] in ("-h", "--help"):
        print(_help())
        return 0
    if arguments[0] == "--version":
        print(f"labelemb {labelemb.__version__}")
        return 0
    if arguments[0] not in VERBS:
        return _mistake(
            str(ConfigError("verb", f"one of {', '.join(VERBS)}", repr(arguments[0]), nearest(arguments[0], VERBS)))
        )
    module, function, _ = VERBS[arguments[0]]
    return guarded(getattr(import_module(f"labelemb.cli.{module}"), function), arguments[1:])


def guarded(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a verb; a mistake in what was asked is one line on stderr and exit code 2, never a traceback."""
    try:
        return run(arguments)
    except LabelembError as error:
        return _mistake(str(error))
    except OSError as error:
        if isinstance(error, BrokenPipeError):  # the reader of our output has gone
            sys.stderr.close()
            return 128 + signal.SIGPIPE
        if error.filename is None:
            raise
        return _mistake(f"{error.filename}: expected a usable file or folder, got {error.strerror}")
    except KeyboardInterrupt:
        print("stopped; the same command goes on where it was", file=sys.stderr)
        return 130


def _mistake(message: str) -> int:
    if os.environ.get("RANK", "0") == "0":  # one of several processes talks
        print(f"labelemb: {' '.join(message.split())}", file=sys.stderr)
    return 2


def _help() -> str:
    verbs = "\n".join(f"  {verb:10} {what}" for verb, (_, _, what) in VERBS.items())
    return f"""\
labelemb {labelemb.__version__}: soft labels that a network learns while it trains

usage: labelemb VERB [options]      labelemb VERB --help shows them

verbs:
{verbs}

a session:
  $ labelemb demo
  $ labelemb train mnist-mlp --method cross_entropy,label_embedding --seeds 5 --jobs 2 --data ~/mnist
  $ labelemb report runs/mnist-mlp
  $ labelemb compare mnist-mlp --method cross_entropy,label_smoothing,label_embedding --seeds 10 --data ~/mnist
  $ labelemb similar runs/mnist-mlp/label_embedding/seed-0 3"""
