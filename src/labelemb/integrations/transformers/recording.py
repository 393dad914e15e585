"""``record_run``: a run of any ``Trainer`` as a run folder, for ``labelemb report``."""

import hashlib
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from torch import nn
from transformers import Trainer

from labelemb.errors import ConfigError
from labelemb.integrations.transformers.checkpoint_files import label_names_of
from labelemb.integrations.transformers.predictions import bare_model, check_trainer, predicted
from labelemb.integrations.transformers.trainer import LabelEmbeddingMixin
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.runs.folder import RunFolder
from labelemb.runs.importers import evaluations
from labelemb.runs.recorder import Recorder, check_run_names, checked_logits
from labelemb.terms.embedding import LabelEmbedding


def record_run(
    trainer: Trainer,
    test_dataset: Any,
    experiment: str,
    method: str | None = None,
    *,
    seed: int | None = None,
    out: Path | str = "runs",
    label_names: Sequence[str] | None = None,
) -> RunFolder:
    """Evaluate a trained classifier on test data and write ``OUT/EXPERIMENT/METHOD/seed-N``; return that folder.

    The folder has the evaluations during training, the metrics and predictions on the test data and, if the loss learns
    one, the label embedding. Record runs of ``Trainer`` and ``LabelEmbeddingTrainer`` with the same seeds, then
    ``labelemb report OUT/EXPERIMENT`` compares them: intervals, confusion matrices, soft labels. With several
    processes, call it on all of them.

    Args:
        trainer: A ``Trainer`` after ``train()``, of a model with one label per example.
        test_dataset: Data that neither training nor model selection has used, as ``trainer.predict`` takes it.
        experiment: Name of the data set or task.
        method: Name of the method in the report; None: "cross_entropy", "label_smoothing" or "label_embedding",
            whichever the trainer uses.
        seed: Random seed of the run; None: ``trainer.args.seed``.
        out: Directory of all runs.
        label_names: The V label names; None: those of the model's config.

    Raises:
        ConfigError: Before training, for a folder that holds a run already, for another kind of model, for labels out
            of range and logits that are not finite, and without ``method`` for a loss other than these.
        ShapeError: For label names that are not one per logit.

    Example:
        ```python
        trainer = LabelEmbeddingTrainer(model=model, args=args, train_dataset=train)
        trainer.train()
        record_run(trainer, test, experiment="intents")
        ```
    """
    check_trainer(trainer)
    if not trainer.state.global_step:
        raise ConfigError("trainer", "one that has trained", "no steps", "Call trainer.train() first")
    model: Any = trainer.accelerator.unwrap_model(trainer.model)
    number = trainer.args.seed if seed is None else seed
    name = _method_of(trainer, model) if method is None else method
    check_run_names(experiment, name, number)
    run = RunFolder.of(out, experiment, name, number)
    if run.finished:
        hint = "Choose another seed or out, or remove that folder"
        raise ConfigError("out", "a folder without a run", str(run.path), hint)
    logits, labels = predicted(trainer, test_dataset, "test_dataset")
    if not trainer.is_world_process_zero():
        return run
    bare = bare_model(trainer)
    digest = hashlib.sha256(labels.numpy().tobytes()).hexdigest()[:16]
    names = label_names if label_names is not None else label_names_of(bare, logits.shape[1])
    checked_logits("test", (logits, labels), names)  # before a folder is made
    settings = _settings(trainer, getattr(bare, "config", None))
    recorder = Recorder(out, experiment, name, number, settings, digest, names)
    with recorder.run.locked():
        recorder.replace([])  # of an unfinished recording
        *earlier, last = _evaluations(trainer)
        for line in earlier:
            recorder.log(**line)
        recorder.log(**last, logits={"test": (logits, labels)})
        embedding = getattr(getattr(model, "loss", None), "embedding", None)
        if isinstance(embedding, LabelEmbedding):
            recorder.save_label_embedding(embedding)
        recorder.finish()
    return recorder.run


def _method_of(trainer: Trainer, model: nn.Module) -> str:
    """Return the name of the method that a trainer uses. Raises ConfigError for a loss without an obvious one."""
    if isinstance(trainer, LabelEmbeddingMixin):
        loss = getattr(model, "loss", None)
        if type(loss) is LabelEmbeddingLoss:
            return "label_embedding"
        raise ConfigError("method", f"a name for runs with {type(loss).__name__}", None)
    return "label_smoothing" if trainer.args.label_smoothing_factor else "cross_entropy"


def _settings(trainer: Trainer, config: Any) -> dict[str, Any]:
    """Return the options that the report shows."""
    args = trainer.args
    temperature = getattr(trainer, "calibration_temperature", None)  # set by calibrate()
    return {
        "model": str(
            getattr(config, "_name_or_path", "") or getattr(config, "model_type", type(trainer.model).__name__)
        ),
        "steps": trainer.state.max_steps,
        "batch_size": args.per_device_train_batch_size * args.gradient_accumulation_steps * args.world_size,
        "learning_rate": args.learning_rate,
        "weight_decay": args.weight_decay,
        "schedule": str(getattr(args.lr_scheduler_type, "value", args.lr_scheduler_type)),
        "calibrated": temperature is not None,
        **({} if temperature is None else {"calibration_temperature": round(temperature, 4)}),
        **_objective_settings(getattr(trainer.accelerator.unwrap_model(trainer.model), "loss", None)),
    }


def _objective_settings(loss: object) -> dict[str, Any]:
    """Return the options of a label embedding's objective under their names in ``labelemb train``."""
    if not isinstance(loss, LabelEmbeddingLoss):
        return {}
    options = {field.name: getattr(loss.objective, field.name) for field in fields(loss.objective)}
    return options | {"terms": sorted(loss.objective.terms)}


def _evaluations(trainer: Trainer) -> list[dict[str, Any]]:
    """Return the evaluations during training as ``Recorder.log`` takes them; the last one is that of the last step.

    The line of the last step has no metrics where ``Trainer`` did not evaluate then.
    """
    lines: list[dict[str, Any]] = [*evaluations(trainer.state.log_history)]
    end = {"epoch": max(1, math.ceil(trainer.state.epoch or 1)), "step": trainer.state.global_step}
    last = lines.pop() if lines and lines[-1]["step"] >= end["step"] else {}
    return [
        {
            name: value
            for name, value in line.items()
            if name in ("epoch", "step") or name.startswith(("valid_", "test_"))
        }
        for line in [*lines, last | end]
    ]
