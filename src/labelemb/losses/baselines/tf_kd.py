"""Teacher-free distillation with a virtual teacher: a hand-made prediction, softened by a temperature."""

from torch import Tensor

from labelemb.errors import ConfigError
from labelemb.functional import cross_entropy, virtual_teacher_kl
from labelemb.losses.row_loss import RowLoss, check_weight
from labelemb.terms.rows import Rows


class TfKDLoss(RowLoss):
    """Tf-KD_reg: (1 - weight) * H(onehot y, z1) + weight * tau^2 * KL(u_tau || p_tau), means over rows.

    Source: Yuan, Tay, Li, Wang, Feng 2020, arXiv 1909.11723, equations 9 and 10. tau^2 keeps the size of the gradient,
    as in Hinton, Vinyals, Dean 2015 (arXiv 1503.02531); the paper writes no factor, and its program softens the teacher
    alone and multiplies by a constant that it chooses for each model.

    num_labels    V >= 2
    weight        of the teacher, 0..1
    tau           temperature of teacher and model, > 0
    confidence    the teacher's probability of y, above 0, below 1
    ignore_index, validate_args  as in ``RowLoss``

    ``terms`` has "hard" and "teacher".
    """

    def __init__(
        self,
        num_labels: int,
        weight: float = 0.1,
        tau: float = 20.0,
        confidence: float = 0.99,
        ignore_index: int = -100,
        validate_args: bool | None = None,
    ) -> None:
        super().__init__(num_labels, ignore_index, validate_args)
        if num_labels < 2:
            raise ConfigError("num_labels", "2 or more for a virtual teacher", num_labels)
        check_weight("weight", weight)
        if not 0 < tau < float("inf"):
            raise ConfigError("tau", "a temperature > 0", tau)
        if not 0 < confidence < 1:
            raise ConfigError("confidence", "a number above 0 and below 1", confidence)
        self.weight, self.tau, self.confidence = weight, tau, confidence

    def row_terms(self, log_p: Tensor, rows: Rows) -> dict[str, Tensor]:
        """(N, V) -> the two parts, (N,) each."""
        kl = virtual_teacher_kl(log_p, rows.labels, self.confidence, self.tau)
        return {
            "hard": (1 - self.weight) * cross_entropy(log_p, rows.labels),
            "teacher": self.weight * self.tau**2 * kl,
        }
