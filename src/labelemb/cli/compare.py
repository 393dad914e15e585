"""``labelemb compare``: train what is missing of several methods and test their differences."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.console import Console

from labelemb.cli.auto_seeds import AutoSeeds, auto_seeds_of, train_until_decided
from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.run_plan import (
    Request,
    Variant,
    main_console,
    make_plan,
    request_of,
    run_plan,
    say_share,
    seeds_by_variant,
    variants_of,
)
from labelemb.cli.training_options import TrainingCommand, find_preset
from labelemb.errors import ConfigError
from labelemb.runs import find_runs
from labelemb.stats.equivalence import check_margin
from labelemb.stats.sentences import before_training
from labelemb.stats.sequential import BUDGET
from labelemb.training.progress import say

# Whether a learned label embedding is worth more than uniform smoothing is always part of the question.
QUESTION = ("label_smoothing", "label_embedding")


def _add_arguments(parser: Parser) -> None:
    text = "method that each of the others is compared with; default: the first"
    parser.add_argument("--reference", type=str, help=text)
    parser.add_argument("--report", type=str, help="folder for the report; default: OUT/NAME/report")
    parser.add_argument(
        "--alike",
        type=float,
        help="test for equivalence, too: largest difference in percentage points that counts as none",
    )
    parser.add_argument(
        "--within",
        type=float,
        help="the same margin for --seeds auto, which adds seeds until each comparison is decided",
    )
    parser.add_argument(
        "--budget", type=int, help=f"maximum number of seeds per method for --seeds auto; default: {BUDGET}"
    )


COMPARE = TrainingCommand(
    "compare",
    "Train {preset} with several methods, skipping finished runs, and test their differences: {summary}",
    """\
example:
  $ labelemb compare digits --seeds 8 --epochs 15 --jobs 2
  ...
  - digits: label embedding against one-hot: better by 2.12 (1.45 to 2.79) points, 8 paired seeds, p = 0.016.
  - digits: label smoothing against one-hot: better by 1.88 (1.42 to 2.34) points, 8 paired seeds, p = 0.016.

  Label embedding and label smoothing, compared with each other:
  - digits: label embedding against label smoothing: no difference could be shown: 0.24 (-0.07 to 0.56) points, ...

  Report: /home/you/runs/digits/report/report.html

  Runs with the same seed start from the same weights and see the same batches, so differences are paired. A test
  needs at least 6 seeds for one difference, 7 for two or three, 8 for four. Several presets, separated by commas, are
  compared one after the other; the report in OUT/report also judges all of them together.
""",
    method="cross_entropy,label_smoothing,label_embedding",
    auto_seeds=True,
    add_arguments=_add_arguments,
)


@dataclass(frozen=True)
class Analysis:
    """How the results of several ways to train are compared.

    Attributes:
        reference: Name of the variant that the others are compared with.
        report: Folder for the report; None: ``report`` in the runs' own folder.
        alike: Largest difference in points that counts as equivalent; None: no test of equivalence.
        auto: When to stop adding seeds; None: train the seeds of the request.
    """

    reference: str
    report: str | None = None
    alike: float | None = None
    auto: AutoSeeds | None = None


def split_presets(arguments: Sequence[str]) -> list[list[str]]:
    """Return the arguments once for each preset of a list separated by commas.

    Raises:
        ConfigError: For --name with several presets: their runs would share a folder.

    Example:
        >>> split_presets(["compare", "digits,mnist-mlp", "--seeds", "8"])
        [['compare', 'digits', '--seeds', '8'], ['compare', 'mnist-mlp', '--seeds', '8']]
    """
    command = arguments.index("compare")
    listed = find_preset(arguments[command + 1 :])
    names = list(dict.fromkeys(filter(None, (name.strip() for name in (listed or "").split(",")))))
    if listed is None or not names:
        return [list(arguments)]
    place = arguments.index(listed, command + 1)
    given = next((argument for argument in arguments if argument.partition("=")[0] == "--name"), None)
    if given and len(names) > 1:
        raise ConfigError("name", f"a single preset with {given}", repr(listed), "Each preset has its own folder")
    return [[*arguments[:place], name, *arguments[place + 1 :]] for name in names]


def run(*chosen: Any) -> int:
    """Train and compare each preset's methods with the reference, and label embedding with label smoothing."""
    planned = [_comparison(one) for one in chosen]
    if len(planned) == 1:
        return train_and_report(*planned[0])
    for request, variants, _ in planned:
        for one in make_plan(replace(request, seeds=request.seeds[:1]), variants):
            one.check()  # of every preset, before the first is trained
    console = main_console()
    code = max([train(request, variants, analysis, console) for request, variants, analysis in planned])
    execution = planned[0][0].execution
    if execution.is_share:
        return say_share(execution, code, console)
    folders = [folder for request, variants, _ in planned for folder in _folders(request, variants)]
    out = Path(chosen[0].report or planned[0][0].folder.parent / "report")
    _report(folders, out, planned[0][0], planned[0][2], console)
    return code


def _comparison(chosen: Any) -> tuple[Request, list[Variant], Analysis]:
    """Return the request, its variants and their analysis. Raises ConfigError."""
    auto = auto_seeds_of(chosen)
    if auto:
        chosen.seeds = auto.budget
    request = request_of(chosen)
    variants = variants_of(chosen.method, request.recipe.config.methods)
    names = [variant.name for variant in variants]
    reference = chosen.reference or names[0]
    if reference not in names:
        raise ConfigError("reference", f"one of the methods ({', '.join(names)})", repr(reference))
    if len(variants) < 2:
        hint = "For a single method: labelemb train"
        raise ConfigError("method", "two or more methods, separated by commas", repr(chosen.method), hint)
    if chosen.alike is not None:
        check_margin(chosen.alike)
    alike = auto.within if auto else chosen.alike
    return request, variants, Analysis(reference, chosen.report, alike, auto)


def train(request: Request, variants: Sequence[Variant], analysis: Analysis, console: Console) -> int:
    """Train the missing runs of all variants; return 1 when a run failed."""
    plan = make_plan(request, variants)
    if analysis.auto:
        code = train_until_decided(request, variants, analysis.reference, analysis.auto, console)
    else:
        say(console, before_training(len(request.seeds), len(variants) - 1))
        code = run_plan(plan, request.execution, console)
    if not (console.quiet or request.execution.is_share):
        asked = {planned.run.path for planned in plan}
        if older := [run for run in find_runs(_folders(request, variants)) if run.path not in asked]:
            say(console, f"Also compared, from earlier commands: {seeds_by_variant(older)}")
    return code


def train_and_report(request: Request, variants: Sequence[Variant], analysis: Analysis) -> int:
    """Train the missing runs of all variants, print the comparison, write the report; return 1 when a run failed."""
    console = main_console()
    code = train(request, variants, analysis, console)
    if request.execution.is_share:
        return say_share(request.execution, code, console)
    out = Path(analysis.report) if analysis.report else request.folder / "report"
    _report(_folders(request, variants), out, request, analysis, console)
    return code


def _folders(request: Request, variants: Sequence[Variant]) -> list[Path]:
    """Return the folders of the variants that have runs: not where every run failed at once."""
    folders = [request.folder / variant.name for variant in variants]
    return [folder for folder in folders if any(folder.glob("*/config.yaml"))]


def _report(folders: Sequence[Path], out: Path, request: Request, analysis: Analysis, console: Console) -> None:
    """Write the report and print its tables, in the main process only."""
    if console.quiet:
        return
    from labelemb.report import make_report  # matplotlib takes a second to import

    made = make_report(folders, out, reference=analysis.reference, alike=analysis.alike)
    say(console, made.text)
    _answer_question(folders, analysis, console)
    say(console, f"Report: {request.publish_report(out)}/{made.page.name}")


def _answer_question(folders: Sequence[Path], analysis: Analysis, console: Console) -> None:
    """Print the comparison of label embedding with label smoothing where the reference is a third method."""
    from labelemb.report.comparison import compare_methods
    from labelemb.report.conclusions import conclusion_lines
    from labelemb.report.experiment import load_experiments
    from labelemb.report.findings import findings

    for parent in dict.fromkeys(folder.parent for folder in folders):
        pair = [folder for folder in folders if folder.parent == parent and folder.name in QUESTION]
        if analysis.reference in QUESTION or len(pair) < len(QUESTION):
            continue
        say(console, "Label embedding and label smoothing, compared with each other:")
        for experiment in load_experiments(pair)[0]:
            lines = findings(experiment, QUESTION[0])
            if analysis.alike is not None and (comparison := compare_methods(experiment, QUESTION[0])):
                lines += conclusion_lines(comparison, analysis.alike)
            for line in lines:
                say(console, f"- {line}")
        console.print()


COMMAND = Command(COMPARE.parser, run, split_presets)
