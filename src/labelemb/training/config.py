"""The configuration that all tasks share: keys, their documentation and their checks."""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeVar, get_args, get_type_hints

from labelemb.errors import Choices, ConfigError, DataError
from labelemb.functional import TERMS
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.method import MethodOptions
from labelemb.methods import METHODS, methods_using, option_classes
from labelemb.ops.backends import Implementation, check_implementation
from labelemb.runs import RunFolder, embedding_file
from labelemb.runs.schema import check_schema
from labelemb.terms.objective import Cap, EmbeddingUpdate, Mix, Objective
from labelemb.training.device import Precision, best_precision, check_tracker
from labelemb.training.optimizers import OptimizerName, OptimizerSettings, Schedule
from labelemb.training.parallel import Sharding
from labelemb.training.settings import FitSettings
from labelemb.training.task import Task

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    class AllMethodOptions:
        """The options of all methods; which there are is known at run time only."""

else:
    AllMethodOptions = dataclass(frozen=True)(type("AllMethodOptions", tuple(option_classes()), {}))

MOST_PIECES = 10_000  # micro-batches per step
T = TypeVar("T", bound="DataclassInstance")


@dataclass(frozen=True)
class TrainingConfig(AllMethodOptions):
    """Configuration of a training run: the keys that all tasks share.

    A task's config is a subclass; it adds keys and may change defaults. The options of every method in
    ``labelemb.methods`` are keys as well; they are inherited from the methods' option dataclasses.

    Args:
        method: Name of the training method (the loss), see ``labelemb.methods``.
        seed: Random seed; model, loss, data order, augmentation and dropout draw from independent streams.
        epochs: Passes over the training data.
        batch_size: Examples per optimizer step, over all processes.
        gradient_accumulation_steps: Micro-batches per optimizer step; saves memory.
        optimizer: ``adam``, ``adamw`` (decoupled weight decay) or ``sgd`` (with Nesterov momentum).
        learning_rate: Peak learning rate.
        momentum: Momentum of ``sgd``.
        weight_decay: Weight decay of the model's parameters; the loss's own parameters never get any.
        max_grad_norm: Maximum norm of all gradients together, those of the loss included; 0 disables clipping.
        schedule: ``constant``, ``step``, ``cosine``, ``one-cycle`` or ``linear`` (with warm-up).
        decay_factor: Schedule ``step``: factor of each decay.
        decay_every: Schedule ``step``: epochs between decays.
        tau: Temperature of the auxiliary head's prediction, the target of the label embedding.
        alpha: Confidence of the auxiliary head from which it is penalized, 0 to 1.
        beta: Weight of the hard term in a convex mix, 0 to 1.
        mix: ``convex``: beta * hard + (1 - beta) * soft; ``sum``: hard + soft.
        cap: Penalty on the auxiliary head's confidence: ``hinge`` above alpha, ``absolute`` on both sides of alpha.
        soft_start: Optimizer steps before the soft term is switched on.
        soft_temperature: Temperature of the model's prediction in the soft term; 1 as published, tau to soften both
            sides alike.
        soft_scale: Factor of the soft term, in addition to its weight in the mix.
        embedding_update: How the label embedding is learned: ``gradient`` (as published) or ``running_mean`` of the
            auxiliary head's softened predictions, made at the end of each epoch.
        terms: Comma-separated terms of the label-embedding loss: hard, soft, aux, embedding, cap.
        eval_interval: Optimizer steps between evaluations; null: once per epoch.
        impl: Implementation of the loss: ``auto``, ``eager``, ``chunked`` or ``fused``.
        patience: Stop after this many evaluations without an improvement of the validation metric that selects
            best.pt; null: train all epochs.
        precision: ``fp32``, ``bf16`` or ``fp16`` (autocast); ``auto``: bf16 where the hardware supports it.
        device: ``auto`` (a GPU if there is one) or ``cpu``.
        sharding: How several processes (torchrun) share the weights: ``none``: each has all of them (DDP); ``fsdp``:
            weights, gradients and optimizer state are split between steps (PyTorch's ``fully_shard``).
        tracker: Experiment tracker that Accelerate knows (tensorboard, wandb, ...), or ``none``.

    Raises:
        ConfigError: Names every invalid value at once.
    """

    methods: ClassVar[tuple[str, ...]] = tuple(METHODS)  # those that the task supports

    method: str = "label_embedding"
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
    soft_temperature: float = 1.0
    soft_scale: float = 1.0
    embedding_update: EmbeddingUpdate = "gradient"
    terms: str = ",".join(TERMS)
    eval_interval: int | None = None
    impl: Implementation = "auto"
    patience: int | None = None
    precision: Precision = "fp32"
    device: Literal["auto", "cpu"] = "auto"
    sharding: Sharding = "none"
    tracker: str = "none"

    def __post_init__(self) -> None:
        with Choices() as choices:
            self.check_values(choices)

    def check_values(self, choices: Choices) -> None:
        """Report invalid values to ``choices``; a task's config overrides this to check its own keys as well."""
        choices.expect_numbers(vars(self))
        for name in ("epochs", "batch_size", "gradient_accumulation_steps"):
            choices.expect(getattr(self, name) >= 1, name, "a whole number >= 1", getattr(self, name))
        interval = self.eval_interval
        choices.expect(interval is None or interval >= 1, "eval_interval", "a whole number >= 1, or null", interval)
        pieces, most = self.gradient_accumulation_steps, self.batch_size
        choices.expect(pieces <= MOST_PIECES, "gradient_accumulation_steps", f"at most {MOST_PIECES:,}", pieces)
        choices.expect(pieces <= most, "gradient_accumulation_steps", f"at most batch_size ({most})", pieces)
        choices.expect(
            self.patience is None or self.patience >= 1, "patience", "a whole number >= 1, or null", self.patience
        )
        choices.expect(self.seed >= 0, "seed", "a whole number >= 0", self.seed)
        choices.expect_one_of("method", self.method, self.methods)
        for options in option_classes():
            choices.include(partial(self.values_of, options))
        choices.include(lambda: self.objective)
        if self.method in METHODS:
            method = METHODS[self.method]
            choices.include(lambda: method.check(self.values_of(method.options), self.objective))
        choices.include(lambda: self.optimizer_settings)
        choices.include(lambda: check_implementation(self.impl, None))
        choices.expect_one_of("sharding", self.sharding, get_args(Sharding))
        scaled = self.sharding == "fsdp" and self.precision == "fp16"
        choices.expect(not scaled, "precision", "fp32 or bf16 with sharding fsdp", self.precision)

    @property
    def objective(self) -> Objective:
        """How the terms of the label-embedding loss are combined."""
        return self.values_of(Objective, terms=frozenset(term.strip() for term in self.terms.split(",")))

    @property
    def method_options(self) -> MethodOptions:
        """The options of the method, with the paths of files resolved.

        Raises:
            DataError: The option names a run that learned no label embedding.
        """
        return self.values_of(
            METHODS[self.method].options, **{key: str(file) for key, file in self._method_files().items()}
        )

    @property
    def files(self) -> dict[str, Path]:
        """The files that a run reads, by config key; a task adds its own. Raises as ``method_options`` does."""
        return self._method_files()

    def _method_files(self) -> dict[str, Path]:
        kinds = METHODS[self.method].file_kinds
        paths = {key: Path(getattr(self, key)).expanduser() for key in kinds if getattr(self, key)}
        return {key: embedding_file(path) if kinds[key] == "label_embedding" else path for key, path in paths.items()}

    @property
    def optimizer_settings(self) -> OptimizerSettings:
        """The keys of the optimizer."""
        return self.values_of(OptimizerSettings)

    @property
    def fit_settings(self) -> FitSettings:
        """The keys of the training loop."""
        return self.values_of(FitSettings, optimizer=self.optimizer_settings)

    def resolved(self) -> Self:
        """Return the config with ``auto`` resolved for this machine and options of other methods set to defaults.

        So the config of a run does not depend on the options of the other methods in a comparison.

        Raises:
            ConfigError: The tracker is not installed.
        """
        check_tracker(self.tracker)
        precision = best_precision(self.device) if self.precision == "auto" else self.precision
        unused = [key for key in self.defaults() if methods_using(key) and self.method not in methods_using(key)]
        defaults = self.defaults()
        changes: dict[str, Any] = {key: defaults[key] for key in unused}
        return replace(self, **changes | {"precision": precision})

    @classmethod
    def read(cls, run: RunFolder, required: Sequence[str] = ()) -> Self:
        """Read the configuration of a run; keys that this version does not know are left out.

        Args:
            run: A run folder.
            required: Keys without which the run is of another task.

        Raises:
            DataError: A required key is missing, or a value has the wrong type or range.
        """
        content = run.config()
        if missing := [key for key in required if key not in content]:
            raise DataError(str(run.config_file), f"a run with {', '.join(required)}", f"no {missing[0]}")
        types = {field.name: cls.types()[field.name] for field in fields(cls) if field.name in content}
        values = {key: check_schema(f"{run.config_file}, {key}", kind, content[key]) for key, kind in types.items()}
        try:
            return cls(**values)
        except ConfigError as error:
            raise DataError(str(run.config_file), "values in range", error) from error

    @classmethod
    def types(cls) -> dict[str, Any]:
        """Return the type of each option."""
        return get_type_hints(cls)

    @classmethod
    def defaults(cls) -> dict[str, Any]:
        """Return the default of each key."""
        return {field.name: field.default for field in fields(cls)}

    def values_of(self, kind: type[T], **others: Any) -> T:
        """Return another dataclass with the fields that it shares with the config.

        Args:
            kind: The dataclass.
            others: Values of further fields.
        """
        shared = {field.name: getattr(self, field.name) for field in fields(kind) if hasattr(self, field.name)}
        return kind(**shared | others)

    def check_length(self, task: Task) -> None:
        """Raise ConfigError if the run would end before the soft term is switched on."""
        total_steps = self.epochs * task.steps_per_epoch
        if isinstance(task.loss, LabelEmbeddingLoss) and self.soft_start >= total_steps:
            raise ConfigError(
                "soft_start",
                f"fewer steps than the run has ({total_steps})",
                self.soft_start,
                f"About 0.4 of all steps is usual: {int(0.4 * total_steps)}",
            )
