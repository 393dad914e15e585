"""Run the campaign: python -m tests.campaign [--minutes N] [--seed N]; exit code 1 when something failed."""

import argparse
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from tests.campaign.material import import_all, make_material
from tests.campaign.trial import Tally


def main() -> int:
    from tests.campaign.classes import CLASSES

    parser = argparse.ArgumentParser(description="Faults and bad input of all kinds, until the time is over.")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=None, help="without it another one each time")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="cases at a time")
    parser.add_argument("--only", default=",".join(CLASSES), help="classes, separated by commas")
    chosen = parser.parse_args()
    seed = random.randrange(10**6) if chosen.seed is None else chosen.seed
    end = time.monotonic() + 60 * chosen.minutes
    print(f"seed {seed}", flush=True)
    import_all()
    with tempfile.TemporaryDirectory(prefix="campaign-") as folder:
        base = Path(folder)
        base.chmod(0o755)
        os.environ["XDG_CACHE_HOME"] = str(base / "cache")
        material = base / "material"
        material.mkdir()
        if problem := make_material(material):
            print(problem)
            return 1
        tally = _several(base, chosen.only.split(","), seed, end, chosen.jobs)
    print(tally.summary())
    return 1 if tally.failures else 0


def _several(base: Path, names: Sequence[str], seed: int, end: float, jobs: int) -> Tally:
    """Work with several processes, each with a random generator of its own."""
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_work, args=(base, names, seed + job, end, queue)) for job in range(jobs)]
    for worker in workers:
        worker.start()
    tally = Tally()
    for _ in workers:
        tally.add(queue.get())
    for worker in workers:
        worker.join()
    return tally


def _work(base: Path, names: Sequence[str], seed: int, end: float, queue: "multiprocessing.Queue[Tally]") -> None:
    """Try one case of each class in turn until the time is over."""
    from tests.campaign.classes import CLASSES

    draw, tally = random.Random(seed), Tally()
    while time.monotonic() < end:
        for name in names:
            with tempfile.TemporaryDirectory(dir=base, prefix="case-", ignore_cleanup_errors=True) as folder:
                place = Path(folder) / "place"
                shutil.copytree(base / "material", place)
                try:
                    what, problem = CLASSES[name](place, draw)
                except Exception as error:  # of the campaign itself
                    what, problem = "the campaign itself", repr(error)
                tally.note(name, what, problem)
            if time.monotonic() > end:
                break
    queue.put(tally)


if __name__ == "__main__":
    sys.exit(main())
