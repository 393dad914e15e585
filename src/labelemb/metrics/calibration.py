"""Whether the probabilities of a classifier may be believed. N rows, V labels, B bins."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from labelemb.errors import DataError

TEMPERATURES = (0.05, 20.0)  # the lowest and the highest that are looked at
BINS = 15  # as in Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599


@dataclass(frozen=True)
class RowScores:
    """What calibration needs to know of each row; float64, (N,) each.

    nll         -log p[y], in nats
    brier       sum over labels of (p - onehot y)^2, 0 to 2
    confidence  max p
    correct       1 where the most probable label is y, else 0
    """

    nll: Tensor
    brier: Tensor
    confidence: Tensor
    correct: Tensor

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "RowScores":
        """Score logits (N, V) against labels (N,) int64."""
        log_p = torch.log_softmax(logits.detach().double(), dim=1)
        p = log_p.exp()
        own = p.gather(1, labels[:, None]).squeeze(1)
        confidence, predicted = p.max(dim=1)
        return cls(
            nll=-log_p.gather(1, labels[:, None]).squeeze(1),
            brier=p.square().sum(1) - own.square() + (1 - own).square(),
            confidence=confidence,
            correct=(predicted == labels).double(),
        )

    def stacked(self) -> Tensor:
        """Return the four side by side, (N, 4); ``RowScores(*stacked.unbind(1))`` goes back."""
        return torch.stack([self.nll, self.brier, self.confidence, self.correct], dim=1)

    def figures(self) -> dict[str, float]:
        """Return the means nll and brier, and ece and adaptive_ece in percent."""
        return {
            "nll": float(self.nll.mean()),
            "brier": float(self.brier.mean()),
            "ece": calibration_error(self.confidence, self.correct),
            "adaptive_ece": adaptive_calibration_error(self.confidence, self.correct),
        }


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = BINS) -> float:
    """Return the expected calibration error in percent, in bins of equal width.

    100 * sum over bins of (rows in it / N) * |share of correct rows - mean confidence|; bin b holds confidences in
    ((b - 1) / B, b / B], so that 1.0 is in the last and 0.0, which no bin would hold, in the first.
    Source: Naeini, Cooper, Hauskrecht 2015; arXiv 1706.04599.

    confidence (N,), correct (N,) bool or 0 and 1

    >>> calibration_error(torch.tensor([0.75, 1.0]), torch.tensor([1, 0]), bins=2)  # |0.5 - 0.875|
    37.5
    """
    edges = torch.arange(1, bins, dtype=torch.float64, device=confidence.device) / bins
    return _weighted_gap(torch.bucketize(confidence.double().contiguous(), edges), confidence, correct, bins)


def adaptive_calibration_error(confidence: Tensor, correct: Tensor, bins: int = BINS) -> float:
    """Return the calibration error in percent, in bins of equally many rows (up to one) of like confidence.

    Equal widths leave most bins of a good classifier empty. Source: Nguyen, O'Connor 2015; Nixon et al. 2019,
    arXiv 1904.01685. Of rows with equal confidence, which may fall into two bins, each counts as correct as all of them
    are, so that their order does not matter.

    confidence (N,), correct (N,) bool or 0 and 1

    >>> adaptive_calibration_error(torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0, 0, 1, 1]), bins=2)
    0.0
    """
    confidence, correct = confidence.double(), correct.double()
    distinct, group = torch.unique(confidence, return_inverse=True)  # sorted
    sums, sizes = (torch.zeros_like(distinct).index_add_(0, group, of) for of in (correct, torch.ones_like(correct)))
    order = group.argsort(stable=True)
    places = torch.empty_like(order)
    places[order] = torch.arange(len(order), device=order.device) * bins // max(len(order), 1)
    return _weighted_gap(places, confidence, (sums / sizes)[group], bins)


def _weighted_gap(places: Tensor, confidence: Tensor, correct: Tensor, bins: int) -> float:
    """Return 100 / N * sum over bins of |correct rows - sum of confidences|. places (N,) int64, the bin of each row."""
    gaps = torch.zeros(bins, dtype=torch.float64, device=confidence.device)
    gaps.index_add_(0, places, correct.double() - confidence.double())
    return 100 * float(gaps.abs().sum()) / max(len(confidence), 1)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T > 0 for which softmax(z / T) has the lowest negative log-likelihood.

    It changes no prediction. Fit it on rows that neither train nor test. Where every row is correct no temperature is too
    low, and the lowest of ``TEMPERATURES`` is what comes; ``pinned`` tells. Source: arXiv 1706.04599.

    logits (N, V), labels (N,) int64, N >= 1. Raises DataError for no rows.
    """
    from scipy.optimize import minimize_scalar

    if not len(labels):
        raise DataError("labels", "rows to fit a temperature on", "none")
    z = logits.double().cpu()

    def nll(log_temperature: float) -> float:
        return float(torch.nn.functional.cross_entropy(z / np.exp(log_temperature), labels.cpu()))

    # In 1 / T the negative log-likelihood is convex: there is one minimum.
    found = minimize_scalar(nll, bounds=np.log(TEMPERATURES), method="bounded")
    return float(np.exp(found.x))


def pinned(temperature: float) -> bool:
    """Say whether a fitted temperature is an end of ``TEMPERATURES``, and so no minimum."""
    lowest, highest = TEMPERATURES
    return not lowest * 1.01 < temperature < highest / 1.01
