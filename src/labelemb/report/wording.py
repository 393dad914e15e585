"""Numbers of things as words."""


def plural(count: int, noun: str) -> str:
    """Return "1 seed", "2 seeds"."""
    return f"{count} {noun}" + ("" if count == 1 else "s")


def mean_of_seeds(count: int) -> str:
    """Return the caption of a chart over seeds: "1 seed", "mean of 2 seeds"."""
    return plural(count, "seed") if count == 1 else f"mean of {plural(count, 'seed')}"
