"""One pass over the slabs of a batch: values per row, and gradients before the reduction's factors.

n rows and u distinct labels of a slab, N counted rows, V labels, D hidden size.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from labelemb.losses.objective import Objective
from labelemb.losses.row_work import RowWork, SlabLabels, Statistics, Teacher
from labelemb.losses.slab_parts import SlabEmbedding, SlabLinear
from labelemb.losses.slabs import ALIGNMENT, Arena, Slab, SortedRows, plan
from labelemb.losses.terms import confidence_cap


@dataclass(frozen=True)
class Parts:
    """What a loss is made of.

    head, auxiliary, embedding  as a slab sees them; a loss without the last two has None there
    objective  the terms that are on, and their weights
    cap_ratio  factor of the cap's sum over rows relative to that of the other terms, scalar
    """

    head: SlabLinear
    auxiliary: SlabLinear | None
    embedding: SlabEmbedding | None
    objective: Objective
    cap_ratio: Tensor

    def on(self, *names: str) -> bool:
        """Whether any of the named terms is on."""
        return not self.objective.terms.isdisjoint(names)


class SlabRun:
    """Collects what the slabs of one batch add up to; the parts collect the gradients of the parameters.

    log_p1, log_p2, soft  (N,) log p1[y], log p2[y] and H(q, z1) of each sorted row
    right1, right2        (N,) bool, whether the head and the auxiliary head predict the label
    distilled             scalar, the sum of term 4 over the rows in right2
    hidden_gradient       (N, D), or None
    """

    def __init__(self, parts: Parts, rows: SortedRows, hidden: Tensor, row_work: RowWork, hidden_trains: bool) -> None:
        """hidden: (N, D), sorted as the rows are, in the dtype of the products."""
        self._parts, self._rows, self._hidden, self._work = parts, rows, hidden, row_work
        wide = torch.promote_types(hidden.dtype, torch.float32)
        self.log_p1, self.log_p2, self.soft = hidden.new_zeros(3, len(hidden), dtype=wide).unbind()
        self.right1, self.right2 = hidden.new_zeros(2, len(hidden), dtype=torch.bool).unbind()
        self.distilled = hidden.new_zeros((), dtype=wide)
        self.hidden_gradient = torch.zeros_like(hidden, dtype=wide) if hidden_trains else None

    def add_all(self, num_labels: int, slab_bytes: int) -> None:
        """Go through the rows in slabs whose buffers take ``slab_bytes``; num_labels: V."""
        row_bytes, group_bytes = num_labels * self._hidden.dtype.itemsize, 0
        if self._parts.embedding is not None and self._parts.on("soft", "embedding"):
            group_bytes = num_labels * (self._parts.embedding.dtype.itemsize + self.soft.dtype.itemsize)
        slabs = plan(self._rows.group.tolist(), row_bytes, group_bytes, slab_bytes)
        largest = max((slab.num_rows * row_bytes + slab.num_groups * group_bytes for slab in slabs), default=0)
        arena = Arena(num_labels, largest + 2 * ALIGNMENT, self._hidden.device)
        for slab in slabs:
            self._add(slab, arena)

    def _add(self, slab: Slab, arena: Arena) -> None:
        """The embedding's rows first: the head learns from them, and the auxiliary head they learn from.

        One buffer (n, V) serves both heads in turn; each holds logits first, then their gradient.
        """
        parts = self._parts
        labels = self._rows.distinct[slab.groups]
        at = SlabLabels(self._rows.labels[slab.rows], self._rows.group[slab.rows] - slab.groups.start)
        teacher, sums = None, None
        if parts.embedding is not None and parts.on("soft", "embedding"):
            z, e, sums = arena.carve(
                (slab.num_rows, self._hidden.dtype),
                (slab.num_groups, parts.embedding.dtype),
                (slab.num_groups, self.soft.dtype),
            )
            parts.embedding.logits(labels, e)
            teacher = Teacher(e, self._work.statistics(e), parts.embedding.rectified)
        else:
            (z,) = arena.carve((slab.num_rows, self._hidden.dtype))
        if parts.auxiliary is not None and parts.on("aux", "cap", "embedding"):
            self._add_auxiliary(slab, z, at, parts.auxiliary, sums if parts.on("embedding") else None)
        self._add_head(slab, z, at, teacher if parts.on("soft") else None)
        if parts.embedding is not None and parts.on("embedding"):
            assert teacher is not None
            assert sums is not None
            self._add_embedding(slab, at, teacher, sums)

    def _add_auxiliary(self, slab: Slab, z: Tensor, at: SlabLabels, auxiliary: SlabLinear, sums: Tensor | None) -> None:
        """Terms 3 and 5, and in sums (u, V) the target of term 4: softmax(z2 / tau) of the correct rows, by label."""
        objective, hidden = self._parts.objective, self._hidden[slab.rows]
        auxiliary.logits(hidden, z)
        found = self._work.statistics(z, objective.tau if sums is not None else None)
        right = torch.eq(found.argmax, at.labels, out=self.right2[slab.rows])
        log_p = _log_p(z, found, at.labels, out=self.log_p2[slab.rows])
        if sums is not None:
            self._work.add_softmax_by_label(z, found, at, right, sums.zero_())
        if auxiliary.trains and self._parts.on("aux", "cap"):
            self._work.auxiliary_gradient(z, found, at, self._auxiliary_weight(log_p))
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

    def _add_head(self, slab: Slab, z: Tensor, at: SlabLabels, teacher: Teacher | None) -> None:
        """Terms 1 and 2."""
        parts, hidden = self._parts, self._hidden[slab.rows]
        parts.head.logits(hidden, z)
        found = self._work.statistics(z)
        torch.eq(found.argmax, at.labels, out=self.right1[slab.rows])
        _log_p(z, found, at.labels, out=self.log_p1[slab.rows])
        trains = (parts.head.trains or self.hidden_gradient is not None) and parts.on("hard", "soft")
        if not trains and teacher is None:
            return
        weights = (
            parts.objective.hard_weight if parts.on("hard") else 0.0,
            parts.objective.soft_weight if parts.on("soft") else 0.0,
        )
        self.soft[slab.rows] = self._work.head_gradient(z, found, at, teacher, weights)
        if trains:
            parts.head.add(z, hidden)
            if self.hidden_gradient is not None:
                self.hidden_gradient[slab.rows] = parts.head.input_gradient(z)

    def _add_embedding(self, slab: Slab, at: SlabLabels, teacher: Teacher, sums: Tensor) -> None:
        """Term 4."""
        embedding = self._parts.embedding
        assert embedding is not None
        counts = torch.zeros_like(teacher.found.peak).index_add_(
            0, at.group, self.right2[slab.rows].to(self.soft.dtype)
        )
        self.distilled += self._work.embedding_gradient(teacher, sums, counts).sum()
        if embedding.trains:
            embedding.add(teacher.logits, self._rows.distinct[slab.groups])

    def cap(self) -> Tensor:
        """Term 5, (N,)."""
        first = torch.zeros_like(self._rows.labels)
        return confidence_cap(self.log_p2[:, None], first, self._parts.objective.alpha, self._parts.objective.cap)


def _log_p(z: Tensor, found: Statistics, labels: Tensor, out: Tensor) -> Tensor:
    """Log softmax(z)[y]. z (n, V), labels (n,) -> out (n,)."""
    at_label = z.gather(1, labels[:, None])[:, 0].to(out.dtype)
    return torch.sub(at_label, found.peak, out=out).sub_(found.log_sum)
