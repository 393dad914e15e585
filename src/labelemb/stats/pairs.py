"""Every pair of methods: difference, Holm-corrected test, effect size, number of seeds won."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

from labelemb.stats.effects import EffectSize, hedges_g
from labelemb.stats.equivalence import Conclusion, Equivalence, conclude, equivalence
from labelemb.stats.paired import (
    ALPHA,
    ROUNDING,
    PairedDifference,
    holm,
    paired_difference,
    paired_values,
    smallest_p,
)


@dataclass(frozen=True)
class Pair:
    """Two methods on the seeds they share.

    Attributes:
        first: Name of the first method; the difference is its value minus that of the second.
        second: Name of the second method.
        difference: Mean difference with its interval; positive where the second has the lower value.
        p: p-value corrected for all pairs (Holm); None where a test is impossible.
        effect: Hedges' g; None where the differences are all the same, or there is a single one.
        won: Seeds in which the second method has the lower value.
        tied: Seeds with equal values.
        equivalence: Test of equivalence; None without a margin or with too few seeds.
        p_alike: Its p-value, corrected for all pairs.
        conclusion: Of the second method, lower values being better.
    """

    first: str
    second: str
    difference: PairedDifference
    p: float | None
    effect: EffectSize | None
    won: int
    tied: int
    equivalence: Equivalence | None
    p_alike: float | None
    conclusion: Conclusion


def all_pairs(
    values: Mapping[str, Mapping[int, float]], margin: float | None = None, resolution: float = 0.0
) -> list[Pair]:
    """Compare every pair of methods that share a seed.

    Args:
        values: Method -> seed -> value; lower is better (negate scores).
        margin: Half width of the region of equivalence, fixed beforehand; None: no test of equivalence.
        resolution: Smallest step of one difference, as in ``equivalence``.
    """
    return compare_pairs(list(combinations(values, 2)), values, margin, resolution)


def compare_pairs(
    chosen: list[tuple[str, str]],
    values: Mapping[str, Mapping[int, float]],
    margin: float | None = None,
    resolution: float = 0.0,
) -> list[Pair]:
    """Compare the chosen pairs, corrected for their number; arguments as in ``all_pairs``."""
    found = {pair: paired_difference(values[pair[0]], values[pair[1]]) for pair in chosen}
    differences = {f"{a}/{b}": difference for (a, b), difference in found.items() if difference}
    raw = {key: paired_values(values[a], values[b]) for (a, b) in chosen if (key := f"{a}/{b}") in differences}
    different = holm(testable(differences))
    tests = {key: equivalence(raw[key], margin, resolution) if margin is not None else None for key in raw}
    alike = holm({key: test.p for key, test in tests.items() if test})
    pairs = []
    for first, second in chosen:
        key = f"{first}/{second}"
        if key not in differences:
            continue
        ones, p, p_alike = raw[key], different.get(key), alike.get(key)
        pairs.append(
            Pair(
                first,
                second,
                differences[key],
                p,
                hedges_g(ones) if len(ones) > 1 else None,
                sum(value > ROUNDING for value in ones),
                sum(abs(value) <= ROUNDING for value in ones),
                tests[key],
                p_alike,
                conclude(differences[key].mean, p, p_alike),
            )
        )
    return pairs


def testable(differences: Mapping[str, PairedDifference]) -> dict[str, float]:
    """Return the p-values of the comparisons that could be significant after correction.

    A comparison with so few pairs that even its smallest possible p-value, times the number of comparisons, is not
    below 0.05 would only cost the others.
    """
    tested = {name: found.p for name, found in differences.items() if found.p is not None}
    return {name: p for name, p in tested.items() if len(tested) * smallest_p(differences[name].n) < ALPHA}
