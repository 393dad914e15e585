"""What a comparison allows to conclude, and what more seeds would buy: for a terminal and the page."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelemb.report.comparison import MISSING, MethodComparison, MethodResult
from labelemb.report.methods import method_title
from labelemb.stats.equivalence import (
    Conclusion,
    Equivalence,
    check_margin,
    conclude,
    equivalence,
    resolution_of,
)
from labelemb.stats.paired import PairedDifference, holm
from labelemb.stats.power import SIZES, seeds_needed
from labelemb.stats.sentences import conclusion_sentence, number, power_sentence, seeds_cell


@dataclass(frozen=True)
class MethodConclusion:
    """What the comparison of a method with the reference shows.

    Attributes:
        method: Name of the method.
        conclusion: Better, worse, alike or undecided.
        sentence: The same with its numbers.
        difference: Paired difference that it follows from.
        tests: Number of comparisons that are corrected for.
    """

    method: str
    conclusion: Conclusion
    sentence: str
    difference: PairedDifference
    tests: int


def method_conclusions(comparison: MethodComparison, alike: float | None = None) -> list[MethodConclusion]:
    """Return the conclusion of each method that shares a seed with the reference.

    Args:
        comparison: All methods compared with the reference.
        alike: Largest difference in points that counts as equivalent, fixed before looking at results; None for none.

    Raises:
        ConfigError: For a margin that is not above 0.
    """
    if alike is not None:
        check_margin(alike)
    tested = [(result, result.paired) for result in comparison.others if result.paired]
    tests = {result.method: _equivalence(result, alike) for result, _ in tested}
    corrected = holm({method: test.p for method, test in tests.items() if test})
    found = []
    for result, paired in tested:
        said = conclude(paired.mean, result.p, corrected.get(result.method))
        sentence = conclusion_sentence(said, paired, tests[result.method], alike, len(tested))
        found.append(MethodConclusion(result.method, said, sentence, paired, len(tested)))
    return found


def conclusion_lines(comparison: MethodComparison, alike: float | None = None) -> list[str]:
    """Return one line per method: its conclusion, and the seeds that small differences need; see above."""
    against = method_title(comparison.reference)
    return [
        f"{comparison.experiment}: {method_title(found.method)} against {against}: {found.sentence}; "
        f"{power_sentence(found.difference, tests=found.tests)}"
        for found in method_conclusions(comparison, alike)
    ]


def seeds_table(conclusions: Sequence[MethodConclusion]) -> list[list[str]]:
    """Return the cells of a table of the seeds that differences of some sizes need: a header, then a row per method."""
    rows = []
    for found in conclusions:
        sd, n = found.difference.sd, found.difference.n
        cells = [seeds_cell(seeds_needed(sd, n, size, found.tests)) if sd else MISSING for size in SIZES]
        rows.append([method_title(found.method), str(n), MISSING if sd is None else f"{sd:.2f}", *cells])
    return [["method", "seeds so far", "SD of a difference", *(f"{number(size)} points" for size in SIZES)], *rows]


def _equivalence(result: MethodResult, alike: float | None) -> Equivalence | None:
    if alike is None:
        return None
    values = list(result.differences.values())
    return equivalence(values, alike, resolution_of(values))
