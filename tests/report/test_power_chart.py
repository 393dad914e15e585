"""The power curve agrees with the test that the report uses."""

import pytest

from labelemb.report.charts.power import _power
from labelemb.stats.paired import seeds_for_any_finding


@pytest.mark.parametrize("tests", [1, 2, 4])
def test_no_power_where_the_corrected_test_cannot_be_significant(tests: int) -> None:
    fewest = seeds_for_any_finding(tests)
    assert _power(fewest - 1, sd=0.1, difference=5.0, tests=tests) == 0
    assert _power(fewest, sd=0.1, difference=5.0, tests=tests) > 99
