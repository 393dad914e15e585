"""Where runs are trained: the shares of a job array."""

from typing import Any

import pytest

from labelemb.cli.execution import Execution


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_the_shares_of_a_plan_are_even_and_make_it_whole(count: int) -> None:
    plan: list[Any] = [(seed, method) for seed in range(5) for method in "ab"]
    shares = [Execution(shard=(index, count)).share_of(plan) for index in range(1, count + 1)]
    assert [run for share in shares for run in share] == plan
    assert max(map(len, shares)) - min(map(len, shares)) <= 1
