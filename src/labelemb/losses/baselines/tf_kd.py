"""Teacher-free distillation: a fixed virtual teacher, softened by a temperature."""

from dataclasses import dataclass

from torch import Tensor

from labelemb.errors import Choices, ConfigError
from labelemb.functional import cross_entropy, virtual_teacher_kl
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_loss import RowLoss, check_weight
from labelemb.terms.rows import Rows


class TfKDLoss(RowLoss):
    """Tf-KD_reg: ``(1 - weight) * H(onehot(y), p) + weight * tau^2 * KL(u_tau || p_tau)``, means over rows.

    The virtual teacher u gives the label the probability ``confidence`` and spreads the rest evenly, see
    ``functional.virtual_teacher_kl``.
    Source: Yuan, Tay, Li, Wang, Feng 2020, arXiv 1909.11723, equations 9 and 10. The factor tau^2 keeps the size of the
    gradient, as in Hinton, Vinyals, Dean 2015 (arXiv 1503.02531); the paper has no factor, and its code softens the
    teacher only and multiplies by a constant chosen per model.

    Terms: "hard", "teacher".

    Args:
        num_labels: Number of labels V, at least 2.
        weight: Weight of the teacher, 0 to 1.
        tau: Temperature of teacher and model, > 0.
        confidence: The teacher's probability of the label, above 0 and below 1.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.

    Raises:
        ConfigError: An argument is out of range.
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
        """Return the two terms, shape ``(N,)`` each."""
        kl = virtual_teacher_kl(log_p, rows.labels, self.confidence, self.tau)
        return {
            "hard": (1 - self.weight) * cross_entropy(log_p, rows.labels),
            "teacher": self.weight * self.tau**2 * kl,
        }

    def term_weights(self) -> dict[str, float]:
        """Return the weights of both terms."""
        return {"hard": 1 - self.weight, "teacher": self.weight * self.tau**2}


@dataclass(frozen=True)
class TfKDOptions(MethodOptions):
    """Options of ``tf_kd``.

    Args:
        tf_kd_weight: ``tf_kd``: weight of the virtual teacher, 0 to 1.
        tf_kd_tau: ``tf_kd``: temperature of teacher and model.
    """

    tf_kd_weight: float = 0.1
    tf_kd_tau: float = 20.0

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect(0 <= self.tf_kd_weight <= 1, "tf_kd_weight", "a number from 0 to 1", self.tf_kd_weight)
            choices.expect(0 < self.tf_kd_tau < float("inf"), "tf_kd_tau", "a temperature > 0", self.tf_kd_tau)


def _build(options: TfKDOptions, context: LossContext) -> TfKDLoss:
    return TfKDLoss(context.num_labels, options.tf_kd_weight, options.tf_kd_tau, ignore_index=context.ignore_index)


METHOD = Method(
    name="tf_kd",
    title="virtual teacher",
    formula="(1 - w) H(onehot(y), p) + w tau^2 KL(u_tau, p_tau), u[y] = 0.99, the rest even",
    build=_build,
    options=TfKDOptions,
    citation="Yuan et al. 2020, arXiv 1909.11723",
    color="#117733",
)
