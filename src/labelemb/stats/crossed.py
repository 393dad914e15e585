"""Intervals of a mean difference over seeds and test items at once: both are samples.

N items, S seeds. An interval over seeds alone is about this test set only, one over items alone about these trained
networks only. Seeds and items are crossed: each network sees each item.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student_t

from labelemb.errors import ShapeError
from labelemb.stats.paired import CONFIDENCE

FEWEST_SEEDS = 3  # with two, the interval is too narrow where the seeds differ more than the items
Values = NDArray[np.float64] | NDArray[np.float32] | NDArray[np.bool_]


@dataclass(frozen=True)
class CrossedInterval:
    """Mean difference with a 95 % interval over seeds and items, in percent where the values are 0 and 1.

    Attributes:
        mean: Mean difference.
        low: Lower end.
        high: Upper end.
        seeds: S.
        items: N.
    """

    mean: float
    low: float
    high: float
    seeds: int
    items: int


def check_items(reference: Values, other: Values) -> None:
    """Raise ShapeError unless both are (S, N) with S >= 2 seeds and N >= 2 items."""
    if reference.ndim != 2 or reference.shape != other.shape or min(reference.shape) < 2:
        expected = "two arrays (seeds, items) of one shape, two seeds and two items or more"
        raise ShapeError("other", expected, f"{reference.shape} and {other.shape}")


def crossed_interval(reference: Values, other: Values, scale: float = 100.0) -> CrossedInterval:
    """Return the mean of reference - other with its interval over seeds and items.

    Two-way random effects: d[s, i] = mean + seed[s] + item[i] + rest[s, i]. With the mean squares MS of the analysis of
    variance, Var(mean) = (MS_seed + MS_item - MS_rest) / (S N), and Student's t with Satterthwaite's degrees of
    freedom. It holds its 95 % from 3 seeds on, where a bootstrap is too narrow if the seeds differ more than the items,
    and is narrower than the bootstrap if they do not. Source: Satterthwaite 1946; Searle, Casella, McCulloch 1992.

    Args:
        reference: (S, N), value of each seed on each item, 1 for an error and 0 for a correct prediction.
        other: (S, N), of the other method, seeds and items in the same order.
        scale: Factor of the result; 100 gives percentage points.

    Raises:
        ShapeError: For unequal shapes, or fewer than two seeds or items.

    Example:
        >>> wrong = np.array([[1, 1, 0, 0], [1, 0, 1, 0]], bool)
        >>> crossed_interval(wrong, np.zeros_like(wrong)).mean
        50.0
    """
    check_items(reference, other)
    differences = np.asarray(reference, np.float64) - np.asarray(other, np.float64)
    seeds, items = differences.shape
    mean = float(differences.mean())
    by_seed, by_item = differences.mean(axis=1) - mean, differences.mean(axis=0) - mean
    square_seed = items * float(by_seed @ by_seed) / (seeds - 1)
    square_item = seeds * float(by_item @ by_item) / (items - 1)
    rest = float(np.square(differences).sum()) - seeds * items * mean**2
    rest -= (seeds - 1) * square_seed + (items - 1) * square_item
    square_rest = max(rest, 0.0) / ((seeds - 1) * (items - 1))
    # The sum can be below either part by chance; a mean never varies less than over seeds, or over items, alone.
    square = max(square_seed + square_item - square_rest, square_seed, square_item)
    parts = square_seed**2 / (seeds - 1) + square_item**2 / (items - 1)
    parts += square_rest**2 / ((seeds - 1) * (items - 1))
    freedom = max(square**2 / parts, seeds - 1) if parts else math.inf
    half = float(student_t.ppf(0.5 + CONFIDENCE / 2, freedom)) * math.sqrt(square / (seeds * items))
    return CrossedInterval(scale * mean, scale * (mean - half), scale * (mean + half), seeds, items)
