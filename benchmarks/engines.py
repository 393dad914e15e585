"""Cost of a run in local processes and as a task of Ray, on this machine.

    python -m benchmarks.engines

Whole commands that train runs of one epoch on digits, two at a time: ``--jobs 2`` and ``--engine ray --jobs 2``. Each
command is timed with few and with many runs; the difference is the time of a run, the rest the start of the command
(imports; Ray itself). Needs the extra ``cluster``.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

from benchmarks.measure import Timing, time_interleaved
from benchmarks.tables import Comparison, show, write

FEW, MANY = 2, 50  # a run takes a tenth of a second: the difference of fewer is below the noise of the start
ENGINES = {"local processes": ["--jobs", "2"], "Ray": ["--engine", "ray", "--jobs", "2"]}
RESULTS = Path(__file__).parent / "results" / "engines.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, allow_abbrev=False)
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds")
    parser.add_argument("--note", type=str, default="", help="a remark on the machine, for the file")
    args = parser.parse_args()
    commands: dict[str, Callable[[], object]] = {
        f"{name}, {count} runs": partial(train, count, options)
        for name, options in ENGINES.items()
        for count in (FEW, MANY)
    }
    timings = time_interleaved(commands, repeats=args.rounds, warmup=1, clock=time.perf_counter)
    parts = {name: split(timings[f"{name}, {FEW} runs"], timings[f"{name}, {MANY} runs"]) for name in ENGINES}
    (start, run), (ray_start, ray_run) = parts.values()
    ratios = {
        "seconds per further run, two at a time, local": run.median,
        "seconds per further run, two at a time, Ray": ray_run.median,
        "seconds to start the command, local": start.median,
        "seconds to start the command, Ray": ray_start.median,
        "Ray over local, per further run": ray_run.over(run),
    }
    table = Comparison(f"commands of {FEW} and {MANY} runs of one epoch on digits", timings, "commands", 1, ratios)
    note = "; ".join(filter(None, [f"{args.rounds} interleaved rounds", args.note]))
    show(table, note=note)
    write(RESULTS, table, note=note)


def train(count: int, options: list[str]) -> None:
    """Train ``count`` runs in a new folder."""
    command = [sys.executable, "-m", "labelemb", "train", "digits", "--method", "cross_entropy", "--epochs", "1"]
    with tempfile.TemporaryDirectory() as folder:
        command += ["--seeds", str(count), "--threads", "1", "--out", folder, *options]
        # Ray gives its workers a low priority unless told otherwise.
        environment = os.environ | {"RAY_worker_niceness": "0"}
        subprocess.run(command, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def split(few: Timing, many: Timing) -> tuple[Timing, Timing]:
    """Return the time to start a command and the time of each further run, by round."""
    pairs = list(zip(few.samples, many.samples, strict=True))
    runs = [(long - short) / (MANY - FEW) for short, long in pairs]
    starts = [short - FEW * run for (short, _), run in zip(pairs, runs, strict=True)]
    return Timing(tuple(starts)), Timing(tuple(runs))


if __name__ == "__main__":
    main()
