"""The loss of a large vocabulary, forward and backward: eager, chunked, fused, and plain cross entropy.

    python -m benchmarks.large_vocabulary            the tables of docs/large-vocabulary*.md
    python -m benchmarks.large_vocabulary --quick    one small workload, bf16 a minute

N rows, V labels, D hidden size = R rank; labels are drawn with probability 1 / rank. The limit is the time of the
matrix products alone at the rate measured in the same run: 10NVD + 6UVR + 4UVD operations with U distinct labels
(6NVD for plain cross entropy). Extra memory is the peak above the weights minus the gradients of
the parameters.
"""

import argparse
import csv
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.large_vocabulary.measurements import MEMORY, TIMES, Line, Run, memory, times
from benchmarks.large_vocabulary.workloads import CPU, GPU, QUICK
from benchmarks.measure import busy_processes, describe_machine

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
    parser.add_argument("--rounds", type=int, help="measured rounds (default 7; 30 with --quick)")
    parser.add_argument("--rows", type=int, nargs="*", help="only workloads with these numbers of rows")
    parser.add_argument("--weights", choices=["random", "trained", "peaked"], help="only workloads with these weights")
    parser.add_argument("--only", choices=TABLES, help="only this table")
    parser.add_argument("--threads", type=int, help="torch threads; with 1, CPU time is measured")
    parser.add_argument(
        "--beside", type=int, default=0, help="measure beside this many processes that keep a core busy"
    )
    parser.add_argument("--without", nargs="*", default=[], help="programs to skip")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the files of results")
    parser.add_argument("--keep", action="store_true", help="add to the files of results instead of replacing them")
    args = parser.parse_args()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    workloads = QUICK if args.quick else GPU if device == "cuda" else CPU
    workloads = [w for w in workloads if not args.rows or w.rows in args.rows]
    workloads = [w for w in workloads if args.weights in (None, w.weights)]
    if args.threads:
        torch.set_num_threads(args.threads)
    run = Run(device, args.rounds or (30 if args.quick else 7), args.quick, frozenset(args.without))
    conditions = describe_machine() + (f", beside {args.beside} busy processes" if args.beside else "")
    for name, (header, measure, file) in TABLES.items():
        if args.only in (None, name):
            with busy_processes(args.beside):
                lines = [line for workload in workloads for line in measure(workload, run)]
            show(conditions, header, lines)
            if not args.quick:
                write(args.out / file, conditions, header, lines, args.keep)


def show(conditions: str, header: Line, lines: list[Line]) -> None:
    console = Console()
    console.print(conditions, highlight=False, soft_wrap=True)
    for workload in dict.fromkeys(line[0] for line in lines):
        table = Table(*header[1:], box=None, title=workload, title_justify="left")
        for line in lines:
            if line[0] == workload:
                table.add_row(*line[1:])
        console.print(table)


def write(path: Path, conditions: str, header: Line, lines: list[Line], keep: bool) -> None:
    path.parent.mkdir(exist_ok=True)
    with path.open("a" if keep else "w", newline="", encoding="utf-8") as file:
        file.write(f"# {conditions}\n")
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)


if __name__ == "__main__":
    main()
