"""LabelEmbeddingLoss: holds the label embedding and the auxiliary head, and chooses the implementation."""

import contextlib
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, check_at_least_one
from labelemb.losses.controls import Control
from labelemb.losses.label_embedding_checks import (
    check_control,
    check_embedding,
    check_embedding_rows,
    check_filter_eps,
    check_objective,
    check_objective_type,
    check_sharded,
)
from labelemb.losses.label_shards import ShardedLoss, split_embedding
from labelemb.losses.method import LossContext, Method, MethodOptions
from labelemb.losses.row_sampler import RowSampler
from labelemb.losses.validation import check_layer
from labelemb.ops.backends import Implementation, check_implementation, select_backend
from labelemb.ops.eager import label_embedding_loss
from labelemb.ops.inputs import ObjectiveInputs
from labelemb.terms.embedding import DenseLabelEmbedding, LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import Group
from labelemb.terms.rows import Rows
from labelemb.terms.running_mean import RunningMeanLabelEmbedding
from labelemb.terms.shard import LabelShard, local_linear


class LabelEmbeddingLoss(ShardedLoss):
    """Train a classifier on its labels and, at the same time, learn a soft label for each of them.

    Source: Label Embedding Network, Sun, Wei, Ren, Ma 2017, arXiv 1710.10393. ``Objective`` has the equation,
    ``labelemb.functional`` its terms, ``labelemb.ops.eager`` their sum.

    The loss has parameters: train them (``attach``) and save its ``state_dict`` with the model's. It holds the label
    embedding, the auxiliary head and the number of steps.

    With ``Objective(embedding_update="running_mean")`` call ``epoch_end()`` after each epoch: it updates the label
    embedding.

    Mixed targets (mixup, CutMix): each term is the mixture of its values for the two labels, see
    ``labelemb.functional.mixture``. "eager" only, without a control or ``shard``.

    Gradient accumulation: with ``num_items_in_batch`` and the reduction "mean", the embedding term is still divided by
    the number of rows of its own micro-batch that the auxiliary head predicts right, since that of later micro-batches
    is not known yet. So k micro-batches give the embedding gradients k times as large, which Adam normalizes. The cap
    is a sum over rows either way.

    Error of ``filter_eps``: a label is left out of the gradients of both weights and of the hidden state for a chunk of
    rows if the gradient of its logit, p - t before the mean over rows (t is the target), is below ``filter_eps`` in all
    of them. An entry of the gradient of a row h_i of the hidden state is then off by at most
    ``filter_eps * sum_j |W_j|``, one of the gradient of a row W_j of a weight by at most ``filter_eps * sum_i |h_i|``.
    Both bounds are before the factor of the mean over rows; for the auxiliary head with a cap that is a sum over rows,
    they hold without it. The value and the gradients of biases and of the label embedding are exact.

    Args:
        hidden_size: D, size of the state in front of the classifier.
        num_labels: V.
        embedding: The label embedding; None: ``DenseLabelEmbedding(num_labels)``, the identity at the start, or
            ``RunningMeanLabelEmbedding(num_labels)`` where the objective asks for it.
        objective: Options of the five terms; None: ``Objective.vision()``.
        ignore_index: Target value to ignore (padding), as in ``nn.CrossEntropyLoss``.
        impl: "eager": plain torch, logits materialized; "chunked": same value and gradients, a chunk of rows at a time,
            for large V; "fused": the same with Triton kernels; "auto": eager for few labels, mixed targets, a head
            other than a plain ``nn.Linear``, a control or a running mean, else fused where it runs, else chunked.
        validate_args: Whether to check for labels out of range and NaN; None: on a CPU only (a GPU would wait).
        chunk_bytes: Memory for the buffers of "chunked" and "fused"; None: a default for the device.
        control: Optional transform of the soft targets; training of the embedding is unchanged. "eager" only.
        process_group: Data-parallel group whose rows are counted; None: the default group.
        shard: Labels of this process (``LabelShard.of``): the head, the auxiliary head and the embedding are split by
            label, targets stay global, and ``process_group=None`` means no data parallelism. "eager" or "chunked",
            without a control or a running mean. None: this process holds all labels.
        embedding_rows: Share of the rows, above 0 and up to 1, on which the terms aux, embedding and cap are computed
            in training mode. The rows are drawn at random at each call and weighted, so that terms and gradients have
            the expectation of all rows; the embedding term in the reduction "mean", a ratio, approximately (see
            docs/large-vocabulary.md).
        filter_eps: "chunked" and "fused" leave out gradients of logits below this, as cut cross entropy does (arXiv
            2411.09009), which saves time where predictions are peaked; see above for the error. None: leave out none.

    Attributes:
        embedding: The label embedding; ``embedding.soft_labels()`` is what it has learned.
        auxiliary: ``nn.Linear(D, V)``, the second head; it never sends a gradient to ``hidden``.
        steps: Optimizer steps so far.

    Raises:
        ConfigError: For sizes below 1, an embedding of other labels, and an implementation that cannot run.

    Example:
        >>> model = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> optimizer = torch.optim.Adam(model.parameters())
        >>> loss = LabelEmbeddingLoss(8, 3, objective=Objective(tau=1.0)).attach(optimizer)
        >>> hidden = model[:-1](torch.randn(5, 20))
        >>> out = loss(hidden, model[-1], torch.tensor([0, 1, 2, 0, 1]))
        >>> out.loss.backward()
        >>> optimizer.step()
        >>> loss.steps
        1
    """

    def __init__(
        self,
        hidden_size: int,
        num_labels: int,
        embedding: LabelEmbedding | None = None,
        objective: Objective | None = None,
        ignore_index: int = -100,
        *,
        impl: Implementation = "auto",
        validate_args: bool | None = None,
        chunk_bytes: int | None = None,
        control: Control | None = None,
        process_group: Group = None,
        shard: LabelShard | None = None,
        embedding_rows: float = 1.0,
        filter_eps: float | None = None,
    ) -> None:
        for name, value in (("hidden_size", hidden_size), ("num_labels", num_labels)):
            check_at_least_one(name, value)
        super().__init__(num_labels, ignore_index, validate_args)
        check_embedding(embedding, num_labels)
        check_implementation(impl, chunk_bytes)
        check_objective_type(objective)
        check_control(control, impl)
        check_embedding_rows(embedding_rows)
        check_filter_eps(filter_eps, impl)
        self.use_shard(shard, impl)
        if shard is not None:
            check_sharded(objective, control, filter_eps)
        self.hidden_size = hidden_size
        objective = Objective.vision() if objective is None else objective
        if embedding is None:
            running = objective.embedding_update == "running_mean"
            embedding = (
                RunningMeanLabelEmbedding(num_labels) if running else DenseLabelEmbedding(num_labels, shard=shard)
            )
        self.embedding = split_embedding(embedding, shard)
        with contextlib.nullcontext() if shard is None else shard.fork_rng():
            self.auxiliary = local_linear(hidden_size, num_labels if shard is None else shard.size)
        self.impl, self.chunk_bytes, self.control, self.process_group = impl, chunk_bytes, control, process_group
        self.embedding_rows, self.filter_eps = embedding_rows, filter_eps
        self.steps, self._sampler = 0, RowSampler()
        self.objective = objective

    @property
    def objective(self) -> Objective:
        """The options of the terms; may be replaced at any time.

        Raises:
            ConfigError: When set to one that the implementation or the kind of label embedding does not allow.
        """
        return self._objective

    @objective.setter
    def objective(self, objective: Objective) -> None:
        check_objective(objective, self.impl, self.embedding)
        self._objective = self._current_objective = objective
        self._set_steps(self.steps)

    @property
    def supports_mixed_targets(self) -> bool:
        """Whether targets may be ``MixedTargets``: not with "chunked", "fused" or a control."""
        return self.impl in ("auto", "eager") and self.control is None

    def compute(self, rows: Rows, head: nn.Module) -> LossOutput:
        """Compute the objective by the chosen implementation."""
        check_layer("auxiliary", self.auxiliary, rows.hidden, self.auxiliary.out_features)
        samples = self.training and self.embedding_rows != 1
        inputs = ObjectiveInputs(
            rows=rows,
            head=head,
            objective=self._current_objective,
            auxiliary=self.auxiliary,
            embedding=self.embedding,
            group=self.data_parallel_group,
            sampled=self._sampler.draw(rows, self.embedding_rows) if samples else None,
        )
        if self.is_sharded:
            return self.compute_sharded(inputs, self.impl, self.chunk_bytes)
        eager_only = self.control is not None or isinstance(self.embedding, RunningMeanLabelEmbedding)
        impl, decays = "eager" if eager_only else self.impl, self.objective.soft_end is not None
        backend = select_backend(impl, inputs, self.chunk_bytes, decays=decays, filter_eps=self.filter_eps)
        if backend is None:
            return label_embedding_loss(inputs, self.control)
        output: LossOutput = backend.label_embedding_loss(inputs)
        return output

    def step(self) -> None:
        """Count one optimizer step, for ``soft_start`` and ``soft_end``. Not needed after ``attach``."""
        self._set_steps(self.steps + 1)

    def epoch_end(self) -> None:
        """Mark the end of an epoch: updates a running mean; warns once where a trained embedding has not moved."""
        self._monitor.end_epoch(self)
        if isinstance(self.embedding, RunningMeanLabelEmbedding):
            self.embedding.end_epoch(self.process_group)

    def sync(self) -> None:
        """All-reduce the sums of a running mean. Call it on every rank before saving the ``state_dict``."""
        if isinstance(self.embedding, RunningMeanLabelEmbedding):
            self.embedding.sync(self.process_group)

    def restart(self, objective: Objective) -> None:
        """Start another training: set its objective, and count optimizer steps from 0 again.

        Raises:
            ConfigError: As setting ``objective``.
        """
        self.objective = objective
        self._set_steps(0)

    def _set_steps(self, steps: int) -> None:
        """Plain numbers, not tensors: forward reads no device value."""
        self.steps = steps
        self._sampler.start_step(steps)
        now = self.objective.at(steps)
        if now != self._current_objective:  # the same object while nothing changes, so that nothing is recompiled
            self._current_objective = now

    def get_extra_state(self) -> Tensor:
        """Save the number of steps in the ``state_dict``, as a tensor so that safetensors can store it."""
        return torch.tensor(self.steps)

    def set_extra_state(self, state: Tensor) -> None:
        """Restore the number of steps from a ``state_dict``."""
        self._set_steps(int(state))

    def extra_repr(self) -> str:
        """Show the options when the module is printed."""
        return f"hidden_size={self.hidden_size}, num_labels={self.num_labels}, impl={self.impl!r}, {self.objective}"


@dataclass(frozen=True)
class LabelEmbeddingOptions(MethodOptions):
    """Options of ``label_embedding``, beside those of ``Objective``, which are shared.

    Args:
        soft_decay: Share of the soft term's weight that is moved to the hard term by the end of the run, linearly from
            soft_start on; 0 disables. Needs a convex mix and an embedding that is learned.
        embedding_rows: Share of the rows, above 0 and up to 1, from which the auxiliary head and the label embedding
            learn; a smaller share saves time with many labels.
    """

    soft_decay: float = 0.0
    embedding_rows: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.soft_decay <= 1:
            raise ConfigError("soft_decay", "a number from 0 to 1", self.soft_decay)
        check_embedding_rows(self.embedding_rows)

    def check(self, objective: Objective) -> None:
        """Raise ConfigError for ``soft_decay`` with a mix that is not convex."""
        if self.soft_decay and objective.mix != "convex":
            raise ConfigError("mix", "convex, for soft_decay", objective.mix)


def build_label_embedding(
    options: LabelEmbeddingOptions, context: LossContext, control: Control | None = None
) -> LabelEmbeddingLoss:
    """Return the loss with a new label embedding."""
    objective = context.objective
    if options.soft_decay:
        objective = objective.with_soft_decay(options.soft_decay, context.steps)
    return LabelEmbeddingLoss(
        context.hidden_size,
        context.num_labels,
        context.make_embedding() if context.make_embedding else None,
        objective,
        context.ignore_index,
        impl=context.impl,
        control=control,
        embedding_rows=options.embedding_rows,
    )


METHOD = Method(
    name="label_embedding",
    title="label embedding",
    formula="H(t, p) + three terms that learn E, t = beta onehot(y) + (1 - beta) softmax(E[y])",
    build=build_label_embedding,
    options=LabelEmbeddingOptions,
    citation="Sun et al. 2017, arXiv 1710.10393",
    color="#0072b2",
    mixed_targets="always",
    chunked=True,
    has_state=True,
    learns_embedding=True,
)
