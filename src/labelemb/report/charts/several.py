"""Charts of several experiments together: critical-difference diagram and performance profile."""

from collections.abc import Mapping, Sequence

from labelemb.report.charts.style import INK, MUTED, RULE, WIDTH, Chart, Palette, new_figure, rc_context, set_labels
from labelemb.report.methods import method_title
from labelemb.stats.ranks import CriticalDifference
from labelemb.stats.several import Estimate


def critical_difference_chart(name: str, found: CriticalDifference, palette: Palette) -> Chart:
    """Return the diagram: average rank of each method, and bars over those that cannot be told apart."""
    methods = list(found.ranks)
    with rc_context():
        figure = new_figure(WIDTH, 1.5 + 0.26 * len(methods) + 0.14 * len(found.groups))
        axes = figure.subplots()
        for row, method in enumerate(methods):
            axes.plot([found.ranks[method]], [row], "o", color=palette.color(method), markersize=7)
        for number, group in enumerate(found.groups):
            ends = [found.ranks[group[0]], found.ranks[group[-1]]]
            axes.plot(ends, [-0.8 - 0.5 * number] * 2, color=INK, linewidth=3, solid_capstyle="round")
        axes.set_yticks(range(len(methods)), [method_title(method) for method in methods])
        axes.set_ylim(len(methods) - 0.4, -1.2 - 0.5 * max(len(found.groups), 1))
        axes.tick_params(axis="y", length=0, labelcolor=INK)
        axes.grid(axis="y", color=RULE, linewidth=0.6)
        axes.spines["left"].set_visible(False)
        title = f"Average rank, {found.tasks} experiments"
        set_labels(axes, title, "average rank; a bar: no difference shown")
    ranks = ", ".join(f"{method_title(method)} {rank:.2f}" for method, rank in found.ranks.items())
    return Chart(name, figure, f"Average ranks over {found.tasks} experiments: {ranks}.")


def profile_chart(
    name: str, profiles: Mapping[str, Sequence[Estimate]], thresholds: Sequence[float], reference: str, palette: Palette
) -> Chart:
    """Return the performance profile: the share of runs that improve by at least so many percent.

    Args:
        name: Name of the image files.
        profiles: Method -> share at each threshold with its interval.
        thresholds: Improvements in percent of the reference.
        reference: Method that the improvements refer to.
        palette: Colors of the methods.
    """
    with rc_context():
        figure = new_figure(WIDTH, 3.0 + 0.18 * -(-len(profiles) // 2))
        axes = figure.subplots()
        for method, shares in profiles.items():
            color = palette.color(method)
            axes.plot(thresholds, [100 * s.value for s in shares], color=color, linewidth=2, label=method_title(method))
            low, high = [100 * s.low for s in shares], [100 * s.high for s in shares]
            axes.fill_between(thresholds, low, high, color=color, alpha=0.12, linewidth=0)
        axes.axvline(0, color=MUTED, linewidth=1)
        axes.set_ylim(0, 101)
        figure.legend(frameon=False, loc="outside lower left", ncols=2)
        set_labels(axes, "Performance profile", f"improvement over {method_title(reference)}, %", "runs, %")
    at_zero = min(range(len(thresholds)), key=lambda i: abs(thresholds[i]))
    said = ", ".join(f"{method_title(m)} {100 * shares[at_zero].value:.0f} %" for m, shares in profiles.items())
    return Chart(name, figure, f"Share of runs that are at least as good as {method_title(reference)}: {said}.")
