"""Compare sources of similarity between labels with what people confuse.

python -m benchmarks.people --data DIR --sets cifar10-16,cifar100-16 --seeds 0-2 --out results/people/nets.jsonl

DIR holds cifar10/, cifar100/ and human/ (cifar10h.npz, cifar100n_confusion.npz). For each set, seed and method a net is
trained, and one JSON line is appended with its test figures and the agreement of its similarities: what its loss
learned (label embedding or OLS matrix), its confusion matrix, the cosine of its classifier's rows, and its mean
softened prediction per label.
Two more lines per set need no net: the cosine of the class names' sentence embeddings (MiniLM), and the agreement of
people with people. Lines that are in the file are skipped; a killed run continues from its last epoch.
"""

import argparse
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from benchmarks.people.measure import agree, measure
from benchmarks.people.names import class_name_similarity
from benchmarks.people.sets import METHODS, SETS, images_of, people_of, trained, vote_counts
from labelemb.metrics.agreement import spearman
from labelemb.runs import RunFolder

HALVINGS = 20


def units(sets: list[str], seeds: list[int]) -> Iterator[tuple[str, str, int]]:
    """Yield set, method and seed; all methods of a seed before the next seed."""
    for name in sets:
        yield name, "class_names", 0
        yield name, "people", 0
    for seed in seeds:
        for name in sets:
            for method in METHODS:
                yield name, method, seed


def row(name: str, method: str, seed: int, folder: Path, runs: Path) -> dict[str, Any]:
    """Return the content of one line."""
    chosen = SETS[name]
    data = images_of(chosen, folder)
    people = people_of(chosen, folder, data.label_names)
    if method == "class_names":
        return {"agreement": {"names": agree(class_name_similarity(data.label_names), people)}}
    if method == "people":
        return {"halves": halves(folder / "human" / chosen.votes), "labels": len(people.shares)}
    run = RunFolder(runs / name / method / f"seed-{seed}")
    trained(chosen, method, seed, data, run)
    return measure(run, data, people)


def halves(file: Path) -> list[float]:
    """Return Spearman between the votes of random halves of the people, which no source can be expected to exceed."""
    counts, random = vote_counts(file), np.random.default_rng(0)
    found = []
    for _ in range(HALVINGS):
        one = random.binomial(counts, 0.5)
        found.append(spearman(one.astype(np.float64), (counts - one).astype(np.float64)))
    return found


def main() -> None:
    """Read the command line and do what is missing."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="directory with cifar10/, cifar100/ and human/")
    parser.add_argument("--sets", default="cifar10-16,cifar100-16", help=f"out of {', '.join(SETS)}; commas between")
    parser.add_argument("--seeds", default="0-2", help="a seed, or a range such as 0-2")
    parser.add_argument("--runs", type=Path, default=Path("build/people"), help="directory for the runs")
    parser.add_argument("--out", type=Path, default=Path("build/people/nets.jsonl"))
    chosen = parser.parse_args()
    torch.set_num_threads(1)
    lines = chosen.out.read_text(encoding="utf-8").splitlines() if chosen.out.is_file() else []
    done = {(line["data"], line["method"], line["seed"]) for line in map(json.loads, lines)}
    first, _, last = chosen.seeds.partition("-")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    for unit in units(chosen.sets.split(","), list(range(int(first), int(last or first) + 1))):
        if unit not in done:
            start = time.perf_counter()
            head = dict(zip(("data", "method", "seed"), unit, strict=True))
            found = row(*unit, chosen.data, chosen.runs)
            line = {**head, **found, "seconds": round(time.perf_counter() - start, 1)}
            with chosen.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


if __name__ == "__main__":
    main()
