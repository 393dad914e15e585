"""``LabelEmbeddingTrainer`` and the mixin for other subclasses of ``Trainer``."""

import inspect
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PreTrainedModel, Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from labelemb.errors import ConfigError
from labelemb.integrations.transformers.checkpoint_files import load_loss, save_loss
from labelemb.losses.attach import check_learning_rate
from labelemb.losses.base import Loss
from labelemb.losses.head_search import find_head, weight_of
from labelemb.losses.label_embedding import LabelEmbeddingLoss
from labelemb.losses.loss_model import LossModel
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective


class TrainerLossModel(LossModel):
    """``LossModel`` that answers for the attributes of the model that ``Trainer`` asks for (config, generate, ...)."""

    def __getattr__(self, name: str) -> Any:
        """Look an attribute up in the model where this module has none."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)


class EpochEnd(TrainerCallback):
    """Tells a loss that an epoch has ended, for losses that keep a mean over each epoch."""

    def __init__(self, loss: Loss) -> None:
        self.loss = loss

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Call ``loss.epoch_end()``, except where the end of training cuts an epoch short."""
        if not control.should_training_stop or float(state.epoch or 0).is_integer():
            self.loss.epoch_end()


class LabelEmbeddingMixin:
    """Train ``Trainer``'s model with a loss of this library.

    Put it in front of a ``Trainer`` class. The loss's parameters are trained in a group of their own, without weight
    decay and with a learning rate of their own, saved in each checkpoint and restored on resume. Checkpoints hold the
    bare model, so that ``from_pretrained`` loads them, and the loss in ``loss.safetensors``; a label embedding is also
    written to ``labels.safetensors`` with the label names. Gradient accumulation and several processes give the
    gradients of one large batch. The evaluation loss is plain cross entropy.

    Args:
        *args: Those of ``Trainer``.
        loss: A loss of this library; None: ``LabelEmbeddingLoss`` for the model's head.
        objective: Options of that ``LabelEmbeddingLoss``: an ``Objective``, or a function that returns one for the
            number of optimizer steps of the training, such as ``Objective.recommended``; None: the published form.
        loss_lr: Learning rate of the loss's parameters; None: that of ``Loss.attach``.
        head: The model's classifier or its name; None: found by itself.
        **kwargs: Those of ``Trainer``.

    Raises:
        ConfigError: For ``label_smoothing_factor``, ``compute_loss_func`` or ``model_init``, for both
            ``loss`` and ``objective``, for an ``objective`` or a ``loss_lr`` of another kind, and for a model without a
            head.
    """

    def __init__(
        self,
        *args: Any,
        loss: Loss | None = None,
        objective: Objective | Callable[[int], Objective] | None = None,
        loss_lr: float | None = None,
        head: nn.Module | str | None = None,
        **kwargs: Any,
    ) -> None:
        model = kwargs.pop("model", args[0] if args else None)
        arguments = kwargs.get("args", args[1] if len(args) > 1 else None)
        _check_arguments(model, arguments, kwargs)
        check_learning_rate("loss_lr", loss_lr)
        if objective is not None and (loss is not None or isinstance(model, LossModel)):
            raise ConfigError(
                "objective", "None where a loss is given", type(objective).__name__, "Give it to the loss"
            )
        self._loss_lr, self._attached, self._resumes = loss_lr, False, False
        self._objective_of = None
        if objective is not None and not isinstance(objective, Objective):
            # The number of steps is known once training starts.
            self._objective_of, objective = objective, _objective_for(objective, 1)
        wrapped = model if isinstance(model, LossModel) else _wrap(model, loss, objective, head)
        super().__init__(wrapped, *args[1:], **kwargs)
        self.add_callback(EpochEnd(wrapped.loss))
        # The loss counts rows over micro-batches and processes itself, given the number of rows of the whole batch.
        self.loss_is_scaled_for_ga = True
        self.model_accepts_loss_kwargs = True
        self._loss_shifts_labels = wrapped.shift_labels
        self._term_sums: dict[str, Tensor] = {}
        self._term_steps = 0

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Tensor | int | None = None,
    ) -> Any:
        """Return the loss, and with ``return_outputs`` the outputs too."""
        items = num_items_in_batch if model.training else None
        outputs = model(**inputs, num_items_in_batch=items)
        if model.training:
            self._record_terms()
        return (outputs["loss"], outputs) if return_outputs else outputs["loss"]

    def create_optimizer(self, *args: Any, **kwargs: Any) -> Optimizer:
        """Create the optimizer of ``Trainer`` and attach the loss to it."""
        made = self.optimizer is None
        optimizer: Optimizer = super().create_optimizer(*args, **kwargs)
        if made or not self._attached:
            self._loss.attach(optimizer, self._loss_lr)
            self._attached = True
        return optimizer

    def create_scheduler(self, num_training_steps: int, *args: Any, **kwargs: Any) -> Any:
        """Create the scheduler of ``Trainer``, and the objective that depends on the number of steps.

        Another call of ``train`` restarts both, unless it resumes from a checkpoint.
        """
        if self._objective_of is not None:
            assert isinstance(self._loss, LabelEmbeddingLoss)
            objective = _objective_for(self._objective_of, num_training_steps)
            if self._resumes:
                self._loss.objective = objective
            else:
                self._loss.restart(objective)
        self._resumes = False
        return super().create_scheduler(num_training_steps, *args, **kwargs)

    def get_decay_parameter_names(self, model: nn.Module) -> list[str]:
        """Leave the loss's parameters out of weight decay."""
        names: list[str] = super().get_decay_parameter_names(model)
        return [name for name in names if not name.startswith("loss.")]

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the means of the loss's terms since the last log."""
        if "loss" in logs and self._term_steps:
            logs |= {f"loss_{name}": float(value) / self._term_steps for name, value in self._term_sums.items()}
            self._term_sums, self._term_steps = {}, 0
        super().log(logs, *args, **kwargs)

    @property
    def _loss_model(self) -> LossModel:
        """The model and its loss, without DistributedDataParallel and the like."""
        unwrapped: LossModel = self.accelerator.unwrap_model(self.model)
        return unwrapped

    @property
    def _loss(self) -> Loss:
        return self._loss_model.loss

    @contextmanager
    def _bare_model(self) -> Iterator[None]:
        """Hand the bare model to methods of ``Trainer`` that read, save or load ``self.model``."""
        outer, self.model = self.model, self._loss_model.model
        try:
            yield
        finally:
            self.model = outer

    def _record_terms(self) -> None:
        output = self._loss_model.last_output
        if output is None:
            return
        accumulation = self.current_gradient_accumulation_steps
        for name, value in output.terms.items():
            self._term_sums[name] = self._term_sums.get(name, torch.zeros_like(value)) + value
        self._term_steps += 1 / accumulation if accumulation else 1

    def _set_signature_columns_if_needed(self) -> None:
        """Keep the columns that the bare model takes."""
        with self._bare_model():
            super()._set_signature_columns_if_needed()

    def _save_checkpoint(self, *args: Any, **kwargs: Any) -> None:
        """All-reduce the state of the loss, then save a checkpoint; ``Trainer`` calls it on all processes."""
        self._loss.sync()
        super()._save_checkpoint(*args, **kwargs)

    def _save(self, output_dir: str | None = None, state_dict: dict[str, Tensor] | None = None) -> None:
        """Save the bare model as ``Trainer`` does, and the loss in the same folder."""
        folder = Path(output_dir if output_dir is not None else self.args.output_dir)
        bare = None if state_dict is None else _without_prefix(state_dict, "model.")
        with self._bare_model():
            super()._save(str(folder), bare)
        if self.args.should_save:
            save_loss(self._loss_model, folder)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        """Restore the bare model and the loss of a checkpoint."""
        wrapper: LossModel = self.accelerator.unwrap_model(model if model is not None else self.model)
        super()._load_from_checkpoint(resume_from_checkpoint, wrapper.model)
        load_loss(wrapper.loss, Path(resume_from_checkpoint))
        self._resumes = True

    def _load_best_model(self) -> None:
        """Restore model and loss of the best checkpoint."""
        with self._bare_model():
            super()._load_best_model()
        load_loss(self._loss, Path(self.state.best_model_checkpoint))


class LabelEmbeddingTrainer(LabelEmbeddingMixin, Trainer):
    """``transformers.Trainer`` that trains with a loss of this library, by default ``LabelEmbeddingLoss``.

    Two lines change in a script: the import, and the class.

    Example:
        ```python
        from labelemb.integrations.transformers import LabelEmbeddingTrainer

        trainer = LabelEmbeddingTrainer(model=model, args=args, train_dataset=train, eval_dataset=valid)
        trainer.train()
        trainer.label_embedding.soft_labels()  # (V, V)
        ```
    """

    @property
    def label_embedding(self) -> LabelEmbedding:
        """The label embedding that is learned.

        Raises:
            ConfigError: For a loss that learns none.
        """
        embedding = getattr(self._loss, "embedding", None)
        if not isinstance(embedding, LabelEmbedding):
            raise ConfigError("loss", "one that learns a label embedding", type(self._loss).__name__)
        return embedding

    def export(self) -> nn.Module:
        """Return the bare model, for ``save_pretrained`` or inference."""
        return self._loss_model.export()


def _check_arguments(model: object, arguments: Any, kwargs: dict[str, Any]) -> None:
    if kwargs.get("model_init") is not None:
        hint = "Pass model=model_init() and make a new trainer for each trial"
        raise ConfigError("model_init", "None with a loss that belongs to one model", "a function", hint)
    if not isinstance(model, nn.Module):
        raise ConfigError("model", "an nn.Module, such as a PreTrainedModel", type(model).__name__)
    if kwargs.get("compute_loss_func") is not None:
        raise ConfigError("compute_loss_func", "None: the loss is given as loss=", "a function")
    factor = getattr(arguments, "label_smoothing_factor", 0.0)
    if factor:
        hint = "For label smoothing alone pass loss=LabelSmoothingLoss(smoothing)"
        raise ConfigError(
            "label_smoothing_factor", "0 with a loss of labelemb, or targets are softened twice", factor, hint
        )
    if getattr(arguments, "world_size", 1) > 1 and not getattr(arguments, "average_tokens_across_devices", True):
        hint = "Rows are counted over all processes"
        raise ConfigError("average_tokens_across_devices", "True with several processes", False, hint)


def _objective_for(objective_of: Callable[[int], Objective], steps: int) -> Objective:
    """Return the objective of a training of so many steps.

    Raises:
        ConfigError: For anything but a function of the number of steps that returns an ``Objective``. The class itself
            is no such function: it would take the steps as its first option.
    """
    expected = "an Objective, or a function of the number of steps that returns one, such as Objective.fine_tuning"
    if isinstance(objective_of, type) or not callable(objective_of):
        raise ConfigError("objective", expected, repr(objective_of))
    try:
        inspect.signature(objective_of).bind(steps)
    except TypeError as error:
        raise ConfigError("objective", expected, f"a function that takes other arguments ({error})") from error
    except ValueError:
        pass  # a function without a signature, written in C
    objective = objective_of(steps)
    if not isinstance(objective, Objective):
        raise ConfigError("objective", expected, f"a function that returns {objective!r}")
    return objective


def _wrap(
    model: nn.Module, loss: Loss | None, objective: Objective | None, head: nn.Module | str | None
) -> TrainerLossModel:
    if loss is None:
        language = isinstance(model, PreTrainedModel) and model.get_output_embeddings() is not None
        known = None if language or head is not None else getattr(getattr(model, "config", None), "num_labels", None)
        num_labels, hidden_size = weight_of(find_head(model, head, known)).shape
        loss = LabelEmbeddingLoss(hidden_size, num_labels, objective=objective)
    return TrainerLossModel(model, loss, head=head)


def _without_prefix(state_dict: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in state_dict.items() if name.startswith(prefix)}
