"""Likelihood and calibration of predicted probabilities. N rows, V labels, B bins."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, DataError
from labelemb.losses.head_search import is_head, weight_of
from labelemb.metrics.logits import check_logits

TEMPERATURES = (0.01, 20.0)  # range of the search; after a few training steps logits are small and need less than 0.1
BISECTIONS = 40  # of the logarithm of that range: the result is exact to 1e-11
BINS = 15  # as in Guo et al. 2017, "On Calibration of Modern Neural Networks", arXiv 1706.04599


@dataclass(frozen=True)
class RowScores:
    """Scores of each row; float64, (N,) each.

    Attributes:
        nll: Negative log-likelihood of the true label, -log p[y], in nats.
        brier: Brier score, sum over labels of (p - onehot(y))^2, from 0 to 2.
        confidence: Probability of the predicted label, max p.
        correct: 1 where the predicted label is y, otherwise 0.
        predicted: Index of the most probable label.
    """

    nll: Tensor
    brier: Tensor
    confidence: Tensor
    correct: Tensor
    predicted: Tensor

    @classmethod
    def of(cls, logits: Tensor, labels: Tensor) -> "RowScores":
        """Compute the scores of logits.

        Args:
            logits: Logits, (N, V).
            labels: True labels, int64, (N,).
        """
        log_p = torch.log_softmax(logits.detach().double(), dim=1)
        p = log_p.exp()
        own = p.gather(1, labels[:, None]).squeeze(1)
        confidence, predicted = p.max(dim=1)
        return cls(
            nll=-log_p.gather(1, labels[:, None]).squeeze(1),
            brier=p.square().sum(1) - own.square() + (1 - own).square(),
            confidence=confidence,
            correct=(predicted == labels).double(),
            predicted=predicted.double(),
        )

    def stacked(self) -> Tensor:
        """Return the scores as columns, (N, 5); ``RowScores(*stacked.unbind(1))`` is the inverse."""
        return torch.stack([self.nll, self.brier, self.confidence, self.correct, self.predicted], dim=1)

    def metrics(self) -> dict[str, float]:
        """Return the means ``nll`` and ``brier``, and ``ece`` and ``adaptive_ece`` in percent."""
        return {
            "nll": float(self.nll.mean()),
            "brier": float(self.brier.mean()),
            "ece": calibration_error(self.confidence, self.correct),
            "adaptive_ece": adaptive_calibration_error(self.confidence, self.correct),
        }


def calibration_error(confidence: Tensor, correct: Tensor, bins: int = BINS) -> float:
    """Return the expected calibration error in percent, with bins of equal width.

    ECE = 100 * sum over bins b of N_b / N * |accuracy_b - mean confidence_b|, where bin b contains the confidences in
    ((b - 1) / B, b / B]; the first bin also contains 0.

    Source: Naeini, Cooper, Hauskrecht 2015; Guo et al. 2017, https://arxiv.org/abs/1706.04599.

    Args:
        confidence: Probability of the predicted label, (N,).
        correct: Whether the prediction is correct, bool or 0 and 1, (N,).
        bins: B.

    Example:
        >>> calibration_error(torch.tensor([0.75, 1.0]), torch.tensor([1, 0]), bins=2)  # |0.5 - 0.875|
        37.5
    """
    edges = torch.arange(1, bins, dtype=torch.float64, device=confidence.device) / bins
    return _weighted_gap(torch.bucketize(confidence.double().contiguous(), edges), confidence, correct, bins)


def adaptive_calibration_error(confidence: Tensor, correct: Tensor, bins: int = BINS) -> float:
    """Return the calibration error in percent, with bins of equally many rows (up to one) of similar confidence.

    With equal widths, most bins of an accurate classifier are empty. Rows of equal confidence that fall into two bins
    share their mean accuracy, so that the result does not depend on the order of the rows.

    Source: Nguyen, O'Connor 2015; Nixon et al. 2019, https://arxiv.org/abs/1904.01685.

    Args:
        confidence: Probability of the predicted label, (N,).
        correct: Whether the prediction is correct, bool or 0 and 1, (N,).
        bins: Number of bins.

    Example:
        >>> adaptive_calibration_error(torch.tensor([0.5, 0.5, 0.5, 0.5]), torch.tensor([0, 0, 1, 1]), bins=2)
        0.0
    """
    confidence, correct = confidence.double(), correct.double()
    distinct, group = torch.unique(confidence, return_inverse=True)  # sorted
    sums, sizes = (torch.zeros_like(distinct).index_add_(0, group, of) for of in (correct, torch.ones_like(correct)))
    order = group.argsort(stable=True)
    bin_of = torch.empty_like(order)
    bin_of[order] = torch.arange(len(order), device=order.device) * bins // max(len(order), 1)
    return _weighted_gap(bin_of, confidence, (sums / sizes)[group], bins)


def _weighted_gap(bin_of: Tensor, confidence: Tensor, correct: Tensor, bins: int) -> float:
    """Return 100 / N * sum over bins of |correct rows - sum of confidences|. bin_of: bin of each row, int64, (N,)."""
    gaps = torch.zeros(bins, dtype=torch.float64, device=confidence.device)
    gaps.index_add_(0, bin_of, correct.double() - confidence.double())
    return 100 * float(gaps.abs().sum()) / max(len(confidence), 1)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Return the temperature T for which softmax(logits / T) has the lowest negative log-likelihood.

    Temperature scaling changes no prediction. Fit it on validation data. Where every prediction is correct, lower is
    always better and the result is an end of ``TEMPERATURES``; see ``pinned``.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599.

    Args:
        logits: Logits, (N, V), N >= 1.
        labels: True labels, int64, (N,).

    Raises:
        DataError: There are no rows.
    """
    if not len(labels):
        raise DataError("labels", "rows to fit a temperature on", "none")
    z = logits.detach().double().cpu()
    target = z.gather(1, labels.cpu()[:, None]).mean()
    low, high = (math.log(temperature) for temperature in TEMPERATURES)
    # In 1 / T the negative log-likelihood is convex: its slope, mean of sum_j p_j z_j - z_y, changes sign once.
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if (torch.softmax(z / math.exp(middle), dim=1) * z).sum(1).mean() > target:
            low = middle
        else:
            high = middle
    return math.exp((low + high) / 2)


@torch.no_grad()
def calibrate_head(head: nn.Module, logits: Tensor, labels: Tensor) -> float:
    """Fit a temperature T and divide the weight and bias of a classifier by it; return T.

    The logits of the model are then divided by T wherever it runs: its predictions stay, its probabilities are
    calibrated. Do this after training, on data that the model was not trained on.

    Source: Guo et al. 2017, https://arxiv.org/abs/1706.04599.

    Args:
        head: The model's last layer, with a ``weight`` and perhaps a ``bias``, such as nn.Linear.
        logits: The model's logits on held-out data, (N, V), N >= 1.
        labels: True labels, int64, (N,).

    Raises:
        ConfigError: The head has no weight of shape (V, D), or its output is not proportional to weight and bias; a
            logit is not finite, or a label is out of range.
        ShapeError: For logits and labels of another shape or dtype, and for no rows.
        DataError: The likelihood has no maximum because all predictions are correct or too many are wrong, or the
            logits hardly differ. In each of these cases the head is not changed.

    Example:
        >>> head = nn.Linear(2, 2, bias=False)
        >>> _ = nn.init.eye_(head.weight)
        >>> logits, labels = torch.tensor([[1.0, 0.0]] * 10), torch.tensor([0] * 9 + [1])
        >>> round(calibrate_head(head, logits, labels), 3)  # softmax([1, 0] / T) is [0.9, 0.1]
        0.455
        >>> round(torch.softmax(head(logits), dim=1)[0, 0].item(), 3)
        0.9
    """
    if not is_head(head):
        raise ConfigError("head", "a module with a weight of shape (V, D), such as nn.Linear", type(head).__name__)
    check_logits(logits, labels, num_labels=len(weight_of(head)))
    temperature = fit_temperature(logits, labels)
    if pinned(temperature):
        raise _no_temperature(logits, labels, temperature)
    _divide_output(head, temperature)
    return temperature


def _divide_output(head: nn.Module, temperature: float) -> None:
    """Divide weight and bias of a head, and check with one row that its output is divided.

    It is not where a layer has more parameters (LoRA) or normalizes its weight (cosine classifiers).

    Raises:
        ConfigError: The output is another one. Weight and bias are then as before.
    """
    hidden = weight_of(head)[:1].clone()  # (1, D); any row will do
    expected = head(hidden) / temperature
    before = {
        name: parameter.clone() for name in ("weight", "bias") if (parameter := getattr(head, name, None)) is not None
    }
    for name in before:
        getattr(head, name).div_(temperature)
    tolerance = 0.01 * float(expected.abs().max())  # enough for bfloat16
    if not torch.allclose(head(hidden), expected, rtol=0.01, atol=tolerance):
        for name, parameter in before.items():
            getattr(head, name).copy_(parameter)
        hint = "Merge an adapter into the layer first, or divide the logits yourself"
        raise ConfigError(
            "head", "a layer whose output is proportional to its weight and bias", type(head).__name__, hint
        )


def _no_temperature(logits: Tensor, labels: Tensor, temperature: float) -> DataError:
    """Return the error for predictions whose likelihood has no maximum in the range of temperatures."""
    wrong = int((logits.argmax(dim=1) != labels).sum())
    found = f"{wrong} of {len(labels)} wrong"
    if temperature > 1:
        return DataError("logits", "predictions that are mostly correct", found, "Train longer")
    if not wrong:
        return DataError("logits", "at least one wrong prediction", found, "Use more held-out data")
    spread = f"a largest difference of {float((logits.amax(1) - logits.amin(1)).max()):.2g} and {found}"
    return DataError("logits", "logits that differ enough to need a temperature above 0.01", spread, "Train longer")


def pinned(temperature: float) -> bool:
    """Return whether a fitted temperature is an end of ``TEMPERATURES``, and so not a minimum."""
    lowest, highest = TEMPERATURES
    return not lowest * 1.01 < temperature < highest / 1.01
