"""labelemb demo: one-hot against label embedding on data that is already there, in about a minute."""

import os
from pathlib import Path
from types import SimpleNamespace

from rich.console import Console

from labelemb.cli.arguments import Parser
from labelemb.cli.plan import make_plan, methods_of, run_plan
from labelemb.presets import read_preset
from labelemb.tasks.vision.config import VisionConfig

SEEDS = 6  # the fewest with which a test can show anything


def demo(arguments: list[str]) -> int:
    """Train both methods on scikit-learn's digits and report."""
    parser = Parser(
        "labelemb demo",
        f"Train one-hot and label-embedding models on small digits (no download), {SEEDS} seeds each, and compare.",
        "a session:\n  $ labelemb demo\n  ...\n  The page: /home/you/demo/report/report.html",
    )
    parser.add_argument("--out", type=str, default="demo", help="where run folders and the report go")
    out = Path(parser.parse(arguments).out)
    console = Console()
    console.print(
        f"Training on 1,259 images of digits: one-hot against label embedding, {SEEDS} seeds each.",
        highlight=False,
        soft_wrap=True,
    )
    preset = read_preset("digits")
    config = VisionConfig(**preset.values)
    overrides = SimpleNamespace(**{name: getattr(config, name) for name in config.__dataclass_fields__})
    plan = make_plan(
        preset, methods_of("cross_entropy,label_embedding"), range(SEEDS), out / preset.name, None, overrides
    )
    code = run_plan(plan, jobs=min(2, os.cpu_count() or 1), threads=1, console=console)
    from labelemb.report import make_report

    report = make_report([out / preset.name], out / "report")
    console.print(report.text, highlight=False, markup=False, soft_wrap=True)
    console.print(f"\nThe page: {report.page.resolve()}", highlight=False, soft_wrap=True)
    return code
