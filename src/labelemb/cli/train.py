"""``labelemb train``: train the runs of a preset."""

from collections.abc import Sequence
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.run_plan import main_console, make_plan, request_of, run_plan, variants_of
from labelemb.cli.training_options import TrainingCommand
from labelemb.errors import ConfigError
from labelemb.training.multirun import PlannedRun
from labelemb.training.progress import say


def _add_arguments(parser: Parser) -> None:
    text = "fail unless a checkpoint exists; existing runs always resume"
    parser.add_argument("--resume", action="store_true", help=text)


TRAIN = TrainingCommand(
    "train",
    "Train {preset}: {summary}",
    """\
example:
  $ labelemb train digits --method cross_entropy,label_embedding --seeds 2 --jobs 2
  digits: 1,797 images, 10 labels; train 1,259, valid 179, test 359; 122 to 128 per label in train
  images of 8x8 pixels, 1 channel
  model mlp: 288,010 parameters; batch size 50, 26 steps per epoch, 30 epochs; cpu, fp32
  1 thread per run; --threads N for another number
  digits/cross_entropy/seed-0  valid_error 1.68 %  test_error 2.79 %  (last epoch; 48 s)
  digits/label_embedding/seed-0  valid_error 0.00 %  test_error 1.11 %  (last epoch; 55 s)
  digits/cross_entropy/seed-1  valid_error 1.68 %  test_error 3.06 %  (last epoch; 25 s)
  digits/label_embedding/seed-1  valid_error 0.56 %  test_error 0.56 %  (last epoch; 24 s)
  Runs are in runs/digits. Look at them: labelemb report runs/digits

  Interrupted runs resume: give the same command again. It skips what is finished.
  Several processes or machines: accelerate launch -m labelemb train mnist-cnn
""",
    add_arguments=_add_arguments,
)


def run(chosen: Any) -> int:
    """Train what the options ask for; return 1 when a run failed."""
    request = request_of(chosen)
    plan = make_plan(request, variants_of(chosen.method, request.recipe.config.methods))
    if chosen.resume:
        _check_checkpoints(request.execution.share_of(plan))
    console = main_console()
    code = run_plan(plan, request.execution, console)
    say(console, f"Runs are in {request.place}. Look at them: labelemb report {request.place}")
    return code


def _check_checkpoints(plan: Sequence[PlannedRun]) -> None:
    """Raise ConfigError for a run without a checkpoint, naming the checkpoints there are."""
    for planned in plan:
        planned.run.fetch()
        if not planned.run.last_checkpoint.is_file():
            others = sorted(planned.run.path.parent.glob(f"*/{planned.run.last_checkpoint.name}"))
            found = ", ".join(str(other.parent) for other in others)
            hint = f"There are {found}" if found else "Leave --resume out to start one"
            raise ConfigError("resume", f"a run to resume in {planned.run.path}", "none", hint)


COMMAND = Command(TRAIN.parser, run)
