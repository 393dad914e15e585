"""``--seeds auto``: train seeds in groups until every method is better, worse or alike, or the budget is spent."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from rich.console import Console

from labelemb.cli.run_plan import MOST_SEEDS, Request, Variant, make_plan, run_plan
from labelemb.errors import ConfigError, check_at_least_one
from labelemb.stats.equivalence import check_margin
from labelemb.stats.sequential import BUDGET, Look, Plan, looks_until, plan
from labelemb.training.progress import say


@dataclass(frozen=True)
class AutoSeeds:
    """When ``--seeds auto`` stops.

    Attributes:
        within: Largest difference in points that counts as equivalent.
        budget: Most seeds per method.
    """

    within: float
    budget: int = BUDGET


def auto_seeds_of(chosen: Any) -> AutoSeeds | None:
    """Return the rule that --seeds auto, --within and --budget ask for; None for a number of seeds.

    Raises:
        ConfigError: For --within or --budget without --seeds auto, or the reverse, or in a run of several processes or
            a share of the runs.
    """
    within, budget = chosen.within, chosen.budget
    if chosen.seeds != "auto":
        for name, value in (("within", within), ("budget", budget)):
            if value is not None:
                raise ConfigError(name, "--seeds auto as well", value, "For a fixed number of seeds: --alike")
        return None
    if chosen.alike is not None:
        raise ConfigError("alike", "None with --seeds auto, which takes --within", chosen.alike)
    if within is None:
        raise ConfigError("within", "the largest difference in points that counts as none", "none", "Add --within 0.2")
    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        raise ConfigError("seeds", "a number in a run of several processes", "auto")
    if chosen.shard is not None:
        raise ConfigError("shard", "a number of --seeds instead of auto", chosen.shard)
    rule = AutoSeeds(within, BUDGET if budget is None else budget)
    check_at_least_one("budget", rule.budget, MOST_SEEDS)
    looks_until(rule.budget)
    check_margin(within)
    return rule


def train_until_decided(
    request: Request, variants: Sequence[Variant], reference: str, rule: AutoSeeds, console: Console
) -> int:
    """Train and look in turn; print what each look says, and leave a record beside the runs.

    Args:
        request: What was asked for; its seeds are not used.
        variants: The ways to train.
        reference: Name of the variant that the others are compared with.
        rule: When to stop.
        console: Where to print.

    Returns:
        1 when a run failed, else 0.

    Raises:
        ConfigError: For an invalid margin or budget.
    """
    from labelemb.report.sequential import write_record

    others = len(variants) - 1
    schedule = plan(rule.within, rule.budget, comparisons=others)
    say(console, _announcement(schedule))
    decisions: dict[str, Look] = {}
    for n in schedule.looks:
        open_variants = [variant for variant in variants if not _is_decided(decisions.get(variant.name))]
        if len(open_variants) < 2:
            break
        runs = make_plan(replace(request, seeds=range(n)), open_variants)
        if run_plan(runs, request.execution, console):
            return 1
        decisions |= _look(request, [variant.name for variant in open_variants], reference, schedule, n, console)
        write_record(request.folder, reference, schedule, decisions)
    return 0


def _look(
    request: Request, names: Sequence[str], reference: str, schedule: Plan, n: int, console: Console
) -> dict[str, Look]:
    """Return method -> what n seeds say, and print it."""
    from labelemb.report.comparison import compare_methods
    from labelemb.report.experiment import load_experiments
    from labelemb.report.methods import method_title
    from labelemb.report.sequential import look_sentence
    from labelemb.stats.equivalence import resolution_of

    experiments, _ = load_experiments([request.folder / name for name in names])
    comparison = compare_methods(experiments[0], reference)
    looks = {}
    for result in comparison.others if comparison else []:
        differences = [value for seed, value in sorted(result.differences.items()) if seed < n]
        if len(differences) < n:  # a run diverged: its error is no number
            say(console, f"{n} seeds: {method_title(result.method)} has results of {len(differences)} only")
            continue
        look = schedule.look(differences, resolution_of(differences))
        looks[result.method] = look
        pair = f"{method_title(result.method)} against {method_title(reference)}"
        say(console, f"{n} seeds: {pair}: {look_sentence(look, schedule.margin)}")
    return looks


def _is_decided(look: Look | None) -> bool:
    return look is not None and look.conclusion != "undecided"


def _announcement(schedule: Plan) -> str:
    looks = ", ".join(map(str, schedule.looks))
    return f"Comparing after {looks} seeds; over all looks a difference is claimed by chance in at most 5 % of cases"
