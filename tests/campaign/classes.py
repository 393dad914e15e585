"""The classes of faults: each draws a case, tries it and returns what it was and what went wrong, "" if nothing did."""

import random
from collections.abc import Callable
from pathlib import Path

from tests.campaign.damage import damage
from tests.campaign.deaths import interrupts, kills, pairs
from tests.campaign.disks import forbidden, full
from tests.campaign.hostile import hostile, names, surroundings
from tests.campaign.options import options
from tests.campaign.readers import readers

CLASSES: dict[str, Callable[[Path, random.Random], tuple[str, str]]] = {
    "options": options,
    "files": damage,
    "hostile": hostile,
    "readers": readers,
    "names": names,
    "surroundings": surroundings,
    "full": full,
    "forbidden": forbidden,
    "kills": kills,
    "two at once": pairs,
    "interrupts": interrupts,
}
