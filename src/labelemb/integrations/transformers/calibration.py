"""``calibrate``: realistic probabilities for the classifier of any ``Trainer``."""

from typing import Any

from transformers import Trainer

from labelemb.integrations.transformers.predictions import bare_model, predicted
from labelemb.losses.head_search import check_logits_unchanged, find_head
from labelemb.losses.loss_model import LossModel
from labelemb.metrics.calibration import calibrate_head


def calibrate(trainer: Trainer, dataset: Any) -> float:
    """Fit a temperature T to the classifier of a trained model and divide its weight and bias by it; return T.

    The predicted labels stay, their probabilities become realistic, also in the model that is saved or exported later.
    Call it after ``train()`` and before ``record_run`` or ``save_model``. With several processes, call it on all of
    them.

    Args:
        trainer: A ``Trainer`` or ``LabelEmbeddingTrainer`` of a model with one label per example.
        dataset: Data that the model was not trained on and will not be tested on, as ``trainer.predict`` takes it.

    Raises:
        ConfigError: For a model of another kind, a classifier whose output is not proportional to its weight and bias
            (LoRA), labels out of range, and logits that are not finite.
        DataError: The data set is empty or has no labels, or its predictions are all correct. In each of these cases
            the model is not changed.

    Example:
        ```python
        trainer = LabelEmbeddingTrainer(model=model, args=args, train_dataset=train)
        trainer.train()
        calibrate(trainer, valid)
        trainer.export().save_pretrained("intents")
        ```
    """
    logits, labels = predicted(trainer, dataset, "dataset")
    check_logits_unchanged(bare_model(trainer))
    model = trainer.accelerator.unwrap_model(trainer.model)
    head = model.head if isinstance(model, LossModel) else find_head(model, None, logits.shape[1])
    temperature = calibrate_head(head, logits, labels)
    trainer.calibration_temperature = temperature * getattr(trainer, "calibration_temperature", 1.0)  # for record_run
    return temperature
