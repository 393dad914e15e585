"""Power curve: the probability of showing a difference, by the number of paired seeds."""

from labelemb.report.charts.style import ACCENT, MUTED, RULE, WIDTH, Chart, new_figure, rc_context, set_labels
from labelemb.report.comparison import MethodResult
from labelemb.report.methods import method_title
from labelemb.stats.paired import ALPHA, seeds_for_any_finding
from labelemb.stats.power import POWER, SIZES, difference_power

_MOST_SEEDS = 60


def power_chart(name: str, experiment: str, result: MethodResult, tests: int) -> Chart | None:
    """Return the chart of one method, None where the spread over the seeds is unknown.

    Args:
        name: Name of the image files.
        experiment: Name of the experiment.
        result: The method; its spread is taken as the true one.
        tests: Number of comparisons that are corrected for.
    """
    paired = result.paired
    if paired is None or not paired.sd:
        return None
    fewest = seeds_for_any_finding(tests)
    seeds = range(fewest, max(_MOST_SEEDS, paired.n) + 1)
    title = f"{experiment}, {method_title(result.method)}"
    with rc_context():
        figure = new_figure(WIDTH, 2.9)
        axes = figure.subplots()
        axes.axhline(100 * POWER, color=RULE, linewidth=1)
        for size, style in zip(SIZES, (":", "--", "-"), strict=True):
            power = [_power(n, paired.sd, size, tests) for n in seeds]
            axes.plot(seeds, power, color=ACCENT, linestyle=style, linewidth=2, label=f"{size:g} points")
        axes.axvspan(0, fewest, color=RULE, alpha=0.6, linewidth=0)
        axes.axvline(paired.n, color=MUTED, linewidth=1)
        top = axes.get_xaxis_transform()
        axes.text(paired.n, 1.01, f"{paired.n} so far", size=8, color=MUTED, transform=top, va="bottom")
        axes.set_ylim(0, 102)
        axes.set_xlim(0, seeds[-1])
        set_labels(axes, f"{title}\n", "paired seeds", "probability to show it, %")
        # Below the axes: the curves rise through every corner, depending on the spread.
        axes.legend(frameon=False, title="true difference", ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.24))
    return Chart(name, figure, f"Power by number of seeds, {title}: {_described(paired.sd, paired.n, tests)}.")


def _described(sd: float, n: int, tests: int) -> str:
    return f"with {n} seeds " + ", ".join(f"{size:g} points {_power(n, sd, size, tests):.0f} %" for size in SIZES)


def _power(seeds: int, sd: float, difference: float, tests: int) -> float:
    """Return the power in percent: 0 with so few seeds that the corrected permutation test cannot be significant."""
    if seeds < seeds_for_any_finding(tests):
        return 0.0
    return 100 * difference_power(seeds, sd, difference, ALPHA / tests)
