"""Progressive self-knowledge distillation: the model's own prediction of the epoch before softens the label."""

import torch
from torch import Tensor
from torch.nn import functional as F

from labelemb.errors import ConfigError, DataError, check_at_least_one
from labelemb.losses.rank_local import PendingState, SavedState
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.losses.validation import wants_validation
from labelemb.terms.reduction import global_sum
from labelemb.terms.rows import Rows

MOST_BYTES = 4 << 30


class PSKDLoss(SoftTargetLoss):
    """PS-KD: H(t, z1) with t = (1 - a) * onehot y + a * P, a mean over rows.

    P is what the model predicted for the same sample, softmax(z1), when it last trained on it, an epoch ago; onehot y
    for a sample that it sees the first time. a = weight * epoch / epochs grows; epochs count from 1.

    Source: Kim, Ji, Yoon, Hwang 2021, arXiv 2006.12000, equations 4 to 6.

    num_labels    V
    samples       of the training data; each batch says which it holds, ``index``
    epochs        in all; ``epoch_end`` counts them
    weight        a in the last epoch, 0..1
    ignore_index, validate_args  as in ``RowLoss``

    ``past``  its ``value`` is P of each sample, (samples + 1, V) fp32, the last row nobody's; raises ConfigError where
              that is over 4 GiB

    Where it does not train (``eval()``) a batch may come without ``index``: the hard label is alone then. What it
    remembers is of training data, and no number of a validation sample is of use to it.
    """

    def __init__(
        self,
        num_labels: int,
        samples: int,
        epochs: int,
        weight: float = 0.8,
        ignore_index: int = -100,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        for name, value in (("samples", samples), ("epochs", epochs)):
            check_at_least_one(name, value)
        check_weight("weight", weight)
        if 4 * samples * num_labels > MOST_BYTES:
            size = f"{4 * samples * num_labels / 2**30:.1f} GiB for {samples} x {num_labels}"
            raise ConfigError("samples", "a memory of predictions of 4 GiB at the most", size)
        self.samples, self.epochs, self.weight = samples, epochs, weight
        self._set_epoch(0)
        # The row behind the last one takes what ignored rows would write. A row is read before it is written, and
        # once an epoch, so one memory serves both epochs.
        self.past = SavedState(torch.zeros(samples + 1, num_labels))
        self.written = PendingState(samples + 1, dtype=torch.bool)

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """P, (N, V)."""
        onehot = F.one_hot(rows.labels, like.shape[1]).to(like.dtype)
        if rows.index is None and not self.training:
            return onehot
        past = self.past.value[self._places(rows)].to(like.dtype)
        seen = past.sum(1, keepdim=True) > 0
        return torch.where(seen, past, onehot)

    def observe(self, log_p: Tensor, rows: Rows) -> None:
        """Put the predictions of the batch in the place of those of the epoch before."""
        places = self._places(rows)
        self.past.value[places] = log_p.exp().to(self.past.value.dtype)
        self.written.value[places] = True
        self.past.value[self.samples] = 0

    def _places(self, rows: Rows) -> Tensor:
        """Return the row of the memory for each row, (N,)."""
        if rows.index is None:
            raise DataError("index", "the number of each row's sample, for a loss that remembers samples", None)
        places = torch.where(rows.mask, rows.index, self.samples)
        if wants_validation(self.validate_args, places):
            wrong = rows.mask & ((rows.index < 0) | (rows.index >= self.samples))
            if wrong.any():
                raise DataError("index", f"numbers 0..{self.samples - 1}", int(rows.index[wrong][0]))
        return places

    def sync(self) -> None:
        """Let every process know what the others have written since they last did.

        Of a sample that several have seen, as samplers that fill up a last batch let them, the mean counts.
        """
        past, mine = self.past.value, self.written.value[:, None]
        writers = global_sum(mine.to(past.dtype))
        fresh = global_sum(torch.where(mine, past, 0.0)) / writers.clamp(min=1)
        past.copy_(torch.where(writers > 0, fresh, past))
        mine.zero_()

    def epoch_end(self) -> None:
        """Count the epoch and bring together what the processes predicted."""
        self.sync()
        self._set_epoch(self.epoch + 1)

    def _set_epoch(self, done: int) -> None:
        self.epoch = done
        self.hard_weight = 1 - self.weight * min((done + 1) / self.epochs, 1)

    def get_extra_state(self) -> Tensor:
        """Let ``state_dict`` hold the number of epochs, as a tensor so that safetensors can too."""
        return torch.tensor(self.epoch)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the number of epochs back from a ``state_dict``."""
        self._set_epoch(int(state))

    def extra_repr(self) -> str:
        """Say what is chosen when the module is printed."""
        return f"num_labels={self.num_labels}, samples={self.samples}, epochs={self.epochs}, weight={self.weight}"
