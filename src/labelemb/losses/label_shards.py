"""Losses whose labels are split over processes: checks, and states for any number of processes."""

from collections.abc import Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from labelemb.errors import ConfigError, DataError
from labelemb.losses.base import Loss
from labelemb.ops.backends import Implementation
from labelemb.ops.inputs import ObjectiveInputs
from labelemb.ops.sharded import rows_per_chunk, sharded_loss
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.output import LossOutput
from labelemb.terms.rows import Rows
from labelemb.terms.shard import LabelShard, check_shard, is_dtensor


class ShardedLoss(Loss):
    """A loss that may hold the labels of one process only (``LabelShard``).

    Its ``state_dict`` has the names of the unsharded loss's and the tensors of this process.
    """

    def use_shard(self, shard: LabelShard | None, impl: Implementation = "eager") -> None:
        """Set ``shard``; all processes must have the same kind of loss.

        Raises:
            ConfigError: For a shard of other labels, or an implementation that has no form for shards.
        """
        if shard is None:
            return
        if impl == "fused":
            raise ConfigError("impl", "eager, chunked or auto with shard", repr(impl))
        self.shard = check_shard(shard, self.num_labels)
        self.num_labels = shard.num_labels

    def compute_sharded(
        self, inputs: ObjectiveInputs, impl: Implementation = "eager", chunk_bytes: int | None = None
    ) -> LossOutput:
        """Return ``labelemb.ops.sharded.sharded_loss`` of this loss's labels."""
        assert self.shard is not None
        chunk_rows = rows_per_chunk(impl, inputs, self.shard, chunk_bytes)
        return sharded_loss(inputs, self.shard, sample=self.training, chunk_rows=chunk_rows)

    def compute_soft_targets(
        self, rows: Rows, head: nn.Module, hard_weight: float, embedding: LabelEmbedding | None = None
    ) -> LossOutput:
        """Return ``hard_weight * H(onehot y, z) + (1 - hard_weight) * H(t, z)``, a mean over rows.

        Args:
            rows: The batch.
            head: The classifier of this process's labels.
            hard_weight: 0 to 1; 1: one-hot cross entropy, without a soft term.
            embedding: Gives the soft targets ``t = softmax(E[y])``; None: ``1 / V``.
        """
        names = frozenset({"hard"} if hard_weight == 1 else {"hard", "soft"})
        objective = Objective(beta=hard_weight, terms=names)
        inputs = ObjectiveInputs(rows, head, objective, embedding=embedding, group=self.data_parallel_group)
        output = self.compute_sharded(inputs)
        terms = {name: value for name, value in output.terms.items() if name in names}
        return replace(output, terms=terms, weights=self.term_weights())

    def shard_dims(self) -> dict[str, int]:
        """Return the axis along which each tensor of the ``state_dict`` is split by label."""
        dims = {"auxiliary.weight": 0, "auxiliary.bias": 0}
        embedding = getattr(self, "embedding", None)
        if isinstance(embedding, LabelEmbedding):
            dims |= {f"embedding.{name}": dim for name, dim in embedding.shard_dims.items()}
        return dims

    def full_state_dict(self) -> dict[str, Tensor]:
        """Return the ``state_dict`` of the unsharded loss, on every process; call it on all processes of the shard."""
        dims, state = self.shard_dims(), self.state_dict()
        return {name: self._gathered(value, dims[name]) if name in dims else value for name, value in state.items()}

    def load_full_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load this process's part of the ``state_dict`` of an unsharded loss.

        Raises:
            ConfigError: For a loss without ``shard``.
            DataError: For the state of another loss.
        """
        if self.shard is None:
            raise ConfigError("load_full_state_dict", "a loss with shard", "none", "Use load_state_dict")
        dims, own = self.shard_dims(), self.state_dict()
        for name, value in own.items():
            shape = list(value.shape)
            if name in dims:
                shape[dims[name]] = self.shard.num_labels
            found = list(state[name].shape) if name in state else None
            if found != shape:
                raise DataError(f"state[{name!r}]", f"shape {tuple(shape)}", found and tuple(found))
        parts = {name: self.shard.part(state[name], dims[name]) if name in dims else state[name] for name in own}
        self.load_state_dict(parts)

    def sharded_state_dict(self) -> dict[str, Tensor]:
        """Return the ``state_dict`` with ``DTensor``s, for torch.distributed.checkpoint.

        They share the memory of the parameters, so ``dcp.load`` into them loads the loss, even from a checkpoint of
        another number of processes. Only the number of steps needs ``load_sharded_state_dict`` with the result.
        """
        dims, state = self.shard_dims(), self.state_dict()
        if self.shard is None:
            return dict(state)
        return {
            name: self.shard.as_dtensor(value, dims[name]) if name in dims else value for name, value in state.items()
        }

    def load_sharded_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Load what ``sharded_state_dict`` returned, after ``dcp.load``."""
        self.load_state_dict({name: _local(value) for name, value in state.items()})

    def _gathered(self, value: Tensor, dim: int) -> Tensor:
        return value if self.shard is None else self.shard.gather(value, dim).contiguous()


def _local(value: Tensor) -> Tensor:
    with torch.no_grad():
        found: Tensor = value.to_local() if is_dtensor(value) else value
    return found


def split_embedding(embedding: LabelEmbedding, shard: LabelShard | None) -> LabelEmbedding:
    """Return this process's part of an embedding; one that was made for the shard is returned as it is.

    Raises:
        ConfigError: For an embedding of another shard.
    """
    if embedding.shard is None:
        return embedding if shard is None or shard.is_whole else embedding.split(shard)
    if shard is None or (embedding.shard.start, embedding.shard.stop) != (shard.start, shard.stop):
        expected = "one with all labels or of the loss's shard"
        raise ConfigError("embedding", expected, f"labels {embedding.shard.start}:{embedding.shard.stop}")
    return embedding
