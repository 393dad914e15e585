"""The loss of a large vocabulary, forward and backward: eager, chunked, fused, and plain cross entropy beside them.

    python -m benchmarks.large_vocabulary            the tables of docs/large-vocabulary*.md
    python -m benchmarks.large_vocabulary --quick    one small workload, half a minute

N rows, V labels, D hidden size = R rank; labels are drawn with probability 1 / rank. The limit is the time that the
matrix products alone take at the rate measured in the same run: 10NVD + 6UVR + 4UVD operations with U distinct labels
(6NVD for plain cross entropy). Extra memory is the peak above weights, less the gradients of the parameters.
"""

import argparse
import csv
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.large_vocabulary.measures import MEMORY, TIMES, Line, Run, memory, times
from benchmarks.large_vocabulary.workloads import CPU, GPU, QUICK
from benchmarks.measure import machine

RESULTS = Path(__file__).parents[1] / "results"
TABLES = {"times": (TIMES, times, "large_vocabulary.csv"), "memory": (MEMORY, memory, "large_vocabulary_memory.csv")}


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.large_vocabulary",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--quick", action="store_true", help="one small workload; writes no file")
    parser.add_argument("--rounds", type=int, help="rounds of all peers that count (default 7; 30 quick)")
    parser.add_argument("--rows", type=int, nargs="*", help="only the workloads with so many rows")
    parser.add_argument("--weights", choices=["random", "trained"], help="only the workloads with such weights")
    parser.add_argument("--only", choices=TABLES, help="only the one table")
    parser.add_argument("--threads", type=int, help="threads of torch; with 1 the processor's seconds are counted")
    parser.add_argument("--without", nargs="*", default=[], help="programs to leave out")
    parser.add_argument("--keep", action="store_true", help="add to the files of results instead of replacing them")
    chosen = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    workloads = QUICK if chosen.quick else GPU if device == "cuda" else CPU
    workloads = [w for w in workloads if not chosen.rows or w.rows in chosen.rows]
    workloads = [w for w in workloads if chosen.weights in (None, w.weights)]
    if chosen.threads:
        torch.set_num_threads(chosen.threads)
    run = Run(device, chosen.rounds or (30 if chosen.quick else 7), chosen.quick, frozenset(chosen.without))
    for name, (header, measure, file) in TABLES.items():
        if chosen.only in (None, name):
            lines = [line for workload in workloads for line in measure(workload, run)]
            show(header, lines)
            if not chosen.quick:
                write(RESULTS / file, header, lines, chosen.keep)


def show(header: Line, lines: list[Line]) -> None:
    console = Console()
    console.print(machine(), highlight=False, soft_wrap=True)
    for workload in dict.fromkeys(line[0] for line in lines):
        table = Table(*header[1:], box=None, title=workload, title_justify="left")
        for line in lines:
            if line[0] == workload:
                table.add_row(*line[1:])
        console.print(table)


def write(path: Path, header: Line, lines: list[Line], keep: bool) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a" if keep else "w", newline="", encoding="utf-8") as file:
        file.write(f"# {machine()}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


if __name__ == "__main__":
    main()
