"""labelemb compare and ablate: train what is missing, then say what each way to train is worth beside the first."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelemb.cli.arguments import Parser
from labelemb.cli.plan import Variant, Verb, data_of, main_console, make_plan, methods_of, run_plan, seeds_of
from labelemb.errors import ConfigError
from labelemb.presets import Preset


def _add_report(parser: Parser) -> None:
    parser.add_argument("--report", type=str, default="report", help="folder for the report")


def _add_reference(parser: Parser) -> None:
    parser.add_argument(
        "--reference", type=str, default=None, help="method that the others are compared with; else the first"
    )
    _add_report(parser)


COMPARE = Verb(
    "labelemb compare",
    "Does it help? Train {preset} in several methods, whatever runs are missing, and compare them: {summary}",
    """\
a session:
  $ labelemb compare digits --method cross_entropy,label_smoothing,label_embedding --seeds 6 --epochs 15 --jobs 2
  ...
  - digits: label embedding against one-hot: better by 1.90 (1.23 to 2.58) points, 6 paired seeds, ...
  - digits: label smoothing against one-hot: better by 1.76 (1.13 to 2.40) points, 6 paired seeds, ...

  The page: /home/you/report/report.html

  Runs with one seed start from the same weights and see the same batches. A test needs 6 seeds, and more
  for several methods.
""",
    method="cross_entropy,label_smoothing,label_embedding",
    options=_add_reference,
)

ABLATE = Verb(
    "labelemb ablate",
    "What is each term of the label-embedding loss worth? Train {preset} with all of them, and without each in turn",
    """\
a session:
  $ labelemb ablate digits --seeds 6 --epochs 15 --jobs 2
  ...
  - digits-ablation: label embedding without soft against label embedding: worse by 1.95 (1.37 to 2.53) points, ...

  The page: /home/you/report/report.html
""",
    methods="none",
    options=_add_report,
)


def compare(arguments: list[str]) -> int:
    """labelemb compare PRESET."""
    preset, chosen = COMPARE.parse(arguments)
    variants = methods_of(chosen.method)
    reference = chosen.reference or variants[0].name
    if reference not in {variant.name for variant in variants}:
        raise ConfigError("reference", f"one of the methods ({', '.join(v.name for v in variants)})", repr(reference))
    if len(variants) < 2:
        raise ConfigError(
            "method", "two methods or more, commas between", repr(chosen.method), "One alone: labelemb train"
        )
    return _train_and_report(preset, variants, Path(chosen.out) / preset.name, reference, chosen)


def ablate(arguments: list[str]) -> int:
    """labelemb ablate PRESET."""
    preset, chosen = ABLATE.parse(arguments)
    terms = [term.strip() for term in chosen.terms.split(",")]
    if len(terms) < 2:
        raise ConfigError("terms", "two terms or more, commas between", repr(chosen.terms))
    variants = [Variant("label_embedding", {"method": "label_embedding"})]
    for term in terms:
        left = ",".join(other for other in terms if other != term)
        variants.append(Variant(f"label_embedding-without-{term}", {"method": "label_embedding", "terms": left}))
    return _train_and_report(preset, variants, Path(chosen.out) / f"{preset.name}-ablation", "label_embedding", chosen)


def _train_and_report(preset: Preset, variants: Sequence[Variant], folder: Path, reference: str, chosen: Any) -> int:
    """Train what is missing of a matrix, print the comparison and write the report; return the exit code."""
    console = main_console()
    plan = make_plan(preset, variants, seeds_of(chosen, preset), folder, data_of(chosen), chosen)
    code = run_plan(plan, chosen.jobs, chosen.threads, console)
    if console.quiet:
        return code
    from labelemb.report import make_report  # matplotlib takes a second to import

    places = [folder / variant.name for variant in variants]
    places = [place for place in places if any(place.glob("*/config.yaml"))]  # not where each run failed at once
    made = make_report(places, Path(chosen.report), reference=reference)
    console.print(made.text, highlight=False, markup=False, soft_wrap=True)
    console.print(f"The page: {made.page.resolve()}", highlight=False, markup=False, soft_wrap=True)
    return code
