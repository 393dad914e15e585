"""Agreement of a learned label embedding with how often people confuse the labels.

V labels. A similarity is a matrix (V, V) of floats: entry [y, k] says how near label k is to label y; the diagonal is
never read. Similarities need not be symmetric, so V (V - 1) directed pairs are compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from labelemb.errors import DataError, ShapeError

Matrix = NDArray[np.float64]
PERMUTATIONS = 9999
TOP = (1, 3, 5)
_CHUNK = 2**22  # entries of permuted matrices in memory at once


@dataclass(frozen=True)
class Agreement:
    """How well one similarity agrees with another.

    Attributes:
        spearman: Rank correlation over all V (V - 1) directed pairs.
        row_spearman: Mean over the labels of the rank correlation of one row.
        rows: Number of rows in that mean: those that are not constant.
        mantel_p: One-sided p-value of the Mantel permutation test of ``spearman``.
        permutations: Number of permutations behind it.
        top: k -> share of labels whose nearest label by ``human`` is among the k nearest ones.
        auc: Probability that a pair in one group is nearer than a pair across groups; None without groups.
        nearest_in_group: Share of labels whose nearest label is of the same group; None without groups.
        num_labels: V.
    """

    spearman: float
    row_spearman: float
    rows: int
    mantel_p: float
    permutations: int
    top: dict[int, float]
    auc: float | None
    nearest_in_group: float | None
    num_labels: int


def agreement(
    similarity: Matrix, human: Matrix, groups: Sequence[object] | None = None, permutations: int = PERMUTATIONS
) -> Agreement:
    """Compare a similarity with that of people.

    Args:
        similarity: (V, V), say the soft labels softmax(E).
        human: (V, V), say the share of votes for k on examples of y.
        groups: V group names, say superclasses.
        permutations: Number of permutations of the Mantel test.

    Raises:
        ShapeError: For matrices that are not square or of unequal shapes.
        DataError: For fewer than three labels, values that are not finite, or a constant matrix.
    """
    check_similarity("similarity", similarity)
    check_similarity("human", human)
    if similarity.shape != human.shape:
        raise ShapeError("human", f"the shape of the similarity {similarity.shape}", human.shape)
    by_row = row_correlations(similarity, human)
    return Agreement(
        spearman=spearman(similarity, human),
        row_spearman=float(np.mean(by_row)) if len(by_row) else float("nan"),
        rows=len(by_row),
        mantel_p=mantel_p(similarity, human, permutations),
        permutations=permutations,
        top={k: top_agreement(similarity, human, k) for k in TOP if k < len(human)},
        auc=None if groups is None else group_auc(similarity, groups),
        nearest_in_group=None if groups is None else nearest_in_group(similarity, groups),
        num_labels=len(human),
    )


def check_similarity(argument: str, matrix: Matrix) -> None:
    """Raise ShapeError or DataError unless a matrix is square, finite, not constant, with three labels or more."""
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ShapeError(argument, "a square matrix (V, V)", matrix.shape)
    if len(matrix) < 3:
        raise DataError(argument, "three labels or more", len(matrix))
    values = off_diagonal(matrix)
    if not np.isfinite(values).all():
        raise DataError(argument, "finite values off the diagonal", "others")
    if (values == values[0]).all():
        raise DataError(argument, "different values off the diagonal", f"{values[0]:g} everywhere")


def off_diagonal(matrix: Matrix) -> Matrix:
    """Return the V (V - 1) entries off the diagonal, row by row."""
    entries: Matrix = matrix[~np.eye(len(matrix), dtype=bool)]
    return entries


def spearman(one: Matrix, other: Matrix) -> float:
    """Return the rank correlation over all V (V - 1) directed off-diagonal pairs.

    Example:
        >>> near = np.array([[9.0, 3.0, 1.0], [2.0, 9.0, 0.0], [5.0, 4.0, 9.0]])
        >>> round(spearman(near, 2 * near), 3)
        1.0
    """
    return _correlation(rankdata(off_diagonal(one)), rankdata(off_diagonal(other)))


def row_correlations(one: Matrix, other: Matrix) -> list[float]:
    """Return the rank correlation of each row's off-diagonal entries, rows left out where either is constant."""
    size = len(one)
    rows = [off_diagonal(matrix).reshape(size, size - 1) for matrix in (one, other)]
    pairs = [(a, b) for a, b in zip(*rows, strict=True) if np.ptp(a) > 0 and np.ptp(b) > 0]
    return [_correlation(rankdata(a), rankdata(b)) for a, b in pairs]


def mantel_p(one: Matrix, other: Matrix, permutations: int = PERMUTATIONS) -> float:
    """Return the one-sided p-value of the Mantel test: labels of ``other`` are permuted, rows and columns together.

    Pairs of labels are not independent, since each label is in 2 (V - 1) of them; permuting labels keeps that. The
    statistic is ``spearman``; p = (1 + permutations at least as high) / (1 + permutations), with a fixed seed.
    Source: Mantel 1967.
    """
    size = len(one)
    off = ~np.eye(size, dtype=bool)
    ranks, others = np.zeros((size, size)), np.zeros((size, size))
    ranks[off], others[off] = (rankdata(off_diagonal(matrix)) for matrix in (one, other))
    random = np.random.default_rng(0)
    # Permuting changes neither mean nor deviation of the ranks: comparing sums of products is enough.
    observed, higher, chunk = float(np.sum(ranks * others)), 0, max(1, _CHUNK // size**2)
    for start in range(0, permutations, chunk):
        orders = random.permuted(np.tile(np.arange(size), (min(chunk, permutations - start), 1)), axis=1)
        permuted = others[orders[:, :, None], orders[:, None, :]]
        higher += int(np.sum(np.tensordot(permuted, ranks, axes=2) >= observed * (1 - 1e-12)))
    return (1 + higher) / (1 + permutations)


def top_agreement(similarity: Matrix, human: Matrix, k: int) -> float:
    """Return the share of labels whose nearest label by ``human`` is among the k nearest by ``similarity``.

    Ties count by the chance that a random order would give. Rows without a vote for another label are left out.

    Example:
        >>> near = np.array([[9.0, 3.0, 1.0], [2.0, 9.0, 0.0], [5.0, 4.0, 9.0]])
        >>> top_agreement(near, near, 1), top_agreement(near, near.max() - near, 1)
        (1.0, 0.0)
    """
    size = len(human)
    near, voted = (off_diagonal(matrix).reshape(size, size - 1) for matrix in (similarity, human))
    chances = []
    for row, votes in zip(near, voted, strict=True):
        if np.ptp(votes) == 0:
            continue
        best = row[votes == votes.max()][:, None]
        nearer, tied = (row > best).sum(axis=1), (row == best).sum(axis=1)
        chances.append(float(np.clip((k - nearer) / tied, 0, 1).mean()))
    return float(np.mean(chances)) if chances else float("nan")


def group_auc(similarity: Matrix, groups: Sequence[object]) -> float:
    """Return the probability that a directed pair of one group has a higher similarity than one across groups.

    Raises:
        DataError: For a wrong number of groups, or where no pair, or every pair, is in one group.

    Example:
        >>> group_auc(np.array([[9.0, 3.0, 1.0], [2.0, 9.0, 0.0], [0.0, 1.0, 9.0]]), ["a", "a", "b"])
        1.0
    """
    same = off_diagonal(_same_group(similarity, groups)) > 0
    inside, across = int(same.sum()), int((~same).sum())
    if not inside or not across:
        raise DataError("groups", "some pairs of labels in one group, and some not", f"{inside} of {len(same)} pairs")
    ranks = rankdata(off_diagonal(similarity))
    return float((ranks[same].sum() - inside * (inside + 1) / 2) / (inside * across))


def nearest_in_group(similarity: Matrix, groups: Sequence[object]) -> float:
    """Return the share of labels whose nearest label is of their group; labels alone in their group are left out.

    Raises:
        DataError: For a wrong number of groups.
    """
    same = _same_group(similarity, groups)
    np.fill_diagonal(same, 0.0)
    near = similarity.copy()
    np.fill_diagonal(near, -np.inf)
    accompanied = same.any(axis=1)
    return float(same[np.arange(len(near)), near.argmax(axis=1)][accompanied].mean())


def _same_group(similarity: Matrix, groups: Sequence[object]) -> Matrix:
    if len(groups) != len(similarity):
        raise DataError("groups", f"one group for each of {len(similarity)} labels", len(groups))
    names = np.array([str(group) for group in groups])
    same: Matrix = (names[:, None] == names[None]).astype(np.float64)
    return same


def _correlation(one: Matrix, other: Matrix) -> float:
    return float(np.corrcoef(one, other)[0, 1])
