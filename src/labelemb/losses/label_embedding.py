"""LabelEmbeddingLoss: holds the embedding and the auxiliary head, checks its input, picks the implementation."""

import warnings

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, check_at_least_one
from labelemb.losses.base import Loss, check_denominator, check_layer, check_shapes, check_values, wants_validation
from labelemb.losses.controls import Control
from labelemb.ops.backends import Implementation, check_implementation, select_backend
from labelemb.ops.eager import label_embedding_loss
from labelemb.terms.embedding import DenseLabelEmbedding, LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.output import LossOutput, MixedTargets, Targets
from labelemb.terms.rows import Rows

MANY_CALLS = 300  # more than any optimiser step has pieces


class LabelEmbeddingLoss(Loss):
    """Train a model on its labels and, at the same time, learn what the labels have in common.

    Source: Label Embedding Network, arXiv 1710.10393. The formulae are in ``terms.py``, their sum in ``eager.py``.

    hidden_size   D
    num_labels    V
    embedding     holds E; None: DenseLabelEmbedding(V), the identity at the start
    objective     the choices; None: Objective.vision()
    ignore_index  target of rows that are not rows (padding)
    validate_args  look for labels out of range and NaN; None: on a CPU only (a GPU would have to wait)
    impl          "eager": plain torch, logits materialised; "chunked": same value and gradients, a chunk of rows at a
                  time, for large V; "fused": the same with Triton kernels; "auto": the fitting one of these
    chunk_bytes    memory for the buffers of "chunked" and "fused"; None: a default for the device (see ``Chunked``)
    control       None; or the model learns from what this makes of the embedding (``controls.py``) while the embedding
                  is learned as ever; for impl "eager", and so it is for "auto"

    Give its parameters to the optimiser beside the model's, without weight decay (decay would pull E to uniform), and
    save its ``state_dict`` with the model's: it holds E, the auxiliary head and the number of steps.

    ``auxiliary``  nn.Linear(D, V), the second head; it never sends a gradient to ``hidden``
    ``embedding``  the label embedding; ``.soft_labels()`` is what one looks at
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        embedding: LabelEmbedding | None = None,
        objective: Objective | None = None,
        ignore_index: int = -100,
        *,
        validate_args: bool | None = None,
        impl: Implementation = "eager",
        chunk_bytes: int | None = None,
        control: Control | None = None,
    ) -> None:
        super().__init__()
        for name, value in (("hidden_size", hidden_size), ("num_labels", num_labels)):
            check_at_least_one(name, value)
        if embedding is not None and not isinstance(embedding, LabelEmbedding):
            raise ConfigError("embedding", "a label embedding of this library", type(embedding).__name__)
        if embedding is not None and embedding.num_labels != num_labels:
            raise ConfigError("embedding", f"an embedding of {num_labels} labels", embedding.num_labels)
        check_implementation(impl, chunk_bytes)
        if control is not None and impl not in ("auto", "eager"):
            raise ConfigError("impl", "eager or auto with a control", repr(impl))
        self.hidden_size, self.num_labels = hidden_size, num_labels
        self.embedding = embedding if embedding is not None else DenseLabelEmbedding(num_labels)
        self.auxiliary = nn.Linear(hidden_size, num_labels)
        self.ignore_index, self.validate_args = ignore_index, validate_args
        self.impl, self.chunk_bytes, self.control = impl, chunk_bytes, control
        self.steps = self._uncounted = 0
        self.objective = objective if objective is not None else Objective.vision()

    @property
    def objective(self) -> Objective:
        """The choices; others may be put in their place at any time.

        Setting it raises ConfigError for a soft term that fades with impl "fused".
        """
        return self._objective

    @objective.setter
    def objective(self, objective: Objective) -> None:
        if objective.soft_end is not None and self.impl == "fused":
            hint = "The kernels of fused are compiled for weights that stay"
            raise ConfigError("impl", "eager, chunked or auto for a soft term that fades", repr(self.impl), hint)
        self._objective = self._objective_now = objective
        self._set_steps(self.steps)

    def forward(
        self,
        hidden: Tensor,
        head: nn.Linear,
        targets: Targets,
        num_items_in_batch: Tensor | float | None = None,
        index: Tensor | None = None,
    ) -> LossOutput:
        """Compute the objective of the rows whose target is not ``ignore_index``.

        hidden       (..., D), the state in front of the model's classifier; float, any autocast precision
        head         nn.Linear(D, V), the model's classifier; it is used, never changed
        targets      (...) int64
        num_items_in_batch  for gradient accumulation: the number of rows of the large batch, over all its pieces and all
                     processes; the means over rows divide by it instead of by the rows at hand. In the vision form
                     (reduction "mean") term 4 keeps the num_items_in_batch of its own piece, the rows of the micro-batch that
                     the auxiliary head gets right, since those of later pieces are not known yet: k pieces weigh it k
                     times (the embedding, which nothing else trains, gets gradients k times as large; Adam does not
                     mind). The cap is a sum over rows, with or without pieces.
        index        of no use here

        Under torch.distributed the denominators are global: the mean over processes of ``total`` and of its gradients
        equals one process with the whole batch.

        Raises ShapeError, DataError (values are looked at outside torch.compile only, see ``validate_args``), and
        ConfigError for mixed targets: terms 3 to 5 are about one label per row.
        """
        if isinstance(targets, MixedTargets):
            raise ConfigError("targets", f"one label per row for {type(self).__name__}", "mixed targets")
        check_shapes(hidden, head, targets, self.hidden_size, self.num_labels)
        check_layer("auxiliary", self.auxiliary, hidden, self.num_labels)
        check_denominator(num_items_in_batch)
        if wants_validation(self.validate_args, hidden):
            check_values(hidden, targets, self.num_labels, self.ignore_index)
        self._remind()
        rows = Rows.of(hidden, targets, self.ignore_index)
        parts = (rows, head, self.auxiliary, self.embedding, self._objective_now, num_items_in_batch)
        impl = self.impl if self.control is None else "eager"
        fades = self.objective.soft_end is not None
        driver = select_backend(impl, self.num_labels, hidden.device, self.chunk_bytes, fades)
        if driver is None:
            return label_embedding_loss(*parts, control=self.control)
        output: LossOutput = driver.label_embedding_loss(*parts)
        return output

    def step(self) -> None:
        """Take note of one optimiser step; call it after each ``optimizer.step()``.

        ``objective.soft_start`` and ``objective.soft_end`` count these steps.
        """
        self._set_steps(self.steps + 1)

    def _remind(self) -> None:
        """Warn once where an objective that goes by steps has trained for long and nobody counts them."""
        if torch.compiler.is_compiling() or self.steps or not self.training:  # compiled it would go by each step
            return
        if not (self._objective.soft_start or self._objective.soft_end):
            return
        self._uncounted += 1
        if self._uncounted == MANY_CALLS:
            text = f"{MANY_CALLS} training batches and no loss.step(): soft_start and soft_end count its calls"
            warnings.warn(text, stacklevel=4)

    def _set_steps(self, steps: int) -> None:
        """Plain numbers, not tensors: forward reads no device value."""
        self.steps = steps
        now = self.objective.at(steps)
        if now != self._objective_now:  # the same object as long as nothing changes, so that nothing compiles again
            self._objective_now = now

    def get_extra_state(self) -> Tensor:
        """Let ``state_dict`` hold the number of steps, as a tensor so that safetensors can too."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Take the number of steps back from a ``state_dict``."""
        self._set_steps(int(state))

    def extra_repr(self) -> str:
        """Say what is chosen when the module is printed."""
        return f"hidden_size={self.hidden_size}, num_labels={self.num_labels}, impl={self.impl!r}, {self.objective}"
