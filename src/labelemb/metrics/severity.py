"""How bad the errors of a classifier are: superclasses, hierarchies, and decisions of least expected severity.

N rows, V labels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from labelemb.errors import ShapeError

_SMALLEST = 1e-9  # a soft label below counts as this, so that its logarithm stays finite


def errors_within_group(predicted: Tensor, labels: Tensor, groups: Tensor) -> float | None:
    """Return the share of the errors, in percent, whose prediction is of the right group; None without errors.

    Args:
        predicted: (N,) int64.
        labels: (N,) int64, true labels.
        groups: (V,) int64, group (superclass) of each label.

    Example:
        >>> errors_within_group(torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0]), torch.tensor([5, 5, 6]))
        50.0
    """
    wrong = predicted != labels
    if not bool(wrong.any()):
        return None
    return 100 * float((groups[predicted] == groups[labels])[wrong].double().mean())


def hierarchical_distance(predicted: Tensor, labels: Tensor, levels: Sequence[Tensor]) -> Tensor:
    """Return the height of the lowest common ancestor of prediction and label: 0 where they are equal.

    With one level of superclasses: 1 for an error inside the superclass, 2 for one outside. Its mean over all rows is
    the hierarchical distance of the top prediction, its mean over the errors the severity of mistakes. Source:
    Bertinetto et al. 2020, "Making better mistakes".

    Args:
        predicted: (N,) int64.
        labels: (N,) int64.
        levels: Group of each label, (V,) int64 each, from the finest level to the coarsest; labels of one group share
            all coarser groups.

    Returns:
        (N,) int64.

    Example:
        >>> levels = [torch.tensor([0, 0, 1])]
        >>> hierarchical_distance(torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0]), levels).tolist()
        [0, 1, 2]
    """
    distance = (predicted != labels).long()
    for groups in levels:
        distance = distance + (groups[predicted] != groups[labels]).long()
    return distance


def group_numbers(groups: Sequence[str]) -> Tensor:
    """Number groups in the order of their names. V names -> (V,) int64.

    Example:
        >>> group_numbers(["vehicles", "animals", "vehicles"]).tolist()
        [1, 0, 1]
    """
    places = {name: place for place, name in enumerate(sorted(set(groups)))}
    return torch.tensor([places[name] for name in groups])


def severity_metrics(predicted: Tensor, labels: Tensor, groups: Tensor) -> dict[str, float]:
    """Return how severe errors are with one level of groups.

    Args:
        predicted: (N,) int64.
        labels: (N,) int64.
        groups: (V,) int64, group of each label.

    Returns:
        ``errors_in_group``, the share of the errors inside the right group in percent (left out without errors), and
        ``hierarchical_distance``, mean over all rows: 0 right, 1 inside the group, 2 outside.
    """
    inside = errors_within_group(predicted, labels, groups)
    distance = float(hierarchical_distance(predicted, labels, [groups]).double().mean())
    return ({} if inside is None else {"errors_in_group": inside}) | {"hierarchical_distance": distance}


def mean_cost(predicted: Tensor, labels: Tensor, cost: Tensor) -> float:
    """Return the mean over rows of C[y, predicted]. predicted, labels: (N,) int64; cost: (V, V)."""
    return float(cost[labels, predicted].double().mean())


def embedding_cost(soft_labels: Tensor) -> Tensor:
    """Return the cost of predicting k for y that a label embedding implies.

    C[y, k] = d[y, k] / mean off-diagonal d, d[y, k] = -ln((q[y, k] + q[k, y]) / 2), 0 on the diagonal: labels that the
    network finds alike are cheap to confuse; 1 is the average pair.

    Args:
        soft_labels: (V, V) q = softmax(E), rows sum to 1, V >= 2.

    Returns:
        (V, V) float64, symmetric, >= 0.
    """
    _check_square("soft_labels", soft_labels)
    q = soft_labels.detach().double()
    distance = -torch.log(((q + q.T) / 2).clamp(_SMALLEST, 1.0))
    distance.fill_diagonal_(0.0)
    size = len(distance)
    return distance / (distance.sum() / (size * (size - 1))).clamp_min(_SMALLEST)


def group_cost(groups: Tensor) -> Tensor:
    """Return the cost of a grouping: 0 for the right label, 1 inside its group, 2 outside. (V,) -> (V, V) float64."""
    cost = 1.0 + (groups[:, None] != groups[None]).double()
    cost.fill_diagonal_(0.0)
    return cost


def least_severe(probabilities: Tensor, cost: Tensor) -> Tensor:
    """Return the predictions of least expected cost: argmin_k sum_y p[y] C[y, k].

    With a cost of 1 for every error it is the most probable label. Probabilities have to be calibrated for it to help.

    Args:
        probabilities: (N, V), rows sum to 1.
        cost: (V, V), C[y, k] of predicting k where y is true.

    Returns:
        (N,) int64.

    Raises:
        ShapeError: For a cost that is not (V, V).

    Example:
        >>> cost = group_cost(torch.tensor([0, 0, 1]))
        >>> least_severe(torch.tensor([[0.3, 0.3, 0.4]]), cost).tolist()  # the likelier group decides
        [0]
    """
    _check_square("cost", cost)
    if probabilities.ndim != 2 or probabilities.shape[1] != len(cost):
        raise ShapeError("probabilities", f"(N, {len(cost)})", tuple(probabilities.shape))
    return (probabilities.double() @ cost.double().to(probabilities.device)).argmin(dim=1)


def _check_square(argument: str, matrix: Tensor) -> None:
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ShapeError(argument, "a square matrix of two labels or more", tuple(matrix.shape))
