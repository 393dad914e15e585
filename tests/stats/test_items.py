"""McNemar's test and changed items."""

import numpy as np
import pytest

from labelemb.errors import ShapeError
from labelemb.stats.items import changed_items, mcnemar


def test_statsmodels_agrees() -> None:
    tables = pytest.importorskip("statsmodels.stats.contingency_tables")
    random = np.random.default_rng(0)
    reference, other = random.random(500) < 0.3, random.random(500) < 0.25
    found = mcnemar(reference, other)
    table = [[np.sum(reference & other), found.fixed], [found.broken, np.sum(~reference & ~other)]]
    assert found.p == pytest.approx(tables.mcnemar(table, exact=True).pvalue)


def test_the_net_change_is_the_difference_of_the_errors() -> None:
    random = np.random.default_rng(1)
    reference, other = random.random(100) < 0.3, random.random(100) < 0.2
    found = mcnemar(reference, other)
    assert found.fixed - found.broken == reference.sum() - other.sum()
    assert mcnemar(reference, reference).p == 1


def test_changed_items_are_those_with_other_counts_in_order() -> None:
    random = np.random.default_rng(2)
    reference, other = random.random((6, 50)) < 0.4, random.random((6, 50)) < 0.4
    found = changed_items(reference, other)
    sizes = [abs(one.reference - one.other) for one in found]
    assert sizes == sorted(sizes, reverse=True)
    assert {one.item for one in found} == set(np.flatnonzero(reference.sum(0) != other.sum(0)))
    assert changed_items(reference, other, most=3) == found[:3]
    assert changed_items(reference, reference) == []


def test_unequal_shapes_are_refused() -> None:
    with pytest.raises(ShapeError):
        mcnemar(np.zeros(3, bool), np.zeros(4, bool))
    with pytest.raises(ShapeError):
        changed_items(np.zeros((2, 3), bool), np.zeros((3, 3), bool))
