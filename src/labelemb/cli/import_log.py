"""``labelemb import``: turn the log of another program into a run folder."""

from collections.abc import Mapping, Sequence
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.terminal import show
from labelemb.errors import ConfigError
from labelemb.runs.history import Line


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Import the log of another program as a run, so that report and compare can read it: trainer_state.json of "
        "transformers' Trainer, metrics.csv of Lightning, TensorBoard event files, or a CSV file with a column epoch.",
        "examples:\n  $ labelemb import out/checkpoint-500 --experiment intents --method label_embedding --seed 0\n"
        "  $ labelemb import lightning_logs/version_0 --experiment intents --method baseline --seed 0\n"
        "  $ labelemb report runs/intents",
    )
    made.add_argument("log", type=str, help="the log, or the directory that it is in")
    made.add_argument("--experiment", type=str, required=True, help="name of the data set or task")
    made.add_argument("--method", type=str, required=True, help="name of the method in the report")
    made.add_argument("--seed", type=int, default=0, help="random seed; runs with the same seed are compared in pairs")
    made.add_argument("--out", type=str, default="runs", help="directory of the runs")
    test = "treat validation metrics as test metrics, where the log's evaluation is on the test set"
    made.add_argument("--test", action="store_true", help=test)
    return made


def run(chosen: Any) -> int:
    """Write the run folder."""
    from labelemb.runs.importers import read_log
    from labelemb.runs.recorder import Recorder

    lines = read_log(chosen.log)
    recorder = Recorder(chosen.out, chosen.experiment, chosen.method, chosen.seed, {"log": str(chosen.log)})
    with recorder.run.locked():
        if recorder.run.finished:
            hint = "Choose another --seed or --out, or remove that folder"
            raise ConfigError("out", "a folder without a run", str(recorder.run.path), hint)
        recorder.replace([_line(evaluation, chosen.test) for evaluation in lines])
        recorder.finish()
    shown = sorted(key for key in _line(lines[-1], chosen.test) if key.startswith(("valid_", "test_")))
    show(f"{recorder.run.path}: {len(lines)} evaluations with {', '.join(shown)}")
    return 0


def _line(evaluation: Mapping[str, float], test: bool) -> Line:
    """Return the history line of an evaluation."""
    line: Line = {_renamed(key, test): value for key, value in evaluation.items()}
    return {**line, "epoch": int(evaluation["epoch"]), "step": int(evaluation["step"]), "terms": {}}


def _renamed(key: str, test: bool) -> str:
    return f"test_{key.removeprefix('valid_')}" if test and key.startswith("valid_") else key


COMMAND = Command(parser, run)
