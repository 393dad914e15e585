"""The entry point: parse ``labelemb COMMAND ...``, run the command, return the exit code.

Exit codes: 0 success, 1 a run failed, 2 invalid input, 3 another process is training a run, 130 interrupted.
"""

import os
import signal
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

import labelemb
from labelemb.cli.exit_codes import BUSY, INVALID
from labelemb.cli.terminal import abandon_output, end, notice, prepare, show_error
from labelemb.errors import ConfigError, LabelembError, RunBusyError, nearest
from labelemb.files import is_url
from labelemb.memory import is_out_of_memory
from labelemb_command import interrupt, stop

if TYPE_CHECKING:
    from labelemb.cli.command import Command

# Command -> what it does. Each is a module of this package, imported only when it is run.
COMMANDS = {
    "demo": "compare cross entropy and label embedding on small digits, in about a minute",
    "list": "list the presets",
    "show": "print a preset with its comments",
    "preprocess": "prepare parallel text for training",
    "train": "train a preset: any methods and seeds, any option overridden",
    "compare": "train several methods and test the differences between them",
    "ablate": "train without each term of the label-embedding loss in turn",
    "sweep": "train a grid of options and rank it by validation data",
    "translate": "translate lines with a trained model",
    "predict": "classify images or texts with a trained model",
    "evaluate": "evaluate a trained model on its test data, or on other data",
    "report": "write tables, curves, heat maps and an HTML page about runs",
    "import": "import the log of another program as a run, for report and compare",
    "similar": "list the labels nearest to a label",
    "agree": "compare a learned label embedding with how often people confuse the labels",
    "export": "write a trained model (onnx, torch, hf), or its label embedding (safetensors, csv, npy, TensorBoard)",
}
SESSION = """\
examples:
  $ labelemb demo
  $ labelemb train mnist-mlp --method cross_entropy,label_embedding --seeds 5 --jobs 2 --data ~/mnist
  $ labelemb compare mnist-mlp --method cross_entropy,label_smoothing,label_embedding --seeds 10 --data ~/mnist
  $ labelemb similar runs/mnist-mlp/label_embedding/seed-0 3

labelemb COMMAND --help shows the options of a command."""
EXTRAS = {
    **dict.fromkeys(
        ("jsonargparse", "docstring_parser", "rich", "yaml", "accelerate", "scipy", "pooch", "pydantic"), "train"
    ),
    **dict.fromkeys(("sklearn", "typeshed_client"), "train"),
    **dict.fromkeys(("jinja2", "matplotlib", "markupsafe"), "report"),
    **dict.fromkeys(("datasets", "pyarrow", "PIL"), "data"),
    **dict.fromkeys(("num2words", "rouge_score", "sacrebleu"), "text"),
    **dict.fromkeys(("triton",), "triton"),
    **dict.fromkeys(("ray",), "cluster"),
}


def main(arguments: list[str] | None = None) -> int:
    """Run ``labelemb ARGUMENTS`` and return the exit code."""
    if arguments is not None:
        return guarded(_run, arguments)
    prepare()
    return end(guarded(_run, sys.argv[1:]))


def guarded(run: Callable[[list[str]], int], arguments: list[str]) -> int:
    """Run a command; invalid input is one line on stderr and exit code 2, never a traceback."""
    try:
        check_launch()
        code = run(arguments)
        sys.stdout.flush()  # here, where an error has an answer, and not at the exit of Python
        return code
    except RunBusyError as error:
        show_error(str(error))
        return BUSY
    except LabelembError as error:
        return _invalid(str(error))
    except ModuleNotFoundError as error:
        extra = EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        return _invalid(f"this command needs the package {error.name}: pip install 'labelemb[{extra}]'")
    except BrokenPipeError:  # the reader of our output has closed it
        sys.stderr.close()
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.filename is None:  # of a stream, such as output to a full disk
            abandon_output()
        where = "output" if error.filename is None else str(error.filename)
        return _invalid(f"{where}: expected a usable file or folder, got {str(error.strerror or error).lower()}")
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return _invalid("memory: expected a model and batches that fit, got out of memory. Lower --batch_size or sizes")
    except SystemExit as ended:  # --help and --version
        return int(ended.code or 0)
    except KeyboardInterrupt:
        notice("stopped; the same command resumes")
        return 130


def check_launch() -> None:
    """Raise ConfigError when the variables that a launcher sets are not whole numbers."""
    for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"):
        value = os.environ.get(name, "0")
        if not value.isdecimal():
            raise ConfigError(name, "a whole number, as torchrun and accelerate launch set it", repr(value))


def _run(arguments: list[str]) -> int:
    name = next((argument for argument in arguments if not argument.startswith("-")), None)
    if name is not None and name not in COMMANDS:
        raise ConfigError(
            "command",
            f"one of {', '.join(COMMANDS)}",
            repr(name),
            nearest(name, COMMANDS) or "labelemb --help describes them",
        )
    split = _command(name).split if name else None
    chosen = [_parse(each, name) for each in (split(arguments) if split else [arguments])]
    _let_commands_clean_up()
    return _command(chosen[0].command).run(*(one[one.command] for one in chosen))


def _let_commands_clean_up() -> None:
    """Let Ctrl-C raise KeyboardInterrupt from now on; until here it ended the process at once."""
    if threading.current_thread() is threading.main_thread() and signal.getsignal(signal.SIGINT) is stop:
        signal.signal(signal.SIGINT, interrupt)


def _parse(arguments: list[str], name: str | None) -> Any:
    """Return the parsed options of a command line; ``--help`` and ``--version`` end here."""
    from labelemb.cli.parser import Parser

    description = (
        f"labelemb {labelemb.__version__}: train classifiers and translation models on learned soft labels, "
        "and compare methods"
    )
    parser = Parser(description, SESSION, usage="labelemb COMMAND [options]", prog="labelemb")
    parser.add_argument("--version", action="version", version=f"labelemb {labelemb.__version__}", help="print version")
    commands = parser.add_subcommands(dest="command", title="commands", description="", metavar="COMMAND")
    for known, summary in COMMANDS.items():
        subparser = _command(name).parser(arguments[arguments.index(name) + 1 :]) if known == name else Parser()
        commands.add_subcommand(known, subparser, help=summary)
        subparser.prog = f"labelemb {known}"
    chosen = parser.parse_args(arguments or ["--help"])
    options = chosen[chosen.command]
    for option in ("run", "source"):  # a trained run at a URL is copied first
        if is_url(str(options.get(option) or "")):
            from labelemb.runs.remote import local_copy

            options[option] = str(local_copy(options[option]))
    return chosen


def _command(name: str) -> "Command":
    module = {"import": "import_log"}.get(name, name)  # a module cannot be called import
    command: Command = import_module(f"labelemb.cli.{module}").COMMAND
    return command


def _invalid(message: str) -> int:
    show_error(message)
    return INVALID
