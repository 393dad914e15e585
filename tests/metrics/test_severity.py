"""Severity of errors, and decisions of least expected cost."""

import pytest
import torch

from labelemb.errors import ShapeError
from labelemb.metrics.severity import (
    embedding_cost,
    errors_within_group,
    group_cost,
    hierarchical_distance,
    least_severe,
    mean_cost,
    severity_metrics,
)

GROUPS = torch.tensor([0, 0, 1, 1, 2])
COARSE = torch.tensor([0, 0, 0, 0, 1])


def sample(rows: int = 200) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(0)
    labels = torch.randint(0, 5, (rows,), generator=random)
    logits = torch.randn(rows, 5, generator=random)
    return torch.softmax(logits, dim=1), labels, logits.argmax(dim=1)


def test_distance_counts_the_levels_that_differ() -> None:
    predicted, labels = torch.tensor([0, 1, 2, 4]), torch.tensor([0, 0, 0, 0])
    assert hierarchical_distance(predicted, labels, [GROUPS, COARSE]).tolist() == [0, 1, 2, 3]
    assert hierarchical_distance(predicted, labels, []).tolist() == [0, 1, 1, 1]


def test_the_share_within_groups_is_the_share_of_errors_at_distance_one() -> None:
    _, labels, predicted = sample()
    distance = hierarchical_distance(predicted, labels, [GROUPS])
    errors = distance[distance > 0]
    assert errors_within_group(predicted, labels, GROUPS) == pytest.approx(100 * float((errors == 1).double().mean()))
    assert errors_within_group(labels, labels, GROUPS) is None


def test_where_every_error_costs_the_same_the_most_probable_label_is_chosen() -> None:
    p, _, predicted = sample()
    assert torch.equal(least_severe(p, 1 - torch.eye(5)), predicted)


def test_no_other_decision_has_a_lower_expected_cost() -> None:
    p, _, _ = sample()
    for cost in (group_cost(GROUPS), embedding_cost(torch.softmax(torch.randn(5, 5), dim=1))):
        expected = p.double() @ cost
        chosen = expected.gather(1, least_severe(p, cost)[:, None]).squeeze(1)
        assert torch.equal(chosen, expected.min(dim=1).values)


def test_the_cost_of_an_embedding_is_lower_for_near_labels() -> None:
    q = torch.tensor([[0.7, 0.25, 0.05], [0.25, 0.7, 0.05], [0.05, 0.05, 0.9]])
    cost = embedding_cost(q)
    assert torch.equal(cost, cost.T)
    assert cost.diagonal().tolist() == [0, 0, 0]
    assert cost[0, 1] < cost[0, 2]
    assert float(cost.sum()) / 6 == pytest.approx(1)
    assert torch.isfinite(embedding_cost(torch.eye(3))).all()


def test_figures_of_one_level_agree_with_the_mean_cost_of_the_grouping() -> None:
    _, labels, predicted = sample()
    metrics = severity_metrics(predicted, labels, GROUPS)
    assert metrics["hierarchical_distance"] == pytest.approx(mean_cost(predicted, labels, group_cost(GROUPS)))
    assert severity_metrics(labels, labels, GROUPS) == {"hierarchical_distance": 0.0}


def test_shapes() -> None:
    with pytest.raises(ShapeError, match="square"):
        embedding_cost(torch.ones(2, 3))
    with pytest.raises(ShapeError, match="probabilities"):
        least_severe(torch.ones(4, 2), torch.ones(3, 3))
