"""The campaign itself, as far as it can be tested without running it."""

import random

import pytest

from labelemb.cli.main import COMMANDS as VERBS
from tests.campaign.classes import CLASSES, draw_cases
from tests.campaign.material import COMMANDS, WRITING, draw_writing
from tests.campaign.options import STARTS, options_of


def test_every_command_is_tried() -> None:
    assert {name.split()[0] for name in COMMANDS} == set(VERBS) - {"demo"}  # which takes a minute
    assert {name.split()[0] for name in STARTS} == set(VERBS)
    assert {draw_writing(random.Random(seed)) for seed in range(2000)} == set(WRITING)


@pytest.mark.parametrize("name", STARTS)
def test_options_are_found(name: str) -> None:
    assert options_of(STARTS[name]) or name in ("list", "show")


def test_the_cases_of_all_classes() -> None:
    assert sum(len(draw_cases(name, 2500)) for name in CLASSES) == pytest.approx(2500, abs=30)
