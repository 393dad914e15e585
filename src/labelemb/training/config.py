"""What the configs of all tasks have in common: keys, their documentation, their checks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from labelemb.errors import Choices, ConfigError
from labelemb.functional import TERMS
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.methods import KEYS, METHODS, MethodConfig, MethodName
from labelemb.ops.backends import Implementation, check_implementation
from labelemb.runs import embedding_file
from labelemb.terms.objective import Cap, Mix, Objective
from labelemb.training.device import Precision, best_precision, check_tracker
from labelemb.training.loop import FitSettings
from labelemb.training.optimizers import OptimizerName, OptimizerSettings, Schedule
from labelemb.training.task import Task


@dataclass(frozen=True)
class TrainingConfig:
    """Configuration of a training run: the keys that all tasks share.

    A task's config is a subclass; it adds keys and may change defaults.

    Args:
        method: Name of the training method (the loss), see ``labelemb.methods``.
        embedding: Learned label embedding to start from, a ``.safetensors`` file or a run directory; labels are matched
            by name. Required by ``frozen_embedding``; without it ``matched_smoothing`` and ``shuffled_embedding`` learn
            one.
        label_matrix: File with a soft label for each class, .csv (matched by name), .npy or .safetensors. Required by
            ``soft_label_matrix``.
        smoothing: ``label_smoothing``: probability mass spread evenly over all labels, 0 to 1.
        ols_weight: ``ols``: weight of the one-hot term, 0 to 1.
        ps_kd_weight: ``ps_kd``: weight of the previous epoch's prediction in the last epoch, 0 to 1; it grows linearly.
        tf_kd_weight: ``tf_kd``: weight of the virtual teacher, 0 to 1.
        tf_kd_tau: ``tf_kd``: temperature of teacher and model.
        relaxation: ``label_relaxation``: probability mass that may lie outside the label without a loss.
        label_confusion_alpha: ``label_confusion``: factor of the one-hot label in the simulated label.
        seed: Random seed; model, loss, data order, augmentation and dropout draw from independent streams.
        epochs: Passes over the training data.
        batch_size: Examples per optimizer step, over all processes.
        gradient_accumulation_steps: Micro-batches per optimizer step; saves memory.
        optimizer: ``adam`` or ``sgd`` (with Nesterov momentum).
        learning_rate: Peak learning rate.
        momentum: Momentum of ``sgd``.
        weight_decay: Weight decay of the model's parameters; the loss's own parameters never get any.
        max_grad_norm: Maximum norm of all gradients together, those of the loss included; 0 disables clipping.
        schedule: Learning-rate schedule: ``constant``, ``step``, ``cosine`` or ``one-cycle``.
        decay_factor: Schedule ``step``: factor of each decay.
        decay_every: Schedule ``step``: epochs between decays.
        tau: Temperature of the auxiliary head's prediction, the target of the label embedding.
        alpha: Confidence of the auxiliary head from which it is penalized, 0 to 1.
        beta: Weight of the hard term in a convex mix, 0 to 1.
        mix: ``convex``: beta * hard + (1 - beta) * soft; ``sum``: hard + soft.
        cap: Penalty on the auxiliary head's confidence: ``hinge`` above alpha, ``absolute`` on both sides of alpha.
        soft_start: Optimizer steps before the soft term is switched on.
        soft_decay: Share of the soft term's weight that is moved to the hard term by the end of the run, linearly from
            soft_start on; 0 disables. Needs a convex mix and an embedding that is learned.
        soft_temperature: Temperature of the model's prediction in the soft term; 1 as published, tau to soften both
            sides alike.
        soft_scale: Factor of the soft term, beside its weight in the mix.
        terms: Comma-separated terms of the label-embedding loss: hard, soft, aux, embedding, cap.
        impl: Implementation of the loss: ``auto``, ``eager``, ``chunked`` or ``fused``.
        precision: ``fp32``, ``bf16`` or ``fp16`` (autocast); ``auto``: bf16 where the hardware supports it.
        device: ``auto`` or ``cpu``.
        tracker: Experiment tracker that Accelerate knows (tensorboard, wandb, ...), or ``none``.

    Raises:
        ConfigError: Names every invalid value at once.
    """

    methods: ClassVar[tuple[MethodName, ...]] = METHODS  # those that the task can do

    method: MethodName = "label_embedding"
    embedding: str | None = None
    label_matrix: str | None = None
    smoothing: float = 0.1
    ols_weight: float = 0.5
    ps_kd_weight: float = 0.8
    tf_kd_weight: float = 0.1
    tf_kd_tau: float = 20.0
    relaxation: float = 0.1
    label_confusion_alpha: float = 4.0
    seed: int = 0
    epochs: int = 15
    batch_size: int = 100
    gradient_accumulation_steps: int = 1
    optimizer: OptimizerName = "adam"
    learning_rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    max_grad_norm: float = 0.0
    schedule: Schedule = "constant"
    decay_factor: float = 0.2
    decay_every: int = 40
    tau: float = 2.0
    alpha: float = 0.9
    beta: float = 0.5
    mix: Mix = "convex"
    cap: Cap = "hinge"
    soft_start: int = 0
    soft_decay: float = 0.0
    soft_temperature: float = 1.0
    soft_scale: float = 1.0
    terms: str = ",".join(TERMS)
    impl: Implementation = "eager"
    precision: Precision = "fp32"
    device: Literal["auto", "cpu"] = "auto"
    tracker: str = "none"

    def __post_init__(self) -> None:
        with Choices() as choices:
            self.expect(choices)

    def expect(self, choices: Choices) -> None:
        """Note what cannot be; a task's config notes that of its own keys as well."""
        for name in ("epochs", "batch_size", "gradient_accumulation_steps"):
            choices.expect(getattr(self, name) >= 1, name, "a whole number >= 1", getattr(self, name))
        choices.expect(self.seed >= 0, "seed", "a whole number >= 0", self.seed)
        choices.expect_one_of("method", self.method, self.methods)
        files = {
            "frozen_embedding": ("embedding", "a file or a run with a label embedding"),
            "soft_label_matrix": ("label_matrix", "a file"),
        }
        if self.method in files:
            key, wanted = files[self.method]
            choices.expect(bool(getattr(self, key)), key, f"{wanted}, for method {self.method}", getattr(self, key))
        chosen = self.share(MethodConfig, leaving=("objective",))  # which would be checked before all others
        choices.include(lambda: MethodConfig(**chosen))
        choices.include(lambda: self.objective)
        choices.expect(not self.soft_decay or self.mix == "convex", "mix", "convex, for soft_decay", self.mix)
        choices.include(lambda: self.optimizer_settings)
        choices.include(lambda: check_implementation(self.impl, None))

    @property
    def objective(self) -> Objective:
        """Return the choices that are the loss's."""
        terms = frozenset(term.strip() for term in self.terms.split(","))
        return Objective(**self.share(Objective) | {"terms": terms})

    @property
    def method_config(self) -> MethodConfig:
        """Return the choices that are the method's. Raises DataError for a run that learned no label embedding."""
        embedding = embedding_file(Path(self.embedding).expanduser()) if self.embedding else None
        matrix = Path(self.label_matrix).expanduser() if self.label_matrix else None
        return MethodConfig(**self.share(MethodConfig) | {"embedding": embedding, "label_matrix": matrix})

    @property
    def files(self) -> dict[str, Path]:
        """Return the files that a run of this method reads, by config key. Raises as ``method_config`` does."""
        method = self.method_config
        files = {"embedding": method.embedding, "label_matrix": method.label_matrix}
        return {key: file for key, file in files.items() if file is not None and self.method in KEYS[key]}

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """Return the choices that are the optimiser's."""
        return OptimizerSettings(**self.share(OptimizerSettings))

    @property
    def fit_settings(self) -> FitSettings:
        """Return the choices that are the training loop's."""
        return FitSettings(**self.share(FitSettings) | {"optimizer": self.optimizer_settings})

    def resolved(self) -> Self:
        """Return the config with "auto" replaced by what this machine has, without what its method has no use for.

        Raises ConfigError for a tracker that this machine does not have.
        """
        check_tracker(self.tracker)
        precision = best_precision(self.device) if self.precision == "auto" else self.precision
        defaults = self.defaults()
        changes: dict[str, Any] = {key: defaults[key] for key, methods in KEYS.items() if self.method not in methods}
        return replace(self, **changes | {"precision": precision})

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return what each key is when nobody says anything."""
        return {field.name: field.default for field in fields(cls)}

    def share(self, kind: type, leaving: Sequence[str] = ()) -> dict[str, Any]:
        """Return the values of the fields that the config has in common with another dataclass, less some."""
        names = [field.name for field in fields(kind) if field.name not in leaving]
        return {name: getattr(self, name) for name in names if hasattr(self, name)}

    def check_length(self, task: Task) -> None:
        """Raise ConfigError for a run that would end before the soft term is on."""
        total_steps = self.epochs * task.steps_per_epoch
        if isinstance(task.loss, LabelEmbeddingLoss) and self.soft_start >= total_steps:
            raise ConfigError(
                "soft_start",
                f"fewer steps than the run has ({total_steps})",
                self.soft_start,
                f"About 0.4 of all steps is usual: {int(0.4 * total_steps)}",
            )
