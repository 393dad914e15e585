"""The labels of a task as its embeddings see them: soft labels over seeds, an order, a tree, a map.

K labels drawn out of V.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from labelemb.errors import ConfigError, DataError
from labelemb.report.aggregate import Group, method_name
from labelemb.report.similarity import label_numbers, names_of
from labelemb.terms.embedding import LabelEmbedding

Array = NDArray[np.float64]
Order = Literal["cluster", "given"]
MOST_LABELS = 256  # more cannot be read in a heat map, and would not fit into a page
WORDS = 40  # that stand for a vocabulary
NEIGHBOURS = 10
_SMALLEST = 1e-9  # a probability below counts as this, so that its logarithm stays finite


@dataclass(frozen=True)
class LabelView:
    """The labels of one method of one task.

    names        K names, in the order given
    soft_labels  (K, K), row y = the soft label of y: softmax(E[y]) over all V labels, mean over the seeds
    near         for each of the K the largest entries of its soft label over all V but its own
    seeds        how many
    num_labels   V
    tree         (K - 1, 4) linkage of scipy, average distance
    clustered    K positions: the order of the leaves of the tree
    places       (K, 2) of a map whose distances resemble ``distances``
    """

    task: str
    method: str
    names: list[str]
    soft_labels: Array
    near: list[list[tuple[str, float]]]
    seeds: int
    num_labels: int
    tree: Array
    clustered: list[int]
    places: Array

    def order(self, order: Order) -> list[int]:
        """Return K positions, as given or by cluster."""
        return self.clustered if order == "cluster" else list(range(len(self.names)))

    @property
    def source(self) -> str:
        """Return what the numbers are a mean of."""
        seeds = "1 seed" if self.seeds == 1 else f"mean of {self.seeds} seeds"
        part = "" if len(self.names) == self.num_labels else f", {len(self.names)} of {self.num_labels} labels"
        return f"{self.task}, {method_name(self.method)}, {seeds}{part}"


def check_order(order: str) -> None:
    """Raise ConfigError for an unknown order."""
    if order not in ("cluster", "given"):
        raise ConfigError("order", "cluster or given", order)


def label_views(groups: Sequence[Group], labels: Sequence[str] | None = None) -> tuple[list[LabelView], list[str]]:
    """Return a view of every group that left label embeddings, and warnings about what could not be shown.

    labels  names to keep, in this order, in the tasks that have any of them; None: all

    Raises DataError for a name that no task has, with close matches, and for a damaged file.
    """
    wanted = list(dict.fromkeys(labels)) if labels is not None else []
    if labels is not None and len(wanted) < 2:
        raise DataError("labels", "two names or more", ", ".join(wanted) or "none")
    loaded = {id(group): _embeddings(group) for group in groups}
    everything = list(dict.fromkeys(name for found in loaded.values() for e in found[:1] for name in names_of(e)))
    label_numbers(everything, wanted if everything else [])
    views, warnings = [], []
    for group in groups:
        title = f"{group.task}, {method_name(group.method)}"
        embeddings = [found for found in loaded[id(group)] if all(p.isfinite().all() for p in found.parameters())]
        if len(embeddings) < len(loaded[id(group)]):
            warnings.append(f"{title}: label embeddings with numbers that are not finite are left out")
        if not embeddings:
            continue
        names = names_of(embeddings[0])
        alike = [embedding for embedding in embeddings if names_of(embedding) == names]
        if len(alike) < len(embeddings):
            drawn = f"{len(alike)} of {len(embeddings)}"
            warnings.append(f"{title}: the seeds have different label names; only {drawn} are drawn")
        known = label_numbers(names, [name for name in wanted if name in set(names)])
        numbers = known if len(known) > 1 else list(range(len(names)))
        if len(known) < 2 and "corpus" in group.runs[0].config:
            words = [number for number in numbers if names[number].isalpha()]
            numbers = words if len(words) <= MOST_LABELS else words[:WORDS]  # a vocabulary is by frequency
            if len(numbers) < len(words):
                warnings.append(f"{title}: the {WORDS} most frequent of {len(words)} words are drawn; choose others")
        if not 1 < len(numbers) <= MOST_LABELS:
            warnings.append(f"{title}: {len(numbers)} labels cannot be drawn, only 2 to {MOST_LABELS}; choose some")
            continue
        views.append(_view(group, alike, names, numbers))
    return views, warnings


def distances(soft_labels: Array) -> Array:
    """Return how far labels are apart: -ln of the mean probability that two soft labels give each other's label.

    (K, K) -> (K, K), symmetric, 0 on the diagonal. Rows themselves are not compared, since their own labels, where
    nearly all of the probability is, make all rows equally far apart.
    """
    apart: Array = -np.log(np.maximum((soft_labels + soft_labels.T) / 2, _SMALLEST))
    apart = np.maximum(apart, 0.0)
    np.fill_diagonal(apart, 0.0)
    return apart


def _embeddings(group: Group) -> list[LabelEmbedding]:
    files = [run.folder.labels_file for run in group.runs]
    return [LabelEmbedding.load(file) for file in files if file.is_file()]


def _view(group: Group, embeddings: list[LabelEmbedding], names: list[str], numbers: list[int]) -> LabelView:
    chosen = torch.tensor(numbers)
    with torch.no_grad():
        rows = [torch.softmax(embedding.rows(chosen).double(), dim=-1) for embedding in embeddings]
        mean: Array = torch.stack(rows).mean(dim=0).numpy()  # (K, V)
    soft_labels = mean[:, numbers]
    apart = distances(soft_labels)
    tree = linkage(squareform(apart, checks=False), method="average", optimal_ordering=True)
    return LabelView(
        task=group.task,
        method=group.method,
        names=[names[number] for number in numbers],
        soft_labels=soft_labels,
        near=[_near(row, number, names) for row, number in zip(mean, numbers, strict=True)],
        seeds=len(embeddings),
        num_labels=len(names),
        tree=tree,
        clustered=[int(leaf) for leaf in leaves_list(tree)],
        places=_map(apart),
    )


def _near(row: Array, own: int, names: list[str]) -> list[tuple[str, float]]:
    largest = [int(number) for number in np.argsort(-row, kind="stable") if number != own][:NEIGHBOURS]
    return [(names[number], float(row[number])) for number in largest]


def _map(apart: Array, rounds: int = 300) -> Array:
    """Return places in the plane by stress majorisation (SMACOF), from the classical solution on.

    (K, K) -> (K, 2), centred, scaled to [-1, 1]; the signs are fixed, so that the same labels give the same map.
    """
    size = len(apart)
    centre = np.eye(size) - 1 / size
    values, vectors = np.linalg.eigh(-centre @ apart**2 @ centre / 2)
    largest = [-1, -2] if size > 1 else [-1, -1]
    places: Array = vectors[:, largest] * np.sqrt(np.maximum(values[largest], 1e-9))
    for _ in range(rounds):
        between = np.linalg.norm(places[:, None] - places[None], axis=2)
        ratio = -apart / np.maximum(between, 1e-9)
        np.fill_diagonal(ratio, 0.0)
        np.fill_diagonal(ratio, -ratio.sum(axis=1))
        places = ratio @ places / size
    places -= places.mean(axis=0)
    leading = np.abs(places).argmax(axis=0)
    places *= np.where(places[leading, [0, 1]] < 0, -1.0, 1.0)
    scaled: Array = places / max(float(np.abs(places).max()), 1e-9)
    return scaled
