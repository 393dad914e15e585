"""labelemb: soft labels that a network learns while it trains."""

from labelemb.losses.base import LossOutput, MixedTargets, global_sum
from labelemb.losses.cross_entropy import CrossEntropyLoss
from labelemb.losses.embedding import CompressedLabelEmbedding, DenseLabelEmbedding, LabelEmbedding
from labelemb.losses.head_input import HeadInput
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.objective import Objective
from labelemb.losses.own_state import Notes
from labelemb.losses.reuse import ReusedEmbeddingLoss
from labelemb.losses.rivals.confusion import ConfusionLoss
from labelemb.losses.rivals.matrix import SoftLabelMatrixLoss
from labelemb.losses.rivals.online import OnlineSmoothingLoss
from labelemb.losses.rivals.past import PastPredictionLoss
from labelemb.losses.rivals.relaxation import RelaxationLoss
from labelemb.losses.rivals.smoothing import SmoothingLoss
from labelemb.losses.rivals.virtual_teacher import VirtualTeacherLoss
from labelemb.losses.row_loss import RowLoss, SoftTargetLoss

__version__ = "0.1.0"

__all__ = [
    "CompressedLabelEmbedding",
    "ConfusionLoss",
    "CrossEntropyLoss",
    "DenseLabelEmbedding",
    "HeadInput",
    "LabelEmbedding",
    "LabelEmbeddingLoss",
    "LossOutput",
    "MixedTargets",
    "Notes",
    "Objective",
    "OnlineSmoothingLoss",
    "PastPredictionLoss",
    "RelaxationLoss",
    "ReusedEmbeddingLoss",
    "RowLoss",
    "SmoothingLoss",
    "SoftLabelMatrixLoss",
    "SoftTargetLoss",
    "VirtualTeacherLoss",
    "global_sum",
]
