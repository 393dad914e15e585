"""The value and gradients of ``eager``, a chunk of rows at a time: memory does not grow with N x V.

N rows, V labels, U distinct labels in the batch, D hidden size.

The gradients have closed forms, so the forward pass computes them along with the value, and the backward pass only
scales them by the upstream scalar. With t = soft_temperature, p1 = softmax(z1), p1t = softmax(z1 / t):

    dz1 = hard * (p1 - onehot y) + soft / t * (p1t - q[y])
    dz2 = (aux - cap * c * p2[y]) * (p2 - onehot y)           c = [p2[y] > alpha], or sign(p2[y] - alpha)
    de  = count * q - sum of softmax(z2 / tau)                over the label's rows that the auxiliary head gets right

e, q and de exist for distinct labels only. docs/large-vocabulary-design.md has the derivation and the costs.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from labelemb.ops.chunked.batch_pass import BatchPass, ChunkLayers
from labelemb.ops.chunked.embeddings import chunk_embedding
from labelemb.ops.chunked.layers import ChunkLinear
from labelemb.ops.chunked.native_kernels import NativeRowKernels
from labelemb.ops.chunked.row_kernels import RowKernels
from labelemb.ops.chunked.torch_kernels import TorchRowKernels
from labelemb.ops.inputs import AUXILIARY_TERMS, HEAD_TERMS, ObjectiveInputs
from labelemb.ops.precomputed_grads import Gradient, with_precomputed_grads
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import TermWeights, total_weight
from labelemb.terms.rows import Rows

CPU_MAX_CHUNK_BYTES = 128 << 20
CPU_MIN_CHUNK_BYTES = 4 << 20
GPU_CHUNK_BYTES = 256 << 20


@dataclass(frozen=True)
class Chunked:
    """The implementations "chunked" and "fused"; they differ in their row kernels.

    Args:
        row_kernels: Makes the row kernels from (V, dtype of sums, device); None: ``NativeRowKernels`` where they can be
            used, else ``TorchRowKernels``.
        chunk_bytes: Memory for all buffers of a chunk together; None: ``default_chunk_bytes``. A chunk has at least one
            row, even if that needs more.
        filter_eps: Columns of a chunk's gradients dz1 and dz2 whose entries are all smaller are left out of the matrix
            products with them; None: none.
    """

    row_kernels: Callable[[int, torch.dtype, torch.device], RowKernels] | None = None
    chunk_bytes: int | None = None
    filter_eps: float | None = None

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def label_embedding_loss(self, inputs: ObjectiveInputs) -> LossOutput:
        """Return value and gradients of ``eager.label_embedding_loss``, for one backward pass.

        Without an auxiliary head and a label embedding it is one-hot cross entropy.

        Raises:
            ConfigError: For a head or a label embedding that has no chunked form.
        """
        rows, device = inputs.rows, inputs.rows.hidden.device
        dtype = _product_dtype(rows.hidden)
        wide = torch.promote_types(dtype, torch.float32)
        weights = TermWeights.of(rows, inputs.objective, wide, inputs.group)
        layers = _layers(inputs, dtype)
        assert layers.head is not None
        num_labels, hidden = layers.head.num_labels, rows.hidden.detach()
        needs_hidden_grad = torch.is_grad_enabled() and rows.hidden.requires_grad
        on_device = torch.cuda.device(device) if device.type == "cuda" else nullcontext()  # where kernels are launched
        with torch.no_grad(), torch.autocast(device.type, enabled=False), on_device:
            kernels = self._kernels(layers, dtype, device)
            chunk_bytes = self.chunk_bytes or default_chunk_bytes(len(hidden) * num_labels, device.type)

            def run(rows: Rows, layers: ChunkLayers, weights: TermWeights, hidden_grad: bool = False) -> BatchPass:
                batch_pass = BatchPass(rows, layers, dtype, weights, hidden_grad)
                batch_pass.run(kernels, chunk_bytes, self.filter_eps)
                return batch_pass

            if inputs.sampled is None:
                head_pass = aux_pass = run(rows, layers, weights, needs_hidden_grad)
            else:
                aux_pass = run(inputs.sampled, replace(layers, head=None), weights.without(*HEAD_TERMS))
                head_layers = replace(layers, auxiliary=None)
                head_pass = run(rows, head_layers, weights.without(*AUXILIARY_TERMS), needs_hidden_grad)
            head_sums = head_pass.sums()
            sums = aux_pass.sums() | {name: head_sums[name] for name in HEAD_TERMS}
            embedding_weight = weights.embedding(total_weight(aux_pass.correct2, aux_pass.rows.weights))
            terms = weights.weigh(sums, embedding_weight)
            total = torch.stack(list(terms.values())).sum()
            hidden_gradient = None
            if head_pass.hidden_gradient is not None:
                spread = torch.zeros_like(hidden, dtype=wide)
                spread.index_copy_(0, head_pass.rows.order, head_pass.hidden_gradient)
                hidden_gradient = Gradient(spread, weights.row)
        tensors, gradients = layers.gradients(weights.row, embedding_weight, aux_pass.rows.distinct)
        return LossOutput(
            loss=with_precomputed_grads(total, [rows.hidden, *tensors], [hidden_gradient, *gradients]),
            terms=terms,
            correct=head_pass.correct1.sum(),
            count=rows.mask.sum(),
            weights=inputs.objective.weights,
        )

    def _kernels(self, layers: ChunkLayers, dtype: torch.dtype, device: torch.device) -> list[RowKernels]:
        """Return row kernels for each thread of row work; dtype: of the matrix products.

        torch's number of threads share the work on a CPU; a GPU does all rows of a chunk at once.
        """
        make = self.row_kernels
        threads = torch.get_num_threads() if device.type == "cpu" and make is None else 1
        if make is None:
            dtypes = {dtype} if layers.embedding is None else {dtype, layers.embedding.dtype}
            make = NativeRowKernels if NativeRowKernels.can_process(dtypes, device) else TorchRowKernels
        assert layers.head is not None
        wide = torch.promote_types(dtype, torch.float32)
        return [make(layers.head.num_labels, wide, device) for _ in range(threads)]


def default_chunk_bytes(num_logits: int, device: str) -> int:
    """Return the memory for the buffers of a chunk where the user chose none. num_logits: N * V.

    256 MiB on a GPU, about 100 MB of it logits. On a CPU half the size of an N x V fp32 matrix (eager holds about eight
    of these), but at least 4 MiB and at most 128 MiB: larger chunks are hardly faster.
    """
    if device != "cpu":
        return GPU_CHUNK_BYTES
    return min(max(2 * num_logits, CPU_MIN_CHUNK_BYTES), CPU_MAX_CHUNK_BYTES)


def _layers(inputs: ObjectiveInputs, dtype: torch.dtype) -> ChunkLayers:
    trains = torch.is_grad_enabled()
    return ChunkLayers(
        head=ChunkLinear("head", inputs.head, dtype, trains),
        auxiliary=None if inputs.auxiliary is None else ChunkLinear("auxiliary", inputs.auxiliary, dtype, trains),
        embedding=None if inputs.embedding is None else chunk_embedding(inputs.embedding, dtype, trains),
    )


def _product_dtype(hidden: Tensor) -> torch.dtype:
    """Return the dtype of the matrix products: that of ``hidden``, or autocast's, which leaves float64 alone."""
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind) and hidden.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return hidden.dtype
