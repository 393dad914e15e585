"""The charts of a report, grouped into panels with a choice each."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from labelemb.report.agreement import AgreementReport
from labelemb.report.charts.agreement import heatmaps_chart, scatter_chart
from labelemb.report.charts.curves import TEST_LABEL, Curves, Quantity, curves_chart, curves_of, learning_rate_curves
from labelemb.report.charts.intervals import intervals_chart
from labelemb.report.charts.label_map import map_chart, tree_chart
from labelemb.report.charts.matrix import matrix_chart
from labelemb.report.charts.power import power_chart
from labelemb.report.charts.several import critical_difference_chart, profile_chart
from labelemb.report.charts.style import Chart, Palette, svg_text
from labelemb.report.comparison import MethodComparison
from labelemb.report.examples import GroupPredictions
from labelemb.report.experiment import Experiment, Group
from labelemb.report.labels import MAX_LABELS, LabelView, Order
from labelemb.report.methods import method_title
from labelemb.report.metric import TEXT_METRICS
from labelemb.report.profiles import SeveralExperiments
from labelemb.report.wording import mean_of_seeds

LEARNING_RATE = "learning_rate"
_TRAINING = (
    Quantity("valid_error", "validation error, %", is_error=True),
    Quantity("train_error", "training error, %", is_error=True),
)
_TEST = Quantity("test_error", f"{TEST_LABEL}, %", is_error=True)
_DEVELOPMENT = (
    Quantity("true_label_mass", "mean soft-label probability of the true label", (0, 1)),
    Quantity("label_entropy", "mean entropy of the soft labels, nats", (0, None)),
)


@dataclass(frozen=True)
class Choice:
    """One of several charts that share a place in the page.

    Attributes:
        name: Name in the list of choices.
        chart: The chart.
        svg: Its SVG.
        has_files: Whether it is also written as image files.
    """

    name: str
    chart: Chart
    svg: str = field(repr=False)
    has_files: bool


@dataclass(frozen=True)
class Panel:
    """A place in the page.

    Attributes:
        section: Section of the page.
        experiment: Name of the experiment.
        choices: The charts; the first is displayed at the start.
    """

    section: str
    experiment: str
    choices: list[Choice]


def interval_panels(
    comparisons: Sequence[MethodComparison], palette: Palette, alike: float | None = None
) -> list[Panel]:
    """Return the interval plots, one for all experiments that are judged by the same metric and reference.

    A panel of several experiments has no name of an experiment.

    Args:
        comparisons: Methods of each experiment compared.
        palette: Colors of the methods.
        alike: Margin of equivalence in points, drawn in the plots.
    """
    groups: dict[tuple[str, str], list[MethodComparison]] = {}
    for one in comparisons:
        groups.setdefault((one.primary.key, one.reference), []).append(one)
    panels = []
    for (key, reference), found in groups.items():
        alone = found[0].experiment if len(found) == 1 else ""
        name = file_slug(f"intervals-{alone or f'{key}-against-{reference}'}")
        if chart := intervals_chart(name, found, palette, alike):
            panels.append(Panel("findings", alone, [_choice("", chart)]))
    return panels


def curve_panels(experiment: Experiment, palette: Palette) -> list[Panel]:
    """Return the curves by epoch: errors, soft labels, loss terms and learning rate."""
    slug = file_slug(experiment.name)
    curves = _curve_choices(experiment, _error_quantities(experiment), palette, f"curves-{slug}")
    development = _curve_choices(experiment, _DEVELOPMENT, palette, f"development-{slug}")
    terms = _curve_choices(experiment, _loss_quantities(experiment), palette, f"loss-{slug}")
    sections = {"curves": curves, "development": development, "loss": terms}
    return [Panel(section, experiment.name, found) for section, found in sections.items() if found]


def power_panel(comparison: MethodComparison) -> Panel | None:
    """Return the power curves, a choice per method; None where the spread over the seeds is unknown."""
    name, tests = f"power-{file_slug(comparison.experiment)}", len(comparison.others)
    found = [(result, power_chart(name, comparison.experiment, result, tests)) for result in comparison.others]
    charts = [(method_title(result.method), chart) for result, chart in found if chart]
    choices = [_choice(title, chart, has_files=not number) for number, (title, chart) in enumerate(charts)]
    return Panel("power", comparison.experiment, choices) if choices else None


def several_panels(found: SeveralExperiments, palette: Palette) -> list[Panel]:
    """Return the charts of several experiments together."""
    profile = profile_chart("profile", found.profiles, found.thresholds, found.reference, palette)
    charts = [profile]
    if found.ranks:
        charts.append(critical_difference_chart("critical-difference", found.ranks, palette))
    return [Panel("several", "", [_choice("", chart)]) for chart in charts]


def confusion_panel(experiment: str, predictions: Sequence[GroupPredictions]) -> Panel | None:
    """Return the confusion matrices, a choice per method; None without any that can be displayed."""
    choices: list[Choice] = []
    for found in predictions:
        names = found.label_names
        confusion = found.confusion()
        if 1 < len(names) <= MAX_LABELS:
            name = f"confusion-{file_slug(experiment)}-{file_slug(found.method)}"
            title = f"{experiment}, {method_title(found.method)}, {mean_of_seeds(len(found.by_seed))}"
            axis_names = ("true label", "predicted label", "% of the examples of a label")
            sentence = "{value} % of the test examples of “{row}” are predicted as “{column}”"
            chart = matrix_chart(name, confusion, names, title, axis_names, sentence)
            choices.append(_choice(method_title(found.method), chart, has_files=not choices))
    return Panel("confusion", experiment, choices) if choices else None


def people_panel(experiment: str, found: Mapping[str, AgreementReport]) -> Panel | None:
    """Return scatter plots and heat maps of the agreement with people, two choices per method; None without any.

    Args:
        experiment: Name of the experiment.
        found: Method -> agreement.
    """
    choices: list[Choice] = []
    for method, report in found.items():
        slug, title = f"{file_slug(experiment)}-{file_slug(method)}", f"{experiment}, {method_title(method)}"
        drawn = (report.names, report.similarity, report.human, report.groups, title)
        choices.append(_choice(f"{method_title(method)}: scatter plot", scatter_chart(f"people-{slug}", *drawn)))
        charts = heatmaps_chart(f"people-heatmaps-{slug}", *drawn)
        choices.append(_choice(f"{method_title(method)}: heat maps", charts))
    return Panel("people", experiment, choices) if choices else None


def label_panels(view: LabelView, order: Order, name: str) -> list[Panel]:
    """Return heat map, map and tree of the soft labels of a method.

    Args:
        view: The labels.
        order: Order of the heat map that is displayed first and written to files.
        name: Part of the file names.
    """
    heat_maps: list[Choice] = []
    for each in (order, "given" if order == "cluster" else "cluster"):
        positions = view.order("cluster" if each == "cluster" else "given")
        matrix = 100 * view.soft_labels[positions][:, positions]
        title = f"{view.source}, {'sorted by cluster' if each == 'cluster' else 'in the given order'}"
        axis_names = ("soft label of", "probability of", "probability, %")
        sentence = "The soft label of “{row}” gives “{column}” {value} %"
        names = [view.names[position] for position in positions]
        chart = matrix_chart(f"heatmap-{name}", matrix, names, title, axis_names, sentence)
        heat_maps.append(_choice(f"order {'by cluster' if each == 'cluster' else 'as given'}", chart, not heat_maps))
    return [
        Panel("heatmap", view.experiment, heat_maps),
        Panel("map", view.experiment, [_choice("", map_chart(f"map-{name}", view))]),
        Panel("tree", view.experiment, [_choice("", tree_chart(f"dendrogram-{name}", view))]),
    ]


def file_slug(name: str) -> str:
    """Return a name without characters that file names cannot hold."""
    return re.sub(r"[^\w.-]+", "-", name)


def _choice(name: str, chart: Chart, has_files: bool = True) -> Choice:
    return Choice(name, chart, svg_text(chart.figure), has_files)


def _curve_choices(experiment: Experiment, quantities: Sequence[Quantity], palette: Palette, name: str) -> list[Choice]:
    choices: list[Choice] = []
    for quantity in quantities:
        found = [curves for group in experiment.groups.values() if (curves := _curves(group, quantity))]
        if any(len(curves.mean) > 1 for curves in found):  # one point is not a curve
            chart = curves_chart(name, experiment, quantity, found, palette)
            choices.append(_choice(quantity.name, chart, not choices))
    return choices


def _curves(group: Group, quantity: Quantity) -> Curves | None:
    return learning_rate_curves(group) if quantity.key == LEARNING_RATE else curves_of(group, quantity.key)


def _error_quantities(experiment: Experiment) -> list[Quantity]:
    """Return the quantities of the first panel; a test set that is evaluated only at the end has no curve."""
    if not experiment.is_text:
        runs = [run for group in experiment.groups.values() for run in group.runs]
        only_at_end = all(len(run.curve(_TEST.key)) <= 1 < len(run.history) for run in runs)
        return list(_TRAINING) if only_at_end else [_TEST, *_TRAINING]
    primary = experiment.primary_metric
    metrics = [primary, *(metric for metric in TEXT_METRICS if metric not in (primary,) and metric.key != "error")]
    return [*(Quantity(f"valid_{metric.key}", f"validation {metric.title}") for metric in metrics), *_TRAINING]


def _loss_quantities(experiment: Experiment) -> list[Quantity]:
    terms = dict.fromkeys(
        term
        for group in experiment.groups.values()
        for run in group.runs
        for term in run.history[-1].get("terms") or {}
    )
    quantities = [Quantity(f"terms.{term}", f"loss term “{term}”") for term in terms]
    return [*quantities, Quantity(LEARNING_RATE, "learning rate", with_seeds=False)]
