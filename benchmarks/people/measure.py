"""What a trained net says about similar labels, and how well that agrees with people. N images, V labels."""

from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from benchmarks.people.sets import People
from labelemb.metrics.agreement import agreement
from labelemb.metrics.calibration import RowScores, fit_temperature
from labelemb.metrics.selective import accuracy_at_coverage, aurc
from labelemb.metrics.severity import embedding_cost, errors_within_group, hierarchical_distance, least_severe
from labelemb.runs import RunFolder
from labelemb.tasks.vision.images import ImageData, Images
from labelemb.tasks.vision.trained import TrainedModel
from labelemb.terms.embedding import LabelEmbedding
from labelemb.training.checkpoint import load_checkpoint

SOFTENED = 2.0  # temperature of the mean softened prediction: tau of the label embedding
PERMUTATIONS = 999
Matrix = NDArray[np.float64]


def measure(run: RunFolder, data: ImageData, people: People) -> dict[str, Any]:
    """Return test metrics of a run, agreement of each of its similarities with people, and scores against votes."""
    model = TrainedModel(run)
    assert data.valid is not None
    logits = {name: model.logits(split.pixels) for name, split in _splits(data).items()}
    temperature = fit_temperature(logits["valid"], data.valid.labels)
    learned = _learned(run)
    similarities = {
        "confusion": _confusion(logits["test"], data.test),
        "weights": _cosine(model.model.head.weight),  # type: ignore[union-attr, arg-type]
        "prediction": _mean_prediction(logits["test"], data.test),
        "prediction_train": _mean_prediction(logits["train"], data.train),
        **learned,
    }
    scored = {name: agree(similarity, people) for name, similarity in similarities.items()}
    test = _metrics(logits["test"], data.test.labels, temperature)
    if people.groups is not None:
        test |= _severity(logits["test"] / temperature, data.test.labels, people.groups, learned)
    votes = {} if people.per_image is None else {"votes": _votes(logits["test"], people.per_image, temperature)}
    return {"temperature": temperature, "test": test, "agreement": scored, **votes}


def agree(similarity: Matrix, people: People) -> dict[str, Any]:
    """Return the agreement of one similarity with people."""
    return asdict(agreement(similarity, people.shares, people.groups, PERMUTATIONS))


def _splits(data: ImageData) -> dict[str, Images]:
    assert data.valid is not None
    return {"train": data.train, "valid": data.valid, "test": data.test}


def _learned(run: RunFolder) -> dict[str, Matrix]:
    """Return the similarity that the loss itself has learned, if any."""
    if run.labels_file.is_file():
        embedding = LabelEmbedding.load(run.labels_file)
        rows = embedding.rows(torch.arange(embedding.num_labels)).detach().double()
        return {"embedding": np.asarray(torch.softmax(rows, dim=-1).numpy())}
    soft = load_checkpoint(run.last_checkpoint)["loss"].get("soft")
    return {} if soft is None else {"ols": np.asarray(soft.double().numpy())}


def _confusion(logits: Tensor, images: Images) -> Matrix:
    counts = np.zeros((logits.shape[1],) * 2)
    np.add.at(counts, (images.labels.numpy(), logits.argmax(1).numpy()), 1.0)
    return counts


def _cosine(weight: Tensor) -> Matrix:
    rows = F.normalize(weight.detach().double(), dim=1)
    return np.asarray((rows @ rows.T).numpy())


def _mean_prediction(logits: Tensor, images: Images) -> Matrix:
    p = torch.softmax(logits.double() / SOFTENED, dim=1)
    sums = torch.zeros(p.shape[1], p.shape[1], dtype=torch.float64).index_add_(0, images.labels, p)
    return np.asarray((sums / torch.bincount(images.labels, minlength=p.shape[1])[:, None]).numpy())


def _metrics(logits: Tensor, labels: Tensor, temperature: float) -> dict[str, float]:
    scores, scaled = (RowScores.of(logits / t, labels) for t in (1.0, temperature))
    return {
        "error": 100 * float(1 - scores.correct.mean()),
        "nll": scores.metrics()["nll"],
        "adaptive_ece": scores.metrics()["adaptive_ece"],
        "scaled_nll": scaled.metrics()["nll"],
        "aurc": aurc(scores.confidence, scores.correct),
        "accuracy_at_80": accuracy_at_coverage(scores.confidence, scores.correct),
    }


def _severity(logits: Tensor, labels: Tensor, groups: list[str], learned: dict[str, Matrix]) -> dict[str, float]:
    """Return severity of the most probable labels, and of the decisions that the learned similarity makes less severe.

    Args:
        logits: ``(N, V)``, divided by the temperature.
        labels: ``(N,)``.
        groups: V superclasses.
        learned: At most one similarity.
    """
    names = sorted(set(groups))
    of = torch.tensor([names.index(group) for group in groups])
    decisions = {"": logits.argmax(1)}
    for similarity in learned.values():
        decisions["least_severe_"] = least_severe(logits.softmax(1), embedding_cost(torch.from_numpy(similarity)))
    found: dict[str, float] = {}
    for name, predicted in decisions.items():
        found[f"{name}error"] = 100 * float((predicted != labels).double().mean())
        found[f"{name}within_group"] = errors_within_group(predicted, labels, of) or 0.0
        found[f"{name}distance"] = float(hierarchical_distance(predicted, labels, [of]).double().mean())
    return found


def _votes(logits: Tensor, shares: Matrix, temperature: float) -> dict[str, float]:
    """Return the mean cross entropy of predictions to the votes on each image, and its lower bound, their entropy."""
    target = torch.from_numpy(shares)
    entropy = float(torch.special.entr(target).sum(1).mean())

    def cross_entropy(t: float) -> float:
        return float(-(target * torch.log_softmax(logits.double() / t, dim=1)).sum(1).mean())

    return {"cross_entropy": cross_entropy(1.0), "scaled_cross_entropy": cross_entropy(temperature), "entropy": entropy}
