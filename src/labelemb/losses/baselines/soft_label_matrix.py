"""Fixed soft labels given by the user: a matrix with a row for each label."""

from dataclasses import dataclass

from torch import Tensor

from labelemb.losses.method import LossContext, Method, MethodOptions, file_option, required_path
from labelemb.losses.row_loss import SoftTargetLoss, check_weight
from labelemb.losses.soft_label_files import check_soft_labels, read_soft_labels
from labelemb.terms.rows import Rows


class SoftLabelMatrixLoss(SoftTargetLoss):
    """Cross entropy with given soft labels: ``H(t, p)``, ``t = beta * onehot(y) + (1 - beta) * M[y]``, mean over rows.

    Args:
        soft_labels: M, floating point, shape ``(V, V)``; row y is the soft label of y, >= 0 with sum 1.
        beta: Weight of the hard term, 0 to 1.
        ignore_index: Target value to ignore, as in ``nn.CrossEntropyLoss``.
        validate_args: See ``RowLoss``.

    Raises:
        ConfigError: ``beta`` is out of range.
        DataError: ``soft_labels`` is not a square matrix of probabilities.
    """

    supports_mixed_targets = True
    soft_labels: Tensor

    def __init__(
        self, soft_labels: Tensor, beta: float = 0.5, ignore_index: int = -100, validate_args: bool | None = None
    ) -> None:
        check_soft_labels("soft_labels", soft_labels)
        super().__init__(len(soft_labels), ignore_index, validate_args)
        check_weight("beta", beta)
        self.hard_weight = beta
        self.register_buffer("soft_labels", soft_labels.detach().clone())

    def soft_targets(self, rows: Rows, like: Tensor) -> Tensor:
        """Return M[y], shape ``(N, V)``."""
        return self.soft_labels[rows.labels].to(like.dtype)


@dataclass(frozen=True)
class SoftLabelMatrixOptions(MethodOptions):
    """Options of ``soft_label_matrix``.

    Args:
        label_matrix: ``soft_label_matrix``: file with a soft label for each class, .csv (matched by name), .npy or
            .safetensors.
    """

    label_matrix: str | None = file_option("file")


def _build(options: SoftLabelMatrixOptions, context: LossContext) -> SoftLabelMatrixLoss:
    soft_labels = read_soft_labels(required_path(options.label_matrix), context.label_names)
    return SoftLabelMatrixLoss(soft_labels, context.objective.beta, context.ignore_index)


METHOD = Method(
    name="soft_label_matrix",
    title="own soft labels",
    formula="H(t, p), t = beta onehot(y) + (1 - beta) M[y], M: the given matrix",
    build=_build,
    options=SoftLabelMatrixOptions,
    color="#a6761d",
    required=("label_matrix",),
    mixed_targets="always",
    large_vocabulary=False,
)
