"""Bootstrap over seeds and items together, items optionally within strata.

S seeds, N items, B draws. For means of items ``crossed.crossed_interval`` is narrower and holds for fewer seeds; the
bootstrap serves scores that are not means, and many methods at once.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError, ShapeError
from labelemb.stats.crossed import Values
from labelemb.stats.paired import CONFIDENCE

DRAWS = 1000
_CHUNK = 250  # draws whose item weights are in memory at once


@dataclass(frozen=True)
class ResampledMeans:
    """Means of every method in every draw; a draw has the same seeds and items for all methods.

    Attributes:
        means: Method -> mean over all seeds and items.
        draws: Method -> (B,) resampled means.
    """

    means: dict[str, float]
    draws: dict[str, NDArray[np.float64]]

    def difference(self, reference: str, other: str) -> tuple[float, float, float]:
        """Return mean, low and high of reference - other: 95 % percentile interval."""
        low, high = percentile_interval(self.draws[reference] - self.draws[other])
        return self.means[reference] - self.means[other], low, high


def resample_means(
    values: Mapping[str, Values], strata: NDArray[np.int64] | None = None, draws: int = DRAWS, scale: float = 100.0
) -> ResampledMeans:
    """Resample seeds and items with replacement, independently of each other ("pigeonhole bootstrap", Owen 2007).

    The deviations of the seed weights are enlarged by sqrt(S / (S - 1)): drawing S of S seeds underestimates their
    variance by (S - 1) / S, a third for 3 seeds.

    Args:
        values: Method -> (S, N), the same seeds and items in the same order for every method.
        strata: (N,) stratum of each item, say its label; items are drawn within their stratum. None: one stratum.
        draws: B.
        scale: Factor of the results; 100 gives percent.

    Raises:
        DataError: For no methods.
        ShapeError: For unequal shapes, or fewer than two seeds.
    """
    if not values:
        raise DataError("values", "a method or more", "none")
    shapes = {array.shape for array in values.values()}
    shape = next(iter(shapes))
    if len(shapes) > 1 or len(shape) != 2 or shape[0] < 2:
        raise ShapeError("values", "arrays (seeds, items) of one shape, two seeds or more", shapes)
    seeds, items = shape
    random = np.random.default_rng(0)
    flat = np.concatenate([np.asarray(array, np.float32) for array in values.values()])  # (methods * S, N)
    means = [
        flat @ item_weights(items, min(_CHUNK, draws - start), random, strata).T for start in range(0, draws, _CHUNK)
    ]
    by_seed = np.concatenate(means, axis=1).reshape(len(values), seeds, draws)
    weights = seed_weights(seeds, draws, random)
    drawn = scale * np.einsum("msb,bs->mb", by_seed, weights)
    return ResampledMeans(
        {name: scale * float(array.mean()) for name, array in values.items()}, dict(zip(values, drawn, strict=True))
    )


def item_weights(
    items: int, draws: int, random: np.random.Generator, strata: NDArray[np.int64] | None = None
) -> NDArray[np.float32]:
    """Return (B, N) shares of a resample that each item has; each row sums to 1."""
    if strata is None:
        return (random.multinomial(items, np.full(items, 1 / items), size=draws) / items).astype(np.float32)
    if strata.shape != (items,):
        raise ShapeError("strata", f"one stratum per item ({items},)", strata.shape)
    weights = np.empty((draws, items), np.float32)
    for stratum in np.unique(strata):
        chosen = np.flatnonzero(strata == stratum)
        weights[:, chosen] = random.multinomial(len(chosen), np.full(len(chosen), 1 / len(chosen)), size=draws) / items
    return weights


def seed_weights(seeds: int, draws: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Return (B, S) weights of the seeds; each row sums to 1, single weights may be below 0."""
    weights = random.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws) / seeds
    corrected: NDArray[np.float64] = 1 / seeds + (weights - 1 / seeds) * np.sqrt(seeds / max(seeds - 1, 1))
    return corrected


def percentile_interval(draws: NDArray[np.float64]) -> tuple[float, float]:
    """Return the 95 % percentile interval of draws."""
    low, high = np.quantile(draws, [0.5 - CONFIDENCE / 2, 0.5 + CONFIDENCE / 2])
    return float(low), float(high)
