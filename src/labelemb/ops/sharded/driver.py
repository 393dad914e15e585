"""One batch from end to end: all rows at once, or a chunk at a time, with its gradients before the next chunk.

A forward and backward pass of n rows holds about ``MATRICES`` matrices of n x C. In chunks that is all, whatever N is,
and the gradients of the weights, which are added up.
"""

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.ops.backends import EAGER_LABELS, Implementation, is_plain_linear
from labelemb.ops.eager import attach_zero_grads, unused_parameters
from labelemb.ops.inputs import ObjectiveInputs
from labelemb.ops.precomputed_grads import Gradient, with_precomputed_grads
from labelemb.ops.sharded.columns import Columns
from labelemb.ops.sharded.row_sums import RowSums
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import TermWeights, total_weight
from labelemb.terms.shard import LabelShard

MATRICES = 15  # python -m benchmarks.label_shards measures 12 to 17 with two and four processes
CHUNK_BYTES = 128 << 20
MIN_ROWS = 128  # with fewer, adding up the gradients of the weights takes much of the time


def rows_per_chunk(
    impl: Implementation, inputs: ObjectiveInputs, shard: LabelShard, chunk_bytes: int | None
) -> int | None:
    """Return the number of rows of a chunk, the same on every process; None: all rows at once, logits materialized.

    Args:
        impl: "chunked"; "eager": all rows at once; "auto": chunked for many labels and a plain ``nn.Linear``.
        inputs: The batch and the head.
        shard: The labels of this process.
        chunk_bytes: Memory for the matrices of a chunk; None: ``CHUNK_BYTES``, and at least ``MIN_ROWS`` rows.

    Raises:
        ConfigError: For "chunked" with a head other than a plain ``nn.Linear``, whose parameters may lie elsewhere.
    """
    if impl == "auto":
        few = shard.num_labels <= EAGER_LABELS
        impl = "eager" if few or not is_plain_linear(inputs.head) else "chunked"
    if impl == "eager":
        return None
    if not is_plain_linear(inputs.head):
        hint = "impl='eager' takes any module with a weight of shape (V, D)"
        raise ConfigError("head", "an nn.Linear with its own forward for chunked", type(inputs.head).__name__, hint)
    itemsize = torch.promote_types(inputs.rows.hidden.dtype, torch.float32).itemsize
    columns = -(-shard.num_labels // shard.processes) * shard.sampled
    rows = int((chunk_bytes or CHUNK_BYTES) / (MATRICES * itemsize * columns))
    return max(rows, 1 if chunk_bytes else MIN_ROWS)


def sharded_loss(
    inputs: ObjectiveInputs, shard: LabelShard, *, sample: bool = False, chunk_rows: int | None = None
) -> LossOutput:
    """Add up the terms in use (``Objective``), of which those that are off are 0.

    Args:
        inputs: With an auxiliary head and a label embedding of this process's labels; or, for cross entropy (terms hard
            and soft), without an auxiliary head, and with the label embedding that gives the soft targets, where they
            are not 1 / V.
        shard: The labels of this process.
        sample: Whether to compute a sample of the labels only, where ``shard.sampled`` is below 1.
        chunk_rows: Rows of a chunk (``rows_per_chunk``); then the loss allows one backward pass. None: all rows.

    Returns:
        With the logits of the local labels where the rows are computed at once.
    """
    dtype = torch.promote_types(inputs.rows.hidden.dtype, torch.float32)
    weights = TermWeights.of(inputs.rows, inputs.objective, dtype, inputs.group)
    columns = Columns.of(shard, inputs.rows.labels, sample)
    if chunk_rows is not None:
        output: LossOutput = _in_chunks(inputs, columns, weights, chunk_rows)
        return output
    sums = RowSums.of(inputs, columns)
    terms = weights.weigh(sums.terms, _embedding_factor(inputs, weights, sums))
    loss = attach_zero_grads(torch.stack(list(terms.values())).sum(), *unused_parameters(inputs))
    return _output(inputs, loss, terms, sums.correct, sums.logits)


@torch.compiler.disable  # type: ignore[untyped-decorator]
def _in_chunks(inputs: ObjectiveInputs, columns: Columns, weights: TermWeights, chunk_rows: int) -> LossOutput:
    """Each chunk adds its share of the value and of the gradients.

    The factor of the embedding term is known after the last chunk: the label embedding, which no other term trains,
    gets it then.
    """
    hidden, one = inputs.rows.hidden, torch.ones_like(weights.row)
    needs_hidden = torch.is_grad_enabled() and hidden.requires_grad
    hidden_gradient = torch.zeros_like(hidden, dtype=one.dtype) if needs_hidden else None
    heads, learners = _parameters(inputs.head) + _parameters(inputs.auxiliary), _parameters(inputs.embedding)
    gradients = {parameter: _zeros(parameter) for parameter in heads + learners}  # by identity: each once
    parts = []
    for chunk, chosen in inputs.chunks(-(-len(hidden) // chunk_rows)):
        rows = replace(chunk.rows, hidden=chunk.rows.hidden.detach().requires_grad_(needs_hidden))
        part = RowSums.of(replace(chunk, rows=rows), columns)
        value = torch.stack(list(weights.weigh(part.terms, embedding=one).values())).sum()
        for tensor, gradient in _gradients(value, [rows.hidden, *gradients]):
            if tensor is not rows.hidden:
                gradients[tensor] += gradient
            elif hidden_gradient is not None:
                hidden_gradient[chosen] = gradient
        parts.append(part.without_graph())
    sums = RowSums.total(parts)
    embedding = _embedding_factor(inputs, weights, sums)
    terms = weights.weigh(sums.terms, embedding)
    factors = dict.fromkeys(heads, one) | dict.fromkeys(learners, embedding)
    found = [Gradient(values, factors[parameter]) for parameter, values in gradients.items()]
    of_hidden = None if hidden_gradient is None else Gradient(hidden_gradient, one)
    loss = with_precomputed_grads(torch.stack(list(terms.values())).sum(), [hidden, *gradients], [of_hidden, *found])
    return _output(inputs, loss, terms, sums.correct)


def _gradients(value: Tensor, tensors: list[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield each tensor that the value depends on, with its gradient."""
    wanted = [tensor for tensor in tensors if tensor.requires_grad]
    if value.requires_grad:
        found = torch.autograd.grad(value, wanted, allow_unused=True)
        yield from ((tensor, gradient) for tensor, gradient in zip(wanted, found, strict=True) if gradient is not None)


def _embedding_factor(inputs: ObjectiveInputs, weights: TermWeights, sums: RowSums) -> Tensor:
    return weights.embedding(total_weight(sums.learnable, inputs.auxiliary_rows.weights))


def _output(
    inputs: ObjectiveInputs, loss: Tensor, terms: dict[str, Tensor], correct: Tensor, logits: Tensor | None = None
) -> LossOutput:
    return LossOutput(
        loss=loss,
        terms={name: value.detach() for name, value in terms.items()},
        correct=correct,
        count=inputs.rows.mask.sum(),
        logits=logits,
        weights=inputs.objective.weights,
    )


def _parameters(layer: nn.Module | None) -> list[Tensor]:
    """Return the parameters of a layer that need a gradient."""
    if layer is None or not torch.is_grad_enabled():
        return []
    return [parameter for parameter in layer.parameters() if parameter.requires_grad]


def _zeros(parameter: Tensor) -> Tensor:
    """Return a buffer for sums of gradients, fp32 or wider."""
    return torch.zeros_like(parameter, dtype=torch.promote_types(parameter.dtype, torch.float32), requires_grad=False)
