"""The same value and gradients as ``eager.py``, a chunk of rows at a time: memory does not grow with N x V.

N rows, V labels, U distinct labels in the batch, D hidden size.

The gradients have closed forms, so the forward pass computes them along with the value, and the backward pass only
scales them by the upstream scalar:

    dz1 = hard * (p1 - onehot y) + soft * (p1 - q[y])
    dz2 = (aux - cap * c * p2[y]) * (p2 - onehot y)           c = [p2[y] > alpha], or sign(p2[y] - alpha)
    de  = count * q - sum of softmax(z2 / tau)                over the label's rows that the auxiliary head gets right

e, q and de exist for distinct labels only. docs/large-vocabulary-design.md has the derivation and the costs.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from labelemb.ops.chunked.batch_pass import ChunkRun, Parts
from labelemb.ops.chunked.chunks import SortedRows
from labelemb.ops.chunked.layers import ChunkLinear, chunk_embedding
from labelemb.ops.chunked.row_kernels import RowKernels, TorchRowKernels
from labelemb.ops.precomputed_grads import Gradient, with_precomputed_grads
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import global_sum, row_scale, world_size
from labelemb.terms.rows import Rows

CPU_CHUNK_BYTES = 128 << 20
CPU_LEAST_BYTES = 4 << 20
GPU_CHUNK_BYTES = 256 << 20
HARD_ALONE = Objective(mix="sum", terms=frozenset({"hard"}))


@dataclass(frozen=True)
class Chunked:
    """The driver of both implementations for large vocabularies; they differ in who does the row work.

    row_kernels    makes the row work from (V, dtype of sums, device)
    chunk_bytes  memory for the buffers of a chunk, all of them together; None: ``default_chunk_bytes``. One row at least
                is done at a time, whatever it takes.
    """

    row_kernels: Callable[[int, torch.dtype, torch.device], RowKernels] = TorchRowKernels
    chunk_bytes: int | None = None

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def label_embedding_loss(
        self,
        rows: Rows,
        head: nn.Linear,
        auxiliary: nn.Linear,
        embedding: LabelEmbedding,
        objective: Objective,
        num_items_in_batch: Tensor | float | None = None,
    ) -> LossOutput:
        """Arguments, value and gradients of ``eager.label_embedding_loss``, for one backward pass.

        Raises ConfigError for a head or an embedding that has no chunk form.
        """
        dtype, trains = _product_dtype(rows.hidden), torch.is_grad_enabled()
        scales = Scales.of(rows, objective, num_items_in_batch)
        parts = Parts(
            head=ChunkLinear(head, dtype, trains),
            auxiliary=ChunkLinear(auxiliary, dtype, trains),
            embedding=chunk_embedding(embedding, dtype, trains),
            objective=objective,
            cap_ratio=scales.cap / scales.row,
        )
        return self._run(rows, parts, scales)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def cross_entropy_loss(
        self, rows: Rows, head: nn.Linear, num_items_in_batch: Tensor | float | None = None
    ) -> LossOutput:
        """One-hot cross entropy, a mean over rows: the hard term alone."""
        scales = Scales.of(rows, HARD_ALONE, num_items_in_batch)
        layer = ChunkLinear(head, _product_dtype(rows.hidden), torch.is_grad_enabled())
        output = self._run(rows, Parts(layer, None, None, HARD_ALONE, scales.cap / scales.row), scales)
        return replace(output, terms={"hard": output.terms["hard"]})

    def _run(self, rows: Rows, parts: Parts, scales: "Scales") -> LossOutput:
        """Go over the chunks, add up the terms and hang the gradients on the total."""
        hidden_trains = torch.is_grad_enabled() and rows.hidden.requires_grad
        hidden, device = rows.hidden.detach(), rows.hidden.device
        budget = self.chunk_bytes or default_chunk_bytes(len(hidden) * parts.head.num_labels, device.type)
        here = torch.cuda.device(device) if device.type == "cuda" else nullcontext()  # where kernels are launched
        with torch.no_grad(), torch.autocast(device.type, enabled=False), here:
            by_label = SortedRows.of(rows)
            picked = hidden[by_label.order].to(parts.head.dtype)
            work = self.row_kernels(parts.head.num_labels, scales.row.dtype, device)
            run = ChunkRun(parts, by_label, picked, work, hidden_trains)
            run.add_all(parts.head.num_labels, budget)
            learned = _learned_scale(run, parts.objective, scales)
            values = _term_values(run, parts.objective, scales, learned)
            total = torch.stack(list(values.values())).sum()
            gradients: list[Gradient | None] = [None]
            if run.hidden_gradient is not None:
                spread = torch.zeros_like(hidden, dtype=scales.row.dtype)
                gradients = [Gradient(spread.index_copy_(0, by_label.order, run.hidden_gradient), scales.row)]
        tensors = [rows.hidden]
        for part, factor in ((parts.head, scales.row), (parts.auxiliary, scales.row), (parts.embedding, learned)):
            if part is not None:
                tensors += part.tensors
                found = [None if values is None else Gradient(values, factor) for values in part.gradients()]
                if part is parts.embedding and found[0] is not None:
                    found[0] = replace(found[0], rows=by_label.distinct)
                gradients += found
        return LossOutput(
            loss=with_precomputed_grads(total, tensors, gradients),
            terms=values,
            correct=run.correct1.sum(),
            count=rows.mask.sum(),
        )


@dataclass(frozen=True)
class Scales:
    """Factors from sums over the rows of this process to terms: row for 1, 2 and 3, cap for 5. Scalars."""

    row: Tensor
    cap: Tensor

    @classmethod
    def of(cls, rows: Rows, objective: Objective, num_items_in_batch: Tensor | float | None) -> "Scales":
        """Return the factors that ``eager.py`` has."""
        wide = torch.promote_types(_product_dtype(rows.hidden), torch.float32)
        row = row_scale(rows.mask.sum().to(wide), num_items_in_batch)
        return cls(row, torch.full_like(row, world_size()) if objective.reduction == "mean" else row)


def default_chunk_bytes(logits: int, device: str) -> int:
    """Return the memory for the buffers of a chunk, where nobody chose it. logits: N * V.

    256 MiB on a GPU, about 100 MB of it logits. On a CPU half of what one matrix of N x V takes in fp32, of which
    eager holds about eight; 4 MiB at the least, and 128 MiB at the most, from where larger chunks are hardly faster.
    """
    if device != "cpu":
        return GPU_CHUNK_BYTES
    return min(max(2 * logits, CPU_LEAST_BYTES), CPU_CHUNK_BYTES)


def _learned_scale(run: ChunkRun, objective: Objective, scales: Scales) -> Tensor:
    """Return the factor of term 4. The published mean is over rows that are known only once the chunks are through."""
    if objective.reduction == "mean" and "embedding" in objective.terms:
        return world_size() / (global_sum(run.correct2.sum().to(scales.row.dtype)) + 1e-8)
    return scales.row


def _term_values(run: ChunkRun, objective: Objective, scales: Scales, learned: Tensor) -> dict[str, Tensor]:
    """Return each term as it enters the total, 0 when it is off."""
    values = {
        "hard": -objective.hard_weight * scales.row * run.log_p1.sum(),
        "soft": objective.soft_weight * scales.row * run.soft.sum(),
        "aux": -scales.row * run.log_p2.sum(),
        "embedding": learned * run.distilled,
        "cap": scales.cap * run.cap().sum(),
    }
    return {name: value if name in objective.terms else torch.zeros_like(scales.row) for name, value in values.items()}


def _product_dtype(hidden: Tensor) -> torch.dtype:
    """Return the dtype of the matrix products: that of ``hidden``, or autocast's, which leaves float64 alone."""
    kind = hidden.device.type
    if torch.is_autocast_enabled(kind) and hidden.dtype != torch.float64:
        return torch.get_autocast_dtype(kind)
    return hidden.dtype
