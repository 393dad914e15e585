"""labelemb train, and the published scripts, which are the same under other option names."""

from collections.abc import Sequence
from pathlib import Path

from labelemb.cli.arguments import Parser
from labelemb.cli.plan import Verb, data_of, main_console, make_plan, methods_of, run_plan, seeds_of
from labelemb.errors import ConfigError
from labelemb.training.multirun import PlannedRun

TRAIN = Verb(
    "labelemb train",
    "Train {preset}: {summary}",
    """\
a session:
  $ labelemb train mnist-mlp --method cross_entropy,label_embedding --seeds 20 --jobs 2 --data ~/mnist
  mnist-mlp/cross_entropy/seed-0  valid_error 1.52 %  test_error 2.15 %  (last epoch; 38 s)
  ...
  Runs are in runs/mnist-mlp. Look at them: labelemb report runs/mnist-mlp

  Stop it at any moment; the same command goes on where it was.
  Several processes or machines: accelerate launch -m labelemb train mnist-cnn
""",
)


def train(arguments: list[str], verb: Verb = TRAIN) -> int:
    """Train the runs that the arguments ask for; return the exit code (1 when a run failed)."""
    preset, chosen = verb.parse(arguments)
    folder = Path(chosen.out) / preset.name
    plan = make_plan(preset, methods_of(chosen.method), seeds_of(chosen, preset), folder, data_of(chosen), chosen)
    console = main_console()
    if "resume" in chosen and chosen.resume:
        _expect_something_to_resume(plan)
    code = run_plan(plan, chosen.jobs, chosen.threads, console)
    where = f"Runs are in {folder}. Look at them: labelemb report {folder}"
    console.print(where, highlight=False, markup=False, soft_wrap=True)
    return code


def add_resume(parser: Parser) -> None:
    """Add the published --resume."""
    resume_help = "go on with a run that must be there; without it one that is there goes on too"
    parser.add_argument("--resume", "-r", action="store_true", help=resume_help)


def _expect_something_to_resume(plan: Sequence[PlannedRun]) -> None:
    """Raise ConfigError for a run that has no checkpoint, naming those there are: it would start anew, unasked."""
    for planned in plan:
        if not planned.run.last_checkpoint.is_file():
            others = sorted(planned.run.path.parent.glob(f"*/{planned.run.last_checkpoint.name}"))
            there = ", ".join(str(other.parent) for other in others)
            raise ConfigError(
                "resume",
                f"a run to go on with in {planned.run.path}",
                "none",
                f"There are {there}" if there else "Leave --resume out to start one",
            )
