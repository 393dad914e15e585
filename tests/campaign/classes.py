"""The classes of faults: each draws a case, tries it and returns what it was and what went wrong, "" if nothing did."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from tests.campaign.damage import damage
from tests.campaign.deaths import interrupts, kills, pairs
from tests.campaign.disks import forbidden, full
from tests.campaign.hostile import hostile, names, surroundings
from tests.campaign.options import options
from tests.campaign.readers import readers


@dataclass(frozen=True)
class Class:
    """A class of faults.

    Args:
        run: Tries a case in a folder with the material.
        share: Share of the cases; those that take long have small ones.
    """

    run: Callable[[Path, random.Random], tuple[str, str]]
    share: float


CLASSES = {
    "options": Class(options, 0.36),
    "files": Class(damage, 0.22),
    "hostile": Class(hostile, 0.14),
    "readers": Class(readers, 0.04),
    "names": Class(names, 0.048),
    "surroundings": Class(surroundings, 0.064),
    "full": Class(full, 0.036),
    "forbidden": Class(forbidden, 0.036),
    "kills": Class(kills, 0.028),
    "pairs": Class(pairs, 0.016),
    "interrupts": Class(interrupts, 0.012),
}


def draw_cases(name: str, count: int) -> list[tuple[str, int]]:
    """Return the cases of a class among ``count`` of all classes, by name and number."""
    return [(name, number) for number in range(max(1, round(CLASSES[name].share * count)))]
