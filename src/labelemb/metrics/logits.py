"""Check logits and labels that a caller has computed. N rows, V labels."""

import torch
from torch import Tensor

from labelemb.errors import ConfigError, ShapeError


def check_logits(logits: object, labels: object, num_labels: int | None = None, of: str = "") -> None:
    """Check that logits and labels belong together.

    Args:
        logits: Finite logits, (N, V), N >= 1.
        labels: True labels, int64, (N,), each from 0 to V - 1.
        num_labels: V; None: any number.
        of: What they are of, for the message: "test" makes it "logits of test".

    Raises:
        ShapeError: For another type, shape or dtype.
        ConfigError: For logits that are not finite and labels out of range.

    Example:
        >>> check_logits(torch.zeros(2, 3), torch.tensor([0, 3]), of="test")
        Traceback (most recent call last):
        labelemb.errors.ConfigError: labels of test: expected labels from 0 to 2, got 0 to 3
    """
    logits_name, labels_name = (f"{name} of {of}" if of else name for name in ("logits", "labels"))
    shape = f"shape (N, {num_labels or 'V'}), N >= 1"
    if not isinstance(logits, Tensor):
        raise ShapeError(logits_name, f"a tensor of {shape}", type(logits).__name__)
    if logits.dim() != 2 or not len(logits) or num_labels not in (None, logits.shape[1]):
        raise ShapeError(logits_name, shape, tuple(logits.shape))
    if not bool(logits.isfinite().all()):
        raise ConfigError(logits_name, "finite numbers", "NaN or infinity")
    expected = f"int64 labels of shape ({len(logits)},)"
    if not isinstance(labels, Tensor):
        raise ShapeError(labels_name, expected, type(labels).__name__)
    if labels.shape != logits.shape[:1] or labels.dtype != torch.int64:
        raise ShapeError(labels_name, expected, f"{labels.dtype} {tuple(labels.shape)}")
    if int(labels.min()) < 0 or int(labels.max()) >= logits.shape[1]:
        found = f"{int(labels.min())} to {int(labels.max())}"
        raise ConfigError(labels_name, f"labels from 0 to {logits.shape[1] - 1}", found)
