"""Per-example comparison: McNemar's test of two networks, and which examples changed. S seeds, N items."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr  # many times faster than scipy.stats.binomtest

from labelemb.errors import ShapeError

Flags = NDArray[np.bool_]


@dataclass(frozen=True)
class McNemar:
    """Result of ``mcnemar``.

    Attributes:
        fixed: Items that only the reference gets wrong.
        broken: Items that only the other method gets wrong.
        p: Exact two-sided p-value.
    """

    fixed: int
    broken: int
    p: float


@dataclass(frozen=True)
class ChangedItem:
    """An item that one method predicts correctly in more of the seeds than the other.

    Attributes:
        item: Its index.
        reference: Number of seeds in which the reference is wrong.
        other: Number of seeds in which the other method is wrong.
        p: Exact two-sided sign test over the seeds in which exactly one of the two is wrong; not corrected for the
            number of items, a help for sorting.
    """

    item: int
    reference: int
    other: int
    p: float


def mcnemar(reference: Flags, other: Flags) -> McNemar:
    """Test whether two networks make equally many errors on the same items (McNemar 1947, exact binomial form).

    It is about these two networks, not about the methods that trained them: another seed may decide otherwise.

    Args:
        reference: (N,) bool, where the reference is wrong.
        other: (N,) bool, where the other network is wrong.

    Raises:
        ShapeError: For unequal shapes.

    Example:
        >>> mcnemar(np.array([True, True, True, False]), np.array([False, False, False, False]))
        McNemar(fixed=3, broken=0, p=0.25)
    """
    if reference.ndim != 1 or reference.shape != other.shape:
        raise ShapeError("other", f"as many items as the reference {reference.shape}", other.shape)
    fixed, broken = int(np.sum(reference & ~other)), int(np.sum(other & ~reference))
    return McNemar(fixed, broken, _binomial_p(fixed, fixed + broken))


def changed_items(reference: Flags, other: Flags, most: int | None = None) -> list[ChangedItem]:
    """Return the items on which two methods differ, largest difference first, ties by index.

    Args:
        reference: (S, N) bool, where each seed of the reference is wrong.
        other: (S, N) bool, the same seeds and items of the other method.
        most: Number of items to return; None: all.

    Raises:
        ShapeError: For unequal shapes.

    Example:
        >>> changed_items(np.array([[True, False], [True, True]]), np.array([[False, False], [False, True]]))
        [ChangedItem(item=0, reference=2, other=0, p=0.5)]
    """
    if reference.ndim != 2 or reference.shape != other.shape:
        raise ShapeError("other", f"seeds and items as the reference {reference.shape}", other.shape)
    before, after = reference.sum(axis=0), other.sum(axis=0)
    changed = np.flatnonzero(before != after)
    order = np.argsort(-np.abs(before - after)[changed], kind="stable")
    chosen = changed[order][:most].tolist()
    ours, theirs = reference[:, chosen], other[:, chosen]
    fixed, broken = (ours & ~theirs).sum(axis=0), (theirs & ~ours).sum(axis=0)
    return [
        ChangedItem(
            item, int(before[item]), int(after[item]), _binomial_p(int(fixed[place]), int(fixed[place] + broken[place]))
        )
        for place, item in enumerate(chosen)
    ]


def _binomial_p(successes: int, trials: int) -> float:
    """Two-sided binomial test of probability 1/2."""
    return min(1.0, 2 * float(bdtr(min(successes, trials - successes), trials, 0.5))) if trials else 1.0
