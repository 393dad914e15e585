"""Run the campaign: python -m tests.campaign [--cases N] [--seed N]; exit code 1 when something failed."""

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from multiprocessing.sharedctypes import Synchronized
from pathlib import Path

from tests.campaign.material import import_all, make_material
from tests.campaign.trial import Tally

Case = tuple[str, int]  # class, number


def main() -> int:
    from tests.campaign.classes import CLASSES, draw_cases

    parser = argparse.ArgumentParser(description="Faults and bad input of all kinds.")
    parser.add_argument("--cases", type=int, default=2500, help="number of cases")
    parser.add_argument("--minutes", type=float, default=30.0, help="time after which no case is begun")
    parser.add_argument("--seed", type=int, default=None, help="without it another one each time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cases at a time")
    parser.add_argument("--only", default="", help="classes, or cases such as options:17, separated by commas")
    chosen = parser.parse_args()
    seed = random.randrange(10**6) if chosen.seed is None else chosen.seed
    names = [name for name in chosen.only.split(",") if name] or list(CLASSES)
    cases = [case for name in names for case in _cases_of(name, chosen.cases, draw_cases)]
    random.Random(seed).shuffle(cases)
    end = time.monotonic() + 60 * chosen.minutes
    print(f"seed {seed}", flush=True)
    import_all()
    with tempfile.TemporaryDirectory(prefix="campaign-", ignore_cleanup_errors=True) as folder:
        base = Path(folder)
        base.chmod(0o755)
        material = base / "material"
        material.mkdir()
        if problem := make_material(material):
            print(problem)
            return 1
        tally = _several(base, cases, seed, end, chosen.jobs)
    print(tally.summary(len(cases)))
    return 1 if tally.failures else 0


def _cases_of(name: str, count: int, draw_cases: Callable[[str, int], list[Case]]) -> list[Case]:
    kind, colon, number = name.partition(":")
    return [(kind, int(number))] if colon else draw_cases(kind, count)


def _several(base: Path, cases: Sequence[Case], seed: int, end: float, jobs: int) -> Tally:
    """Share the cases between processes: each takes the next one when it is done with its last."""
    context = multiprocessing.get_context("fork")
    queue, following = context.Queue(), context.Value("i", 0)
    given = (base, cases, seed, end, following, queue)
    workers = [context.Process(target=_work, args=given) for _ in range(jobs)]
    for worker in workers:
        worker.start()
    tally = Tally()
    for _ in workers:
        tally.add(queue.get())
    for worker in workers:
        worker.join()
    return tally


def _work(
    base: Path,
    cases: Sequence[Case],
    seed: int,
    end: float,
    following: "Synchronized[int]",
    queue: "multiprocessing.Queue[Tally]",
) -> None:
    """Try cases until there are no more, or the time is over."""
    from tests.campaign.classes import CLASSES

    tally = Tally()
    while time.monotonic() < end:
        with following.get_lock():
            place_in_line = following.value
            following.value += 1
        if place_in_line >= len(cases):
            break
        if place_in_line and place_in_line % 250 == 0:
            print(f"{place_in_line} of {len(cases)} cases", flush=True)
        name, number = cases[place_in_line]
        before = _processor_seconds()
        with tempfile.TemporaryDirectory(dir=base, prefix="case-", ignore_cleanup_errors=True) as folder:
            place = Path(folder) / "place"
            shutil.copytree(base / "material", place)
            try:
                what, problem = CLASSES[name].run(place, random.Random(f"{seed} {name} {number}"))
            except Exception as error:  # of the campaign itself
                what, problem = "the campaign itself", repr(error)
        tally.note(name, number, what, problem, _processor_seconds() - before)
    queue.put(tally)


def _processor_seconds() -> float:
    """Return the processor time of this process and of those that it has waited for."""
    return sum(os.times()[:4])


if __name__ == "__main__":
    sys.exit(main())
