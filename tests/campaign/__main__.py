"""Run the campaign: python -m tests.campaign [--minutes N] [--seed N]; exit code 1 when something failed."""

import argparse
import random
import sys
import tempfile
import time
from pathlib import Path

from tests.campaign.classes import CLASSES, RUN
from tests.campaign.trial import Tally, command


def main() -> int:
    parser = argparse.ArgumentParser(description="Faults and bad input of all kinds, until the time is over.")
    parser.add_argument("--minutes", type=float, default=25.0)
    parser.add_argument("--seed", type=int, default=None, help="without it another one each time")
    chosen = parser.parse_args()
    seed = random.randrange(10**6) if chosen.seed is None else chosen.seed
    draw, tally, end = random.Random(seed), Tally(), time.monotonic() + 60 * chosen.minutes
    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        base = Path(folder)
        code, said = command(["train", "digits", "--epochs=2", "--threads=1", f"--out={base / 'base'}"], base)
        if code != 0:
            print(said)
            return 1
        while time.monotonic() < end:
            for make in CLASSES.values():
                with tempfile.TemporaryDirectory(dir=base) as place:
                    make(tally, Path(place), base / "base" / "digits" / RUN, draw)
    print(tally.summary())
    return 1 if tally.failures else 0


if __name__ == "__main__":
    sys.exit(main())
