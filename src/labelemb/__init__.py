"""labelemb: soft labels that a network learns while it trains."""

from typing import TYPE_CHECKING, Any

from labelemb import functional
from labelemb.losses.baselines.label_confusion import LabelConfusionLoss
from labelemb.losses.baselines.label_relaxation import LabelRelaxationLoss
from labelemb.losses.baselines.label_smoothing import LabelSmoothingLoss
from labelemb.losses.baselines.margin_smoothing import MarginSmoothingLoss
from labelemb.losses.baselines.max_sup import MaxSupLoss
from labelemb.losses.baselines.online_label_smoothing import OnlineLabelSmoothingLoss
from labelemb.losses.baselines.ps_kd import PSKDLoss
from labelemb.losses.baselines.soft_label_matrix import SoftLabelMatrixLoss
from labelemb.losses.baselines.tf_kd import TfKDLoss
from labelemb.losses.cross_entropy import LinearCrossEntropyLoss
from labelemb.losses.frozen import FrozenLabelEmbeddingLoss
from labelemb.losses.head_input import capture_head_input
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.loss_model import LossModel
from labelemb.losses.row_loss import RowLoss, SoftTargetLoss
from labelemb.metrics.calibration import calibrate_head
from labelemb.terms.embedding import CompressedLabelEmbedding, DenseLabelEmbedding, LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.output import LossOutput, MixedTargets
from labelemb.terms.rank_local import PendingState
from labelemb.terms.reduction import global_sum
from labelemb.terms.running_mean import RunningMeanLabelEmbedding
from labelemb.terms.shard import LabelShard
from labelemb.version import __version__

__all__ = [
    "CompressedLabelEmbedding",
    "DenseLabelEmbedding",
    "FrozenLabelEmbeddingLoss",
    "LabelConfusionLoss",
    "LabelEmbedding",
    "LabelEmbeddingLoss",
    "LabelRelaxationLoss",
    "LabelShard",
    "LabelSmoothingLoss",
    "LinearCrossEntropyLoss",
    "LossModel",
    "LossOutput",
    "MarginSmoothingLoss",
    "MaxSupLoss",
    "MixedTargets",
    "Objective",
    "OnlineLabelSmoothingLoss",
    "PSKDLoss",
    "PendingState",
    "RowLoss",
    "RunningMeanLabelEmbedding",
    "SoftLabelMatrixLoss",
    "SoftTargetLoss",
    "TfKDLoss",
    "__version__",
    "calibrate_head",
    "capture_head_input",
    "functional",
    "global_sum",
    "load_run",
]

if TYPE_CHECKING:
    from labelemb.tasks.loading import load_run as load_run


def __getattr__(name: str) -> Any:
    """Import ``load_run`` when it is asked for: it needs the extra ``train``."""
    if name == "load_run":
        from labelemb.tasks.loading import load_run

        return load_run
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
