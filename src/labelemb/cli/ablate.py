"""``labelemb ablate``: train without each term of the label-embedding loss in turn."""

from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.compare import Analysis, train_and_report
from labelemb.cli.parser import Parser
from labelemb.cli.run_plan import Variant, request_of
from labelemb.cli.training_options import TrainingCommand
from labelemb.errors import ConfigError


def _add_arguments(parser: Parser) -> None:
    parser.add_argument("--report", type=str, help="folder for the report; default: OUT/NAME-ablation/report")


ABLATE = TrainingCommand(
    "ablate",
    "Train {preset} with all terms of the label-embedding loss, and without each of them in turn: {summary}",
    """\
example:
  $ labelemb ablate digits --seeds 8 --epochs 15 --jobs 2
  ...
  - digits-ablation: label embedding without aux against label embedding: no difference could be shown: ...
  - digits-ablation: label embedding without cap against label embedding: no difference could be shown: ...
  - digits-ablation: label embedding without embedding against label embedding: no difference could be ...
  - digits-ablation: label embedding without hard against label embedding: no difference could be shown: ...
  - digits-ablation: label embedding without soft against label embedding: worse by 2.16 (1.55 to 2.77) ...

  Report: /home/you/runs/digits-ablation/report/report.html
""",
    methods="none",
    add_arguments=_add_arguments,
)


def run(chosen: Any) -> int:
    """Train all variants and compare each with the full loss."""
    terms = [term.strip() for term in chosen.terms.split(",")]
    if len(terms) < 2:
        raise ConfigError("terms", "two or more terms, separated by commas", repr(chosen.terms))
    variants = [Variant("label_embedding", {"method": "label_embedding"})]
    for term in terms:
        others = ",".join(other for other in terms if other != term)
        variants.append(Variant(f"label_embedding-without-{term}", {"method": "label_embedding", "terms": others}))
    return train_and_report(request_of(chosen, "-ablation"), variants, Analysis("label_embedding", chosen.report))


COMMAND = Command(ABLATE.parser, run)
