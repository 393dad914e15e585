"""One pass over the chunks of a batch: values per row, and gradients before the reduction's factors.

n rows and u distinct labels of a chunk, N mask rows, V labels, D hidden size.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from labelemb.functional import confidence_cap
from labelemb.ops.chunked.chunks import ALIGNMENT, Arena, Chunk, SortedRows, plan
from labelemb.ops.chunked.layers import ChunkEmbedding, ChunkLinear
from labelemb.ops.chunked.row_kernels import BlockLabels, RowKernels
from labelemb.terms.objective import Objective


@dataclass(frozen=True)
class Parts:
    """What a loss is made of.

    head, auxiliary, embedding  as a chunk sees them; a loss without the last two has None there
    objective  the terms that are on, and their weights
    cap_ratio  factor of the cap's sum over rows relative to that of the other terms, scalar
    """

    head: ChunkLinear
    auxiliary: ChunkLinear | None
    embedding: ChunkEmbedding | None
    objective: Objective
    cap_ratio: Tensor

    def on(self, *names: str) -> bool:
        """Whether any of the named terms is on."""
        return not self.objective.terms.isdisjoint(names)

    @property
    def teaches(self) -> bool:
        """Whether the embedding's rows are needed: to learn (term 4) or to teach (term 2)."""
        return self.embedding is not None and self.on("soft", "embedding")


class ChunkRun:
    """Collects what the chunks of one batch add up to; the parts collect the gradients of the parameters.

    log_p1, log_p2, soft  (N,) log p1[y], log p2[y] and H(q, z1) of each sorted row
    correct1, correct2        (N,) bool, whether the head and the auxiliary head predict the label
    distilled             scalar, the sum of term 4 over the rows in correct2
    hidden_gradient       (N, D), or None
    """

    def __init__(
        self, parts: Parts, rows: SortedRows, hidden: Tensor, row_kernels: RowKernels, hidden_trains: bool
    ) -> None:
        """hidden: (N, D), sorted as the rows are, in the dtype of the products."""
        self._parts, self._rows, self._hidden, self._work = parts, rows, hidden, row_kernels
        wide = torch.promote_types(hidden.dtype, torch.float32)
        self.log_p1, self.log_p2, self.soft = hidden.new_zeros(3, len(hidden), dtype=wide).unbind()
        self.correct1, self.correct2 = hidden.new_zeros(2, len(hidden), dtype=torch.bool).unbind()
        self.distilled = hidden.new_zeros((), dtype=wide)
        self.hidden_gradient = torch.zeros_like(hidden, dtype=wide) if hidden_trains else None

    def add_all(self, num_labels: int, chunk_bytes: int) -> None:
        """Go through the rows in chunks whose buffers take ``chunk_bytes``; num_labels: V."""
        row_bytes, group_bytes = num_labels * self._hidden.dtype.itemsize, 0
        if self._parts.teaches:
            assert self._parts.embedding is not None
            row_bytes = max(row_bytes, num_labels * self._parts.embedding.dtype.itemsize)
            group_bytes = num_labels * self.soft.dtype.itemsize
        chunks = plan(self._rows.group.tolist(), row_bytes, group_bytes, chunk_bytes)
        largest = max((chunk.num_rows * row_bytes + chunk.num_groups * group_bytes for chunk in chunks), default=0)
        arena = Arena(num_labels, largest + ALIGNMENT, self._hidden.device)
        for chunk in chunks:
            self._add(chunk, arena, chunk.num_rows * row_bytes)

    def _add(self, chunk: Chunk, arena: Arena, sums_at: int) -> None:
        """The auxiliary head first: the embedding learns from it, and the head from the embedding.

        One buffer serves them in turn: (n, V) logits of a head or (u, V) of the embedding, then their gradient. The
        other one, (u, V) from byte ``sums_at`` on, holds what the embedding learns from, then what it teaches.
        """
        parts = self._parts
        z = arena.carve(chunk.num_rows, self._hidden.dtype)
        sums = arena.carve(chunk.num_groups, self.soft.dtype, sums_at).zero_() if parts.teaches else None
        if parts.auxiliary is not None and parts.on("aux", "cap", "embedding"):
            self._add_auxiliary(chunk, z, parts.auxiliary, sums if parts.on("embedding") else None)
        if parts.embedding is not None and sums is not None:
            self._add_embedding(chunk, arena.carve(chunk.num_groups, parts.embedding.dtype), parts.embedding, sums)
        self._add_head(chunk, z, sums if parts.on("soft") else None)

    def _blocks(self, chunk: Chunk) -> Iterator[tuple[slice, slice, BlockLabels]]:
        """Cut a chunk's rows for the row work: each block within the chunk, within the batch, and its labels."""
        first = chunk.rows.start
        for block in self._work.blocks(chunk.num_rows):
            rows = slice(first + block.start, first + block.stop)
            yield block, rows, BlockLabels(self._rows.labels[rows], self._rows.group[rows] - chunk.groups.start)

    def _add_auxiliary(self, chunk: Chunk, z: Tensor, auxiliary: ChunkLinear, sums: Tensor | None) -> None:
        """Terms 3 and 5, and in sums (u, V) the target of term 4: softmax(z2 / tau) of the correct rows, by label."""
        objective, hidden = self._parts.objective, self._hidden[chunk.rows]
        trains = auxiliary.trains and self._parts.on("aux", "cap")
        auxiliary.logits(hidden, z)
        for block, rows, at in self._blocks(chunk):
            found = self._work.statistics(z[block], at.labels, objective.tau if sums is not None else None)
            assert found.log_p is not None
            assert found.correct is not None
            self.log_p2[rows], self.correct2[rows] = found.log_p, found.correct
            if sums is not None:
                self._work.add_softmax_by_label(z[block], found, at, found.correct, sums)
            if trains:
                weight = self._auxiliary_weight(found.log_p)
                auxiliary.add_sums(self._work.auxiliary_gradient(z[block], found, at, weight))
        if trains:
            auxiliary.add(z, hidden)

    def _auxiliary_weight(self, log_p: Tensor) -> Tensor:
        """One factor per row of p2 - onehot y: the cap's gradient, c * p2[y] * (onehot y - p2), is a multiple of it.

        log_p (n,), log p2[y] -> (n,)
        """
        objective, p = self._parts.objective, log_p.exp()
        weight = torch.ones_like(p) if self._parts.on("aux") else torch.zeros_like(p)
        if self._parts.on("cap"):
            excess = p - objective.alpha
            slope = (excess > 0).to(p.dtype) if objective.cap == "hinge" else excess.sign()
            weight -= self._parts.cap_ratio * slope * p
        return weight

    def _add_embedding(self, chunk: Chunk, e: Tensor, embedding: ChunkEmbedding, sums: Tensor) -> None:
        """Term 4; turns sums (u, V) into softmax(e), the target of term 2. e: (u, V), room for logits."""
        labels = self._rows.distinct[chunk.groups]
        group = self._rows.group[chunk.rows] - chunk.groups.start
        counts = sums.new_zeros(len(sums))
        if self._parts.on("embedding"):
            counts.index_add_(0, group, self.correct2[chunk.rows].to(counts.dtype))
        trains = embedding.trains and self._parts.on("embedding")
        embedding.logits(labels, e)
        for block in self._work.blocks(chunk.num_groups):
            values, de = self._work.embedding_gradient(e[block], sums[block], counts[block], embedding.rectified)
            self.distilled += values.sum()
            if trains:
                embedding.add_sums(de)
        if trains:
            embedding.add(e, labels)

    def _add_head(self, chunk: Chunk, z: Tensor, q: Tensor | None) -> None:
        """Terms 1 and 2. q: (u, V), softmax of the embedding's rows."""
        parts, hidden = self._parts, self._hidden[chunk.rows]
        trains = (parts.head.trains or self.hidden_gradient is not None) and parts.on("hard", "soft")
        weights = (
            parts.objective.hard_weight if parts.on("hard") else 0.0,
            parts.objective.soft_weight if parts.on("soft") else 0.0,
        )
        parts.head.logits(hidden, z)
        for block, rows, at in self._blocks(chunk):
            found = self._work.statistics(z[block], at.labels)
            assert found.log_p is not None
            assert found.correct is not None
            self.log_p1[rows], self.correct1[rows] = found.log_p, found.correct
            if trains or q is not None:
                self.soft[rows], dz = self._work.head_gradient(z[block], found, at, q, weights)
                if trains:
                    parts.head.add_sums(dz)
        if trains:
            parts.head.add(z, hidden)
            if self.hidden_gradient is not None:
                self.hidden_gradient[chunk.rows] = parts.head.input_gradient(z)

    def cap(self) -> Tensor:
        """Term 5, (N,)."""
        first = torch.zeros_like(self._rows.labels)
        return confidence_cap(self.log_p2[:, None], first, self._parts.objective.alpha, self._parts.objective.cap)
