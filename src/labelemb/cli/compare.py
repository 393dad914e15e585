"""``labelemb compare``: train what is missing of several methods and test their differences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.run_plan import (
    Request,
    Variant,
    main_console,
    make_plan,
    request_of,
    run_plan,
    say,
    seeds_by_variant,
    variants_of,
)
from labelemb.cli.training_options import TrainingCommand
from labelemb.errors import ConfigError
from labelemb.runs import find_runs

# Whether a learned label embedding is worth more than uniform smoothing is always part of the question.
QUESTION = ("label_smoothing", "label_embedding")


def _add_arguments(parser: Parser) -> None:
    text = "method that each of the others is compared with; without it the first"
    parser.add_argument("--reference", type=str, help=text)
    parser.add_argument("--report", type=str, help="folder for the report; without it OUT/NAME/report")


COMPARE = TrainingCommand(
    "compare",
    "Train {preset} with several methods, skipping finished runs, and test their differences: {summary}",
    """\
example:
  $ labelemb compare digits --seeds 6 --epochs 15 --jobs 2
  SESSION

  Runs with the same seed start from the same weights and see the same batches, so differences are paired. A test
  needs at least 6 seeds, and more for several methods.
""",
    method="cross_entropy,label_smoothing,label_embedding",
    add_arguments=_add_arguments,
)


def run(chosen: Any) -> int:
    """Train, compare each method with the reference, and label embedding with label smoothing."""
    request = request_of(chosen)
    variants = variants_of(chosen.method, request.recipe.config.methods)
    names = [variant.name for variant in variants]
    reference = chosen.reference or names[0]
    if reference not in names:
        raise ConfigError("reference", f"one of the methods ({', '.join(names)})", repr(reference))
    if len(variants) < 2:
        hint = "For a single method: labelemb train"
        raise ConfigError("method", "two or more methods, separated by commas", repr(chosen.method), hint)
    return train_and_report(request, variants, reference, chosen.report)


def train_and_report(request: Request, variants: Sequence[Variant], reference: str, report: str | None) -> int:
    """Train the missing runs of all variants, print the comparison, write the report; return 1 when a run failed.

    Args:
        request: What was asked for.
        variants: The ways to train that are compared.
        reference: Name of the variant that the others are compared with.
        report: Folder for the report; None: ``report`` in the runs' own folder.
    """
    console = main_console()
    plan = make_plan(request, variants)
    code = run_plan(plan, request.jobs, request.threads, console)
    if console.quiet:
        return code
    from labelemb.report import make_report  # matplotlib takes a second to import

    folders = [request.folder / variant.name for variant in variants]
    folders = [folder for folder in folders if any(folder.glob("*/config.yaml"))]  # not where every run failed at once
    asked = {planned.run.path for planned in plan}
    if older := [run for run in find_runs(folders) if run.path not in asked]:
        say(console, f"Also compared, from earlier commands: {seeds_by_variant(older)}")
    made = make_report(folders, Path(report) if report else request.folder / "report", reference=reference)
    say(console, made.text)
    _answer_question(folders, reference, console)
    say(console, f"The page: {made.page.resolve()}")
    return code


def _answer_question(folders: Sequence[Path], reference: str, console: Console) -> None:
    """Print the comparison of label embedding with label smoothing where the reference is a third method."""
    pair = [folder for folder in folders if folder.name in QUESTION]
    if reference in QUESTION or len(pair) < len(QUESTION):
        return
    from labelemb.report.experiment import load_experiments
    from labelemb.report.findings import findings

    experiments, _ = load_experiments(pair)
    for line in (line for experiment in experiments for line in findings(experiment, QUESTION[0])):
        say(console, f"- {line}")
    console.print()


COMMAND = Command(COMPARE.parser, run)
