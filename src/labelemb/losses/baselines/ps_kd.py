"""Progressive self-knowledge distillation: the model's prediction of the previous epoch softens the label."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from labelemb.errors import ConfigError, DataError, check_at_least_one
from labelemb.losses.epoch_count import EpochCount
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.losses.validation import wants_validation
from labelemb.terms.rank_local import PendingState, SavedState
from labelemb.terms.reduction import global_sum
from labelemb.terms.rows import Rows

MAX_BYTES = 4 << 30


class PSKDLoss(EpochCount, SoftTargetLoss):
    """PS-KD: ``H(t, p)`` with ``t = (1 - a) * onehot(y) + a * P``, mean over rows.

    P is the model's prediction of the same training example in the previous epoch, onehot(y) for an example seen for
    the first time. ``a = weight * epoch / epochs`` grows; epochs count from 1.
    Source: Kim, Ji, Yoon, Hwang 2021, arXiv 2006.12000, equations 4 to 6.

    Call it with ``index``, the number of each training example, and call ``epoch_end()`` after each epoch. In
    ``eval()`` mode ``index`` may be left out; the loss is then the one with P = onehot(y).

    Args:
        num_labels: Number of labels V.
        num_samples: Number of training examples.
        epochs: Epochs of the run.
        weight: a in the last epoch, 0 to 1.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.

    Attributes:
        past: ``past.value`` holds P of each example, fp32, shape ``(num_samples + 1, V)``; the last row is unused.

    Raises:
        ConfigError: An argument is out of range, or the predictions would take more than 4 GiB.
    """

    def __init__(
        self,
        num_labels: int,
        num_samples: int,
        epochs: int,
        weight: float = 0.8,
        ignore_index: int = -100,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        for name, value in (("num_samples", num_samples), ("epochs", epochs)):
            check_at_least_one(name, value)
        check_weight("weight", weight)
        if 4 * num_samples * num_labels > MAX_BYTES:
            size = f"{4 * num_samples * num_labels / 2**30:.1f} GiB for {num_samples} x {num_labels}"
            raise ConfigError("num_samples", "at most 4 GiB of stored predictions", size)
        self.num_samples, self.epochs, self.weight = num_samples, epochs, weight
        self._set_epoch(0)
        # The extra last row receives what ignored rows would write. Each row is read before it is written, and once
        # an epoch, so a single buffer serves the previous and the current epoch.
        self.past = SavedState(torch.zeros(num_samples + 1, num_labels))
        self.written = PendingState(num_samples + 1, dtype=torch.bool)

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """Return P, shape ``(N, V)``."""
        onehot = F.one_hot(rows.labels, like.shape[1]).to(like.dtype)
        if rows.index is None and not self.training:
            return onehot
        past = self.past.value[self._sample_rows(rows)].to(like.dtype)
        seen = past.sum(1, keepdim=True) > 0
        return torch.where(seen, past, onehot)

    def observe(self, log_p: Tensor, rows: Rows) -> None:
        """Store the predictions of the batch."""
        sample_rows = self._sample_rows(rows)
        self.past.value[sample_rows] = log_p.exp().to(self.past.value.dtype)
        self.written.value[sample_rows] = True
        self.past.value[self.num_samples] = 0

    def _sample_rows(self, rows: Rows) -> Tensor:
        """Return the row of ``past`` for each row of the batch, shape ``(N,)``."""
        if rows.index is None:
            raise DataError("index", "the index of each row's training example, which ps_kd needs", None)
        sample_rows = torch.where(rows.mask, rows.index, self.num_samples)
        if wants_validation(self.validate_args, sample_rows):
            wrong = rows.mask & ((rows.index < 0) | (rows.index >= self.num_samples))
            if wrong.any():
                raise DataError("index", f"numbers 0..{self.num_samples - 1}", int(rows.index[wrong][0]))
        return sample_rows

    def sync(self) -> None:
        """Exchange the predictions that the ranks have written since the last sync.

        If several ranks saw the same example (samplers pad the last batch), the mean of their predictions is stored.
        """
        past, mine = self.past.value, self.written.value[:, None]
        writers = global_sum(mine.to(past.dtype))
        fresh = global_sum(torch.where(mine, past, 0.0)) / writers.clamp(min=1)
        past.copy_(torch.where(writers > 0, fresh, past))
        mine.zero_()

    def epoch_end(self) -> None:
        """Sync the predictions and count the epoch."""
        self.sync()
        super().epoch_end()

    def _set_epoch(self, epoch: int) -> None:
        super()._set_epoch(epoch)
        self.hard_weight = 1 - self.weight * min((epoch + 1) / self.epochs, 1)

    def extra_repr(self) -> str:
        """Return the arguments for ``repr``."""
        sizes = f"num_labels={self.num_labels}, num_samples={self.num_samples}"
        return f"{sizes}, epochs={self.epochs}, weight={self.weight}"


@dataclass(frozen=True)
class PSKDOptions(MethodOptions):
    """Options of ``ps_kd``.

    Args:
        ps_kd_weight: ``ps_kd``: weight of the previous epoch's prediction in the last epoch, 0 to 1; it grows
            linearly.
    """

    ps_kd_weight: float = 0.8

    def __post_init__(self) -> None:
        check_weight("ps_kd_weight", self.ps_kd_weight)


def _build(options: PSKDOptions, context: LossContext) -> PSKDLoss:
    if context.num_samples is None:
        raise ConfigError("method", "one that needs no index of each example, which this data set lacks", "'ps_kd'")
    size, samples = context.num_labels, context.num_samples
    return PSKDLoss(size, samples, context.epochs, options.ps_kd_weight, context.ignore_index)


METHOD = Method(
    name="ps_kd",
    title="self-distillation",
    formula="H(t, p), t = (1 - a) onehot(y) + a P, P: prediction of the same example in the previous epoch, a grows",
    build=_build,
    options=PSKDOptions,
    citation="Kim et al. 2021, arXiv 2006.12000",
    color="#882255",
    needs_index=True,
    has_state=True,
    large_vocabulary=False,
)
