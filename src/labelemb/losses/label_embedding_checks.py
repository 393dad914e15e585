"""Argument checks of ``LabelEmbeddingLoss``: each raises ConfigError for a value or a combination it does not allow."""

from labelemb.errors import ConfigError
from labelemb.losses.controls import Control
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.objective import Objective
from labelemb.terms.running_mean import RunningMeanLabelEmbedding


def check_embedding(embedding: LabelEmbedding | None, num_labels: int) -> None:
    """Check that a given label embedding belongs to ``num_labels`` labels."""
    if embedding is not None and not isinstance(embedding, LabelEmbedding):
        raise ConfigError("embedding", "a label embedding of this library", type(embedding).__name__)
    if embedding is not None and embedding.num_labels != num_labels:
        raise ConfigError("embedding", f"an embedding of {num_labels} labels", embedding.num_labels)


def check_objective_type(objective: object) -> None:
    """Check that the objective is an ``Objective``, or None."""
    if objective is not None and not isinstance(objective, Objective):
        raise ConfigError("objective", "an Objective, such as Objective(tau=1.0)", repr(objective))


def check_control(control: Control | None, impl: str) -> None:
    """Check that a control is not combined with an implementation other than eager."""
    if control is not None and impl not in ("auto", "eager"):
        raise ConfigError("impl", "eager or auto with a control", repr(impl))


def check_embedding_rows(embedding_rows: float) -> None:
    """Check the share of the rows that the embedding learns from."""
    if not (isinstance(embedding_rows, int | float) and 0 < embedding_rows <= 1):
        raise ConfigError("embedding_rows", "a number above 0 and up to 1", embedding_rows)


def check_filter_eps(filter_eps: float | None, impl: str) -> None:
    """Check the limit of small gradients, and that the implementation leaves them out."""
    if filter_eps is None:
        return
    if not (isinstance(filter_eps, int | float) and 0 <= filter_eps < 1):
        raise ConfigError("filter_eps", "a number from 0 to below 1, or None", filter_eps)
    if impl == "eager":
        raise ConfigError("filter_eps", "None with impl 'eager'", filter_eps)


def check_sharded(objective: Objective | None, control: Control | None, filter_eps: float | None) -> None:
    """Check that the other options allow labels in shards."""
    unsupported = {
        "a running mean": objective is not None and objective.embedding_update == "running_mean",
        "a control": control is not None,
        "filter_eps": filter_eps is not None,
    }
    if found := [name for name, given in unsupported.items() if given]:
        raise ConfigError("shard", "None, or no running mean, control and filter_eps", ", ".join(found))


def check_objective(objective: Objective, impl: str, embedding: LabelEmbedding) -> None:
    """Check that the implementation and the kind of label embedding support the objective."""
    if objective.soft_end is not None and impl == "fused":
        hint = "The fused kernels are compiled for constant weights"
        raise ConfigError("impl", "eager, chunked or auto for a soft term that decays", repr(impl), hint)
    running = objective.embedding_update == "running_mean"
    if running and impl not in ("auto", "eager"):
        raise ConfigError("impl", "eager or auto with embedding_update 'running_mean'", repr(impl))
    if running != isinstance(embedding, RunningMeanLabelEmbedding):
        wanted = "a RunningMeanLabelEmbedding" if running else "another kind"
        expected = f"{wanted} with embedding_update {objective.embedding_update!r}"
        raise ConfigError("embedding", expected, type(embedding).__name__)
