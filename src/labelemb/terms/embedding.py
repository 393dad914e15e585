"""Label embeddings: a row of logits per label, dense or compressed to two factors, saved as safetensors.

V labels, R rank, K labels of a call.
"""

import contextlib
import json
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ConfigError, DataError, check_at_least_one
from labelemb.terms import hub
from labelemb.terms.collectives import distributed_rows
from labelemb.terms.embedding_files import FORMAT, read_embedding_file, write_embedding_file
from labelemb.terms.label_parts import LabelParts
from labelemb.terms.reduction import upcast
from labelemb.terms.shard import LabelShard, check_shard, local_linear


class LabelEmbedding(LabelParts, ABC):
    """A learned matrix E with a row of logits per label; softmax of row y is the soft label of y.

    Attributes:
        num_labels: V.
        label_names: V strings, or None for labels without names.
        kind: Name of the storage: "dense" or "compressed".
        shard: The labels whose columns (and codes) this process holds; None: all.
    """

    kind: str
    num_labels: int

    def __init__(self) -> None:
        super().__init__()
        self.label_names = None

    @abstractmethod
    def rows(self, labels: Tensor, columns: Tensor | None = None) -> Tensor:
        """Return the rows of these labels: int64 ``(K,)`` -> ``(K, V)``.

        Args:
            labels: The labels, on every process the same.
            columns: Numbers of the columns to return; None: all. With ``shard`` those of this process, from 0 on.
        """

    def matrix(self) -> Tensor:
        """Return all rows, shape ``(V, V)``."""
        self._expect_whole("matrix()")
        return self.rows(torch.arange(self.num_labels, device=next(self.parameters()).device))

    def soft_labels(self) -> Tensor:
        """Return the soft labels: softmax of ``matrix()`` over its last axis, shape ``(V, V)``, fp32 or wider."""
        return torch.softmax(upcast(self.matrix()), dim=-1)

    def select(self, names: Sequence[str]) -> "LabelEmbedding":
        """Return a new embedding of the labels with these names, in this order, without the others.

        Soft labels of a subset are those of the whole, renormalized.

        Args:
            names: Label names, any subset in any order.

        Raises:
            DataError: Lists the names that are not there; or the embedding has no names.
        """
        self._expect_whole("select()")
        if self.label_names is None:
            raise DataError("embedding", "one with label names in its file", "none", "Save it with label_names")
        numbers = {name: number for number, name in enumerate(self.label_names)}
        if missing := [name for name in names if name not in numbers]:
            expected = f"an embedding with all {len(names)} labels (it has {len(numbers)})"
            raise DataError("embedding", expected, f"none for {', '.join(missing)}")
        with torch.no_grad():
            selected = self._select(torch.tensor([numbers[name] for name in names]))
        selected.label_names = list(names)
        return selected

    @abstractmethod
    def _select(self, labels: Tensor) -> "LabelEmbedding":
        """Return a copy with the rows and columns of these labels, shape ``(K,)``, alone."""

    def save(self, path: Path | str, label_names: Sequence[str] | None = None) -> None:
        """Write a safetensors file with the label names in its metadata. Equal embeddings give equal bytes.

        Args:
            path: File to write; written completely or not at all.
            label_names: One name per label; None: those of ``self.label_names``.

        Raises:
            ConfigError: When the names are not one per label.
        """
        self._expect_whole("save()")
        names = list(map(str, label_names)) if label_names is not None else self.label_names
        if names is not None and len(names) != self.num_labels:
            raise ConfigError("label_names", f"{self.num_labels} names, one per label", len(names))
        write_embedding_file(path, self.kind, self._tensors(), names)

    def _tensors(self) -> dict[str, Tensor]:
        """Return what a file holds, by name."""
        return dict(self.named_parameters())

    @classmethod
    def load(cls, path: Path | str) -> Self:
        """Read what ``save`` wrote. ``LabelEmbedding.load`` reads either kind.

        Raises:
            DataError: For a missing or damaged file, or one that holds another kind of embedding.
        """
        tensors, metadata = read_embedding_file(Path(path))
        kinds = {kind.kind: kind for kind in (DenseLabelEmbedding, CompressedLabelEmbedding)}
        actual = kinds.get(metadata.get("kind", ""))
        if actual is None or metadata.get("format") != FORMAT or not issubclass(actual, cls):
            wanted = f"a {cls.kind} label embedding" if hasattr(cls, "kind") else "a label embedding"
            raise DataError(str(path), wanted, f"format {metadata.get('format')}, kind {metadata.get('kind')}")
        try:
            embedding = actual._from_tensors(tensors)
            names = json.loads(metadata["label_names"]) if "label_names" in metadata else None
            if names is not None and not (isinstance(names, list) and all(isinstance(name, str) for name in names)):
                raise ValueError("label names must be a list of strings")
        except (KeyError, RuntimeError, ValueError, TypeError, IndexError) as error:
            raise DataError(str(path), f"the tensors of a {actual.kind} label embedding", error) from error
        if names is not None and len(names) != embedding.num_labels:
            raise DataError(str(path), f"{embedding.num_labels} label names", len(names))
        embedding.label_names = names
        assert isinstance(embedding, cls)
        return embedding

    def save_pretrained(self, folder: Path | str, **facts: Any) -> None:
        """Write the embedding and a model card into a folder.

        Args:
            folder: Folder to write to.
            **facts: What the card states, for example ``data="banking77", method="label_embedding", test_error=6.5``.
        """
        hub.write_folder(self, Path(folder), facts)

    def push_to_hub(self, repository: str, private: bool = False, **facts: Any) -> str:
        """Upload the embedding and a model card to the Hugging Face Hub; return the address.

        Args:
            repository: Name such as "user/banking77-labels"; created if need be.
            private: Whether a new repository is private.
            **facts: As in ``save_pretrained``.

        Raises:
            ConfigError: Without huggingface_hub.
            DataError: Where the Hub refuses.
        """
        return hub.push(self, repository, facts, private)

    @classmethod
    def from_pretrained(cls, source: Path | str) -> Self:
        """Read what ``save_pretrained`` or ``push_to_hub`` wrote.

        Args:
            source: A folder, or a repository of the Hugging Face Hub.

        Raises:
            ConfigError: Without huggingface_hub, for a repository.
            DataError: Where there is no label embedding.
        """
        return cls.load(hub.find_file(source))

    @classmethod
    @abstractmethod
    def _from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        """Build the embedding from the tensors of a file."""


class DenseLabelEmbedding(LabelEmbedding):
    """E as one ``(V, V)`` parameter, ``weight``.

    Args:
        num_labels: V.
        init: "identity", as published for vision, which for many labels is almost uniform; or a number eps between 0
            and 1: the soft labels start as label smoothing with eps, ``E[y] = log((1 - eps) onehot(y) + eps / V)``.
        shard: Labels whose columns this process holds, ``weight`` of shape ``(V, shard.size)``; None: all.

    Raises:
        ConfigError: For ``num_labels`` below 1, or another ``init``.

    Example:
        >>> DenseLabelEmbedding(2, init=0.1).soft_labels()
        tensor([[0.9500, 0.0500],
                [0.0500, 0.9500]], grad_fn=<SoftmaxBackward0>)
    """

    kind = "dense"
    shard_dims: ClassVar = {"weight": 1}

    def __init__(
        self, num_labels: int, init: Literal["identity"] | float = "identity", *, shard: LabelShard | None = None
    ) -> None:
        super().__init__()
        check_at_least_one("num_labels", num_labels)
        if init != "identity" and not (isinstance(init, float) and 0 < init < 1):
            raise ConfigError("init", "'identity' or a number between 0 and 1", repr(init))
        self.num_labels, self.shard = num_labels, check_shard(shard, num_labels)
        start, size = (0, num_labels) if shard is None else (shard.start, shard.size)
        eye = torch.zeros(num_labels, size)
        eye[start : start + size].fill_diagonal_(1)
        self.weight = nn.Parameter(eye if isinstance(init, str) else ((1 - init) * eye + init / num_labels).log())

    def rows(self, labels: Tensor, columns: Tensor | None = None) -> Tensor:
        """Return E[labels]: int64 ``(K,)`` -> ``(K, V)``; with ``shard`` its columns."""
        found = F.embedding(labels, self.weight)
        return found if columns is None else found[:, columns]

    def _like(self, shard: LabelShard | None) -> Self:
        return type(self)(self.num_labels, shard=shard)

    def matrix(self) -> Tensor:
        """Return E itself, shape ``(V, V)``."""
        self._expect_whole("matrix()")
        return self.weight

    def _select(self, labels: Tensor) -> LabelEmbedding:
        return DenseLabelEmbedding._from_tensors({"weight": self.weight.detach()[labels][:, labels]})

    @classmethod
    def _from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        weight = tensors["weight"]
        embedding = cls(weight.shape[0]).to(weight.dtype)
        embedding.load_state_dict(tensors)
        return embedding


class CompressedLabelEmbedding(LabelEmbedding):
    """``E = relu(codes W^T + b)`` in 2VR + V numbers instead of V * V, as published for sequence to sequence.

    Args:
        num_labels: V.
        rank: R, size of a label's code.
        shard: Labels whose codes and columns this process holds; None: all.

    Attributes:
        codes: ``nn.Embedding(V, R)``, torch's default initialization.
        decoder: ``nn.Linear(R, V)``, torch's default initialization.

    Raises:
        ConfigError: For ``num_labels`` or ``rank`` below 1.
    """

    kind = "compressed"
    shard_dims: ClassVar = {"codes.weight": 0, "decoder.weight": 0, "decoder.bias": 0}

    def __init__(self, num_labels: int, rank: int, *, shard: LabelShard | None = None) -> None:
        super().__init__()
        check_at_least_one("num_labels", num_labels)
        check_at_least_one("rank", rank)
        self.num_labels, self.rank, self.shard = num_labels, rank, check_shard(shard, num_labels)
        size = num_labels if shard is None else shard.size
        with contextlib.nullcontext() if shard is None else shard.fork_rng():
            self.codes = nn.Embedding(size, rank)
            self.decoder = local_linear(rank, size)

    def rows(self, labels: Tensor, columns: Tensor | None = None) -> Tensor:
        """Return relu(decoder(codes[labels])): int64 ``(K,)`` -> ``(K, V)``; with ``shard`` its columns."""
        if self.shard is None or self.shard.processes == 1:
            codes = self.codes(labels)
        else:
            codes = distributed_rows(self.codes.weight, labels, self.shard)
        if columns is not None:
            return F.linear(codes, self.decoder.weight[columns], self.decoder.bias[columns]).relu()
        logits: Tensor = self.decoder(codes)
        return logits.relu()

    def _like(self, shard: LabelShard | None) -> Self:
        return type(self)(self.num_labels, self.rank, shard=shard)

    def _select(self, labels: Tensor) -> LabelEmbedding:
        decoder = {f"decoder.{name}": part.detach()[labels] for name, part in self.decoder.named_parameters()}
        return self._from_tensors({"codes.weight": self.codes.weight.detach()[labels], **decoder})

    @classmethod
    def _from_tensors(cls, tensors: dict[str, Tensor]) -> Self:
        codes = tensors["codes.weight"]
        embedding = cls(*codes.shape).to(codes.dtype)
        embedding.load_state_dict(tensors)
        return embedding
