"""Time of a whole comparison: 12 methods, 20 seeds, 10,000 test items. python -m benchmarks.statistics.

All 66 pairs: Holm-corrected sign-flip tests, effect sizes and equivalence; intervals over seeds and items by the
crossed formula and by the stratified bootstrap; McNemar of each pair of runs; the items that changed most.
"""

import time
from collections.abc import Callable, Mapping
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from labelemb.stats.bootstrap import resample_means
from labelemb.stats.crossed import crossed_interval
from labelemb.stats.items import changed_items, mcnemar
from labelemb.stats.pairs import all_pairs

METHODS, SEEDS, ITEMS, LABELS = 12, 20, 10_000, 100


def main() -> None:
    random = np.random.default_rng(0)
    difficulty = random.normal(-1.5, 1.5, ITEMS)
    wrong = {f"method {one}": difficulty + random.normal(0, 1, (SEEDS, ITEMS)) > 0 for one in range(METHODS)}
    errors = {name: dict(enumerate((100 * flags.mean(axis=1)).tolist())) for name, flags in wrong.items()}
    labels = np.arange(ITEMS) % LABELS
    pairs = list(combinations(wrong, 2))
    steps: dict[str, Callable[[], object]] = {
        "tests of all pairs": lambda: all_pairs(errors, margin=0.2, resolution=100 / ITEMS),
        "crossed intervals": lambda: [crossed_interval(wrong[a], wrong[b]) for a, b in pairs],
        "stratified bootstrap": lambda: _bootstrap(wrong, labels),
        "McNemar, every run": lambda: [
            mcnemar(x, y) for a, b in pairs for x, y in zip(wrong[a], wrong[b], strict=True)
        ],
        "changed items": lambda: [changed_items(wrong[a], wrong[b], most=20) for a, b in pairs],
    }

    totals = np.zeros(2)
    for name, step in steps.items():
        start = np.array([time.perf_counter(), time.process_time()])
        step()
        seconds = np.array([time.perf_counter(), time.process_time()]) - start
        totals += seconds
        print(_line(name, seconds))
    print(_line("all", totals))


def _bootstrap(wrong: Mapping[str, NDArray[np.bool_]], strata: NDArray[np.int64]) -> list[tuple[float, float, float]]:
    found = resample_means(wrong, strata)
    return [found.difference(one, other) for one, other in combinations(wrong, 2)]


def _line(name: str, seconds: NDArray[np.float64]) -> str:
    return f"{name:22} {seconds[0]:6.2f} s, of the processor {seconds[1]:6.2f} s"


if __name__ == "__main__":
    main()
