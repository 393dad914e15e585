"""One pass over the chunks of a batch: sums over rows, and gradients before the factors of the reduction.

n rows and u distinct labels of a chunk, N rows of the batch that are not ignored, V labels, D hidden size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from labelemb.functional import confidence_cap
from labelemb.ops.chunked.chunks import ALIGNMENT, Arena, Chunk, SortedRows, plan_chunks
from labelemb.ops.chunked.embeddings import ChunkEmbedding
from labelemb.ops.chunked.layers import ChunkLinear, significant_columns
from labelemb.ops.chunked.row_kernels import AuxiliaryTerms, HeadTerms, Logits, RowKernels, RowLabels
from labelemb.ops.parts import cut_by_label, in_parts
from labelemb.ops.precomputed_grads import Gradient
from labelemb.terms.reduction import TermWeights
from labelemb.terms.rows import Rows


class Biased(Protocol):
    """A layer that may have a bias."""

    bias: Tensor | None

    @property
    def trains_bias(self) -> bool:
        """Whether there is the gradient of a bias to accumulate."""

    def add_bias_gradient(self, sums: Tensor) -> None:
        """Accumulate column sums of a gradient, shape ``(V,)``."""


PartWork = Callable[[RowKernels, Logits, slice], None]  # the rows' logits, and which rows these are


@dataclass(frozen=True)
class ChunkLayers:
    """The layers of the objective, or of the terms of one pass; plain cross entropy has the head alone."""

    head: ChunkLinear | None
    auxiliary: ChunkLinear | None
    embedding: ChunkEmbedding | None

    def gradients(self, row: Tensor, embedding: Tensor, distinct: Tensor) -> tuple[list[Tensor], list[Gradient | None]]:
        """Return the parameters and their accumulated gradients.

        Args:
            row: Factor of the gradients of head and auxiliary head, scalar.
            embedding: Factor of those of the label embedding, scalar.
            distinct: Labels of the batch, shape ``(U,)``: the only rows of the embedding with a gradient.
        """
        tensors: list[Tensor] = []
        gradients: list[Gradient | None] = []
        for layer, factor in ((self.head, row), (self.auxiliary, row), (self.embedding, embedding)):
            if layer is None:
                continue
            found = [None if values is None else Gradient(values, factor) for values in layer.gradients()]
            if layer is self.embedding and found[0] is not None:
                found[0] = replace(found[0], rows=distinct)
            tensors, gradients = tensors + layer.tensors, gradients + found
        return tensors, gradients


class BatchPass:
    """Goes through the chunks of a batch; the layers accumulate the gradients of their parameters.

    Attributes:
        rows: Those that are not ignored, sorted.
        correct1: bool, shape ``(N,)``: whether the head predicts the label of each sorted row.
        correct2: The same for the auxiliary head.
        hidden_gradient: Shape ``(N, D)``, or None where the hidden state needs none.
    """

    def __init__(
        self,
        rows: Rows,
        layers: ChunkLayers,
        dtype: torch.dtype,
        weights: TermWeights,
        needs_hidden_grad: bool = False,
    ) -> None:
        """Sort the rows; dtype: of the matrix products; weights: their objective has the terms to compute."""
        self.rows = SortedRows.of(rows)
        self._layers, self._objective = layers, weights.objective
        self._hidden = hidden = rows.hidden.detach()[self.rows.order].to(dtype)
        self._cap_ratio = weights.cap / weights.row  # gradients of rows share the factor ``row``
        self._wide = weights.row.dtype
        self._log_p1, self._log_p2, self._soft = hidden.new_zeros(3, len(hidden), dtype=self._wide).unbind()
        self._distilled = hidden.new_zeros((), dtype=self._wide)
        self.correct1, self.correct2 = hidden.new_zeros(2, len(hidden), dtype=torch.bool).unbind()
        self.hidden_gradient = torch.zeros_like(hidden, dtype=self._wide) if needs_hidden_grad else None

    def sums(self) -> dict[str, Tensor]:
        """Return name -> sum over the rows of each term, scalar; undefined for a term that is off."""
        first = torch.zeros_like(self.rows.labels)
        cap = confidence_cap(self._log_p2[:, None], first, self._objective.alpha, self._objective.cap)
        return {
            "hard": -self._weighted(self._log_p1).sum(),
            "soft": self._weighted(self._soft).sum(),
            "aux": -self._weighted(self._log_p2).sum(),
            "embedding": self._distilled,
            "cap": self._weighted(cap).sum(),
        }

    def _weighted(self, values: Tensor, rows: slice = slice(None)) -> Tensor:
        """Return values of rows, shape ``(n,)`` or ``(n, V)``, times the rows' weights, where they have any."""
        weights = self.rows.weights
        if weights is None:
            return values
        weights = weights[rows].to(values.dtype)
        return values * (weights if values.dim() == 1 else weights[:, None])

    def run(self, kernels: Sequence[RowKernels], chunk_bytes: int, filter_eps: float | None = None) -> None:
        """Go through the rows in chunks.

        Args:
            kernels: Row kernels for each thread of row work.
            chunk_bytes: Memory for the buffers of a chunk.
            filter_eps: See ``significant_columns``.
        """
        self._kernels, num_labels, self._filter_eps = kernels, self._num_labels, filter_eps
        self._group_list = self.rows.group.tolist()
        row_bytes, group_bytes = num_labels * self._hidden.dtype.itemsize, 0
        if self._layers.embedding is not None and self._uses("soft", "embedding"):
            row_bytes = max(row_bytes, num_labels * self._layers.embedding.dtype.itemsize)
            group_bytes = num_labels * self._wide.itemsize
        chunks = plan_chunks(self._group_list, row_bytes, group_bytes, chunk_bytes)
        largest = max((chunk.num_rows * row_bytes + chunk.num_groups * group_bytes for chunk in chunks), default=0)
        arena = Arena(num_labels, largest + ALIGNMENT, self._hidden.device)
        for chunk in chunks:
            self._process(chunk, arena, chunk.num_rows * row_bytes)

    @property
    def _num_labels(self) -> int:
        layer = self._layers.head or self._layers.auxiliary
        assert layer is not None
        return layer.num_labels

    def _uses(self, *names: str) -> bool:
        """Return whether any of the named terms is in use."""
        return not self._objective.terms.isdisjoint(names)

    def _process(self, chunk: Chunk, arena: Arena, sums_at: int) -> None:
        """The auxiliary head first: the embedding learns from it, and the head from the embedding.

        One buffer serves them in turn: (n, V) logits of a head or (u, V) of the embedding, then their gradient. The
        other one, (u, V) from byte ``sums_at`` on, holds the sums that the embedding learns from, then softmax(e).
        """
        auxiliary, embedding = self._layers.auxiliary, self._layers.embedding
        z = arena.carve(chunk.num_rows, self._hidden.dtype)
        sums = None
        if embedding is not None and self._uses("soft", "embedding"):
            sums = arena.carve(chunk.num_groups, self._wide, sums_at).zero_()
        if auxiliary is not None and self._uses("aux", "cap", "embedding"):
            self._auxiliary(chunk, z, auxiliary, sums if self._uses("embedding") else None)
        if embedding is not None and sums is not None:
            self._embedding(chunk, arena.carve(chunk.num_groups, embedding.dtype), embedding, sums)
        if self._layers.head is not None:
            self._head(chunk, z, self._layers.head, sums if self._uses("soft") else None)

    def _in_parts(self, group: Sequence[int], values: Tensor, layer: Biased, trains: bool, work: PartWork) -> None:
        """Do the work of each part of a chunk's rows, side by side; their column sums make the bias gradient.

        Args:
            group: Label of each row, ascending: those of a label are in the same part.
            values: Logits of the layer.
            layer: Layer of the logits.
            trains: Whether gradients are wanted.
            work: What to do.
        """
        parts = cut_by_label(group, len(self._kernels))
        sums: Sequence[Tensor | None] = [None] * len(parts)
        if trains and layer.trains_bias:
            sums = values.new_zeros(len(parts), self._num_labels, dtype=self._wide).unbind()
        bias = layer.bias if self._adds_bias(values) else None

        def do(number: int, rows: slice) -> None:
            work(self._kernels[number], Logits(values[rows], trains, sums[number], bias), rows)

        in_parts(do, parts)
        for part in sums:
            if part is not None:
                layer.add_bias_gradient(part)

    def _adds_bias(self, logits: Tensor) -> bool:
        """Return whether the row kernels add the bias: not to narrower logits, which eager rounds after the sum."""
        return self._kernels[0].adds_bias and logits.dtype == self._wide

    def _labels(self, chunk: Chunk) -> RowLabels:
        weights = self.rows.weights
        return RowLabels(
            self.rows.labels[chunk.rows],
            self.rows.group[chunk.rows] - chunk.groups.start,
            None if weights is None else weights[chunk.rows].to(self._wide),
        )

    def _auxiliary(self, chunk: Chunk, z: Tensor, auxiliary: ChunkLinear, sums: Tensor | None) -> None:
        """Terms aux and cap; adds softmax(z2 / tau) of the correct rows to ``sums`` (u, V) by label."""
        hidden, objective, at = self._hidden[chunk.rows], self._objective, self._labels(chunk)
        trains = auxiliary.trains and self._uses("aux", "cap")
        cap = self._cap_ratio if self._uses("cap") else None
        terms = AuxiliaryTerms(self._uses("aux"), cap, objective.alpha, objective.cap == "absolute", objective.tau)
        log_p, correct = self._log_p2[chunk.rows], self.correct2[chunk.rows]
        auxiliary.logits(hidden, z, add_bias=not self._adds_bias(z))

        def work(kernels: RowKernels, logits: Logits, rows: slice) -> None:
            log_p[rows], correct[rows], _ = kernels.auxiliary(logits, at[rows], terms, sums)

        self._in_parts(self._group_list[chunk.rows], z, auxiliary, trains, work)
        if trains:
            eps = self._filter_eps
            if eps is not None and cap is not None:  # a sum over rows outweighs means over them
                eps *= max(1.0, float(cap))
            columns = significant_columns(z, eps)
            auxiliary.add_weight_gradient(z if columns is None else z[:, columns], hidden, columns)

    def _embedding(self, chunk: Chunk, e: Tensor, embedding: ChunkEmbedding, sums: Tensor) -> None:
        """Term embedding; turns ``sums`` (u, V) into softmax(e) where the soft term needs it. e: (u, V), a buffer."""
        labels = self.rows.distinct[chunk.groups]
        if not self._uses("embedding"):
            torch.softmax(embedding.logits(labels, e), 1, dtype=sums.dtype, out=sums)
            return
        counts = sums.new_zeros(len(sums))
        at = self._labels(chunk)
        counts.index_add_(0, at.group, self._weighted(self.correct2[chunk.rows].to(counts.dtype), chunk.rows))
        if at.weights is not None:  # the same for all rows of a label
            sums.mul_(sums.new_ones(len(sums)).index_copy_(0, at.group, at.weights)[:, None])
        if not self._uses("soft") and counts.device.type == "cpu":  # a GPU would have to wait for the count
            taught = counts.nonzero().squeeze(1)  # a label without a row to learn from adds nothing
            labels, counts, sums, e = labels[taught], counts[taught], sums[taught], e[: len(taught)]
        embedding.logits(labels, e, finish=not self._adds_bias(e))
        values = torch.zeros_like(counts)

        def work(kernels: RowKernels, logits: Logits, rows: slice) -> None:
            values[rows] = kernels.embedding(logits, sums[rows], counts[rows], embedding.rectified)

        self._in_parts(range(len(labels)), e, embedding, True, work)
        self._distilled += values.sum()
        if embedding.trains:
            embedding.add_weight_gradient(e, labels)

    def _head(self, chunk: Chunk, z: Tensor, head: ChunkLinear, q: Tensor | None) -> None:
        """Terms hard and soft. q: (u, V), softmax of the embedding's rows; None where the soft term is off."""
        hidden, objective, at = self._hidden[chunk.rows], self._objective, self._labels(chunk)
        trains = (head.trains or self.hidden_gradient is not None) and self._uses("hard", "soft")
        hard, soft = (objective.weights[name] if self._uses(name) else 0.0 for name in ("hard", "soft"))
        terms = HeadTerms(hard, soft, objective.soft_temperature)
        log_p, correct, values = self._log_p1[chunk.rows], self.correct1[chunk.rows], self._soft[chunk.rows]
        head.logits(hidden, z, add_bias=not self._adds_bias(z))

        def work(kernels: RowKernels, logits: Logits, rows: slice) -> None:
            found = kernels.head(logits, at[rows], terms, q)
            log_p[rows], correct[rows] = found.log_p, found.correct
            if found.soft is not None:
                values[rows] = found.soft

        self._in_parts(self._group_list[chunk.rows], z, head, trains, work)
        if trains:
            columns = significant_columns(z, self._filter_eps)
            dz = z if columns is None else z[:, columns]
            head.add_weight_gradient(dz, hidden, columns)
            if self.hidden_gradient is not None:
                self.hidden_gradient[chunk.rows] = head.input_gradient(dz, columns)
