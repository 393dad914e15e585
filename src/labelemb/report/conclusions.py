"""What a comparison allows to conclude, and what more seeds would buy: lines for a terminal and the page."""

from labelemb.report.comparison import MethodComparison, MethodResult
from labelemb.report.methods import method_title
from labelemb.stats.equivalence import Equivalence, check_margin, conclude, equivalence, resolution_of
from labelemb.stats.paired import holm
from labelemb.stats.sentences import conclusion_sentence, power_sentence


def conclusion_lines(comparison: MethodComparison, alike: float | None = None) -> list[str]:
    """Return one line per method: its conclusion against the reference, and the seeds that small differences need.

    Args:
        comparison: All methods compared with the reference.
        alike: Largest difference in points that counts as equivalent, fixed before looking at results; None for none.

    Raises:
        ConfigError: For a margin that is not above 0.
    """
    if alike is not None:
        check_margin(alike)
    tested = [result for result in comparison.others if result.paired]
    tests = {result.method: _equivalence(result, alike) for result in tested}
    corrected = holm({method: test.p for method, test in tests.items() if test})
    against = method_title(comparison.reference)
    lines = []
    for result in tested:
        paired = result.paired
        assert paired is not None
        said = conclude(paired.mean, result.p, corrected.get(result.method))
        sentence = conclusion_sentence(said, paired, tests[result.method], alike, len(tested))
        power = power_sentence(paired, tests=len(tested))
        lines.append(f"{comparison.experiment}: {method_title(result.method)} against {against}: {sentence}; {power}")
    return lines


def _equivalence(result: MethodResult, alike: float | None) -> Equivalence | None:
    if alike is None:
        return None
    values = list(result.differences.values())
    return equivalence(values, alike, resolution_of(values))
