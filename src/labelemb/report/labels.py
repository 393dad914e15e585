"""Learned soft labels of a method: mean over seeds, order, tree and map. K displayed labels out of V."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from scipy.cluster.hierarchy import leaves_list, linkage
from scipy.spatial.distance import squareform

from labelemb.errors import ConfigError, DataError
from labelemb.report.experiment import Group
from labelemb.report.label_layout import Array, label_distances, stress_map
from labelemb.report.methods import method_title
from labelemb.report.similarity import label_indices, names_of
from labelemb.report.wording import mean_of_seeds
from labelemb.terms.embedding import LabelEmbedding

Order = Literal["cluster", "given"]
MAX_LABELS = 256  # more are not readable in a heat map and would not fit into a page
WORDS = 40  # displayed of a large vocabulary
NEIGHBOURS = 10


@dataclass(frozen=True)
class LabelView:
    """The labels of one method in one experiment.

    Attributes:
        experiment: Name of the experiment.
        method: Name of the method.
        names: Names of the K labels, in the given order.
        soft_labels: Row y is the soft label of y: softmax(E[y]) over all V labels, mean over the seeds, (K, K).
        neighbors: For each of the K labels the largest entries of its soft label over all V but its own.
        seeds: Number of seeds.
        num_labels: V.
        tree: Linkage of scipy with average distance, (K - 1, 4).
        cluster_order: The K positions in the order of the leaves of the tree.
        coordinates: Coordinates on the map, (K, 2).
    """

    experiment: str
    method: str
    names: list[str]
    soft_labels: Array
    neighbors: list[list[tuple[str, float]]]
    seeds: int
    num_labels: int
    tree: Array
    cluster_order: list[int]
    coordinates: Array

    def order(self, order: Order) -> list[int]:
        """Return the K positions as given or by cluster."""
        return self.cluster_order if order == "cluster" else list(range(len(self.names)))

    @property
    def source(self) -> str:
        """Return experiment, method, number of seeds and displayed labels as text."""
        seeds = mean_of_seeds(self.seeds)
        part = "" if len(self.names) == self.num_labels else f", {len(self.names)} of {self.num_labels} labels"
        return f"{self.experiment}, {method_title(self.method)}, {seeds}{part}"


def check_order(order: str) -> None:
    """Raise ConfigError for an unknown order."""
    if order not in ("cluster", "given"):
        raise ConfigError("order", "cluster or given", order)


def label_views(groups: Sequence[Group], labels: Sequence[str] | None = None) -> tuple[list[LabelView], list[str]]:
    """Return a view of each group with label embeddings, and warnings about what could not be displayed.

    Args:
        groups: Runs of methods.
        labels: Names to display, in this order, where an experiment has any of them. None: all.

    Raises:
        DataError: A name is in no experiment (with close matches), or a file is damaged.
    """
    wanted = list(dict.fromkeys(labels)) if labels is not None else []
    if labels is not None and len(wanted) < 2:
        raise DataError("labels", "two names or more", ", ".join(wanted) or "none")
    loaded = {id(group): _embeddings(group) for group in groups}
    every_name = dict.fromkeys(name for found in loaded.values() for e in found[:1] for name in names_of(e))
    label_indices(list(every_name), wanted if every_name else [])  # refuse a name that no experiment has
    views, warnings = [], []
    for group in groups:
        embeddings, lines = _comparable(group, loaded[id(group)])
        warnings += lines
        if not embeddings:
            continue
        names = names_of(embeddings[0])
        indices, lines = _displayed(group, names, wanted)
        warnings += lines
        if indices:
            views.append(_view(group, embeddings, names, indices))
    return views, warnings


def top_pairs(view: LabelView, count: int = 3, level: float = 1.1) -> list[tuple[str, str, float]]:
    """Return the most similar pairs of labels, each label in one pair only.

    Args:
        view: The labels.
        count: Largest number of pairs.
        level: A pair must have this many times the mean probability of all pairs, so that embeddings whose entries are
            all about equal have none.

    Returns:
        Two names and the mean probability that their soft labels give to each other.
    """
    size = len(view.names)
    mutual = (view.soft_labels + view.soft_labels.T) / 2
    pairs = sorted(((float(mutual[i, j]), i, j) for i in range(size) for j in range(i)), key=lambda pair: -pair[0])
    threshold = level * sum(pair[0] for pair in pairs) / max(len(pairs), 1)
    used: set[int] = set()
    chosen: list[tuple[str, str, float]] = []
    for probability, i, j in pairs:
        if not used & {i, j} and len(chosen) < count and len(pairs) > 1 and probability >= threshold:
            used |= {i, j}
            chosen.append((view.names[j], view.names[i], round(probability, 5)))
    return chosen


def _embeddings(group: Group) -> list[LabelEmbedding]:
    files = [run.folder.labels_file for run in group.runs]
    return [LabelEmbedding.load(file) for file in files if file.is_file()]


def _comparable(group: Group, found: list[LabelEmbedding]) -> tuple[list[LabelEmbedding], list[str]]:
    """Return the finite embeddings with the label names of the first, and warnings about the others."""
    title, warnings = f"{group.experiment}, {method_title(group.method)}", []
    finite = [embedding for embedding in found if all(p.isfinite().all() for p in embedding.parameters())]
    if len(finite) < len(found):
        warnings.append(f"{title}: label embeddings with numbers that are not finite are left out")
    same = [embedding for embedding in finite if names_of(embedding) == names_of(finite[0])]
    if len(same) < len(finite):
        shown = f"{len(same)} of {len(finite)}"
        warnings.append(f"{title}: the seeds have different label names; only {shown} are displayed")
    return same, warnings


def _displayed(group: Group, names: list[str], wanted: list[str]) -> tuple[list[int], list[str]]:
    """Return the indices of the labels to display, none when there are too many, and warnings."""
    title, warnings = f"{group.experiment}, {method_title(group.method)}", []
    present = set(names)
    known = label_indices(names, [name for name in wanted if name in present])
    indices = known if len(known) > 1 else list(range(len(names)))
    if len(known) < 2 and "corpus" in group.runs[0].config:
        words = [index for index in indices if names[index].isalpha()]
        indices = words if len(words) <= MAX_LABELS else words[:WORDS]  # a vocabulary is sorted by frequency
        if len(indices) < len(words):
            warnings.append(
                f"{title}: only the {WORDS} most frequent of {len(words)} words are displayed (others: --labels)"
            )
    if not 1 < len(indices) <= MAX_LABELS:
        warnings.append(
            f"{title}: {len(indices)} labels cannot be displayed, only 2 to {MAX_LABELS}; choose some with --labels"
        )
        return [], warnings
    return indices, warnings


def _view(group: Group, embeddings: list[LabelEmbedding], names: list[str], indices: list[int]) -> LabelView:
    chosen = torch.tensor(indices)
    with torch.no_grad():
        rows = [torch.softmax(embedding.rows(chosen).double(), dim=-1) for embedding in embeddings]
        mean: Array = torch.stack(rows).mean(dim=0).numpy()  # (K, V)
    soft_labels = mean[:, indices]
    distances = label_distances(soft_labels)
    tree = linkage(squareform(distances, checks=False), method="average", optimal_ordering=True)
    return LabelView(
        experiment=group.experiment,
        method=group.method,
        names=[names[index] for index in indices],
        soft_labels=soft_labels,
        neighbors=[_neighbors(row, index, names) for row, index in zip(mean, indices, strict=True)],
        seeds=len(embeddings),
        num_labels=len(names),
        tree=tree,
        cluster_order=[int(leaf) for leaf in leaves_list(tree)],
        coordinates=stress_map(distances),
    )


def _neighbors(row: Array, own: int, names: list[str]) -> list[tuple[str, float]]:
    largest = [int(index) for index in np.argsort(-row, kind="stable") if index != own][:NEIGHBOURS]
    return [(names[index], float(row[index])) for index in largest]
