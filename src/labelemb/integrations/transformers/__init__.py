"""Losses of this library inside the Trainer of Hugging Face transformers.

``LabelEmbeddingTrainer(model=model, args=args, train_dataset=...)`` trains any model with a classification or
language-model head; ``LabelEmbeddingMixin`` does the same for another subclass of ``Trainer``. ``record_run`` writes a
run of any ``Trainer`` where ``labelemb report`` compares it with others, and ``calibrate`` makes its probabilities
realistic.
"""

from labelemb.integrations.transformers.calibration import calibrate
from labelemb.integrations.transformers.recording import record_run
from labelemb.integrations.transformers.trainer import LabelEmbeddingMixin, LabelEmbeddingTrainer

__all__ = ["LabelEmbeddingMixin", "LabelEmbeddingTrainer", "calibrate", "record_run"]
