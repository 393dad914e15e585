"""Label smoothing and the controls of a learned embedding, against independent references."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from labelemb import (
    CompressedLabelEmbedding,
    DenseLabelEmbedding,
    FrozenLabelEmbeddingLoss,
    LabelEmbeddingLoss,
    LabelSmoothingLoss,
    Objective,
)
from labelemb.errors import ConfigError
from labelemb.losses.controls import Control, Matched, Shuffled
from labelemb.terms.embedding import LabelEmbedding
from labelemb.terms.output import MixedTargets

from .cases import LABELS, embedding, make_case


@pytest.mark.parametrize("eps", [0.0, 0.1, 1.0])
def test_label_smoothing_equals_torch(eps: float) -> None:
    case = make_case("label_smoothing")
    case.targets[3] = -100
    got = LabelSmoothingLoss(eps)(case.hidden, case.head, case.targets).loss
    torch.testing.assert_close(got, F.cross_entropy(case.head(case.hidden), case.targets, label_smoothing=eps))


def test_label_smoothing_rejects_invalid_smoothing() -> None:
    with pytest.raises(ConfigError, match="smoothing: expected a number from 0 to 1, got 1.5"):
        LabelSmoothingLoss(1.5)


def test_matched_keeps_the_diagonal_only() -> None:
    q, labels = embedding().soft_labels().detach(), torch.arange(LABELS)
    matched = Matched()(q, labels)
    for y in range(LABELS):
        for k in range(LABELS):
            assert float(matched[y, k]) == pytest.approx(float(q[y, y] if k == y else (1 - q[y, y]) / (LABELS - 1)))
    alone = Matched()(torch.ones(1, 1), torch.tensor([0]))
    assert alone.tolist() == [[1.0]], "a single label has nothing to spread to"


def test_shuffled_rows_are_permuted_off_the_diagonal() -> None:
    torch.manual_seed(0)
    q = torch.rand(40, 40).softmax(1)
    labels = torch.arange(40)
    shuffled = Shuffled(40, seed=3)(q, labels)
    assert torch.equal(shuffled.diagonal(), q.diagonal())
    assert torch.equal(shuffled.sort(1).values, q.sort(1).values)
    assert int((shuffled == q).sum()) < 40 + 80, "hardly a number stays"
    assert torch.equal(Shuffled(40, seed=3)(q, labels), shuffled), "fixed by the seed"
    assert not torch.equal(Shuffled(40, seed=4)(q, labels), shuffled)
    some = torch.tensor([7, 7, 2])
    assert torch.equal(Shuffled(40, seed=3)(q[some], some), shuffled[some]), "fixed by the label"


def test_row_permutations_are_independent_and_uniform() -> None:
    """The mass of label 0 in each row moves to every off-diagonal column about equally often."""
    q = torch.zeros(200, 200)
    q[:, 0] = 1.0
    columns = Shuffled(200, seed=0)(q, torch.arange(200)).argmax(1)[1:]
    assert not (columns == torch.arange(1, 200)).any()
    assert len(columns.unique()) > 100  # 126 expected of 199 even draws


def test_shuffling_too_many_labels_is_refused() -> None:
    with pytest.raises(ConfigError, match="shuffled_embedding: expected at most 32767 labels"):
        Shuffled(40_000, seed=0)
    assert Shuffled(3, seed=0).double().permutations.value.dtype == torch.int16
    assert not Shuffled(3, seed=0).state_dict()


@pytest.mark.parametrize("kind", ["dense", "compressed"])
@pytest.mark.parametrize("control", [Matched(), Shuffled(LABELS, 1)], ids=["matched_smoothing", "shuffled_embedding"])
def test_control_replaces_targets_but_not_embedding_training(kind: str, control: Control) -> None:
    torch.manual_seed(0)
    labels: LabelEmbedding = DenseLabelEmbedding(LABELS) if kind == "dense" else CompressedLabelEmbedding(LABELS, 3)
    with torch.no_grad():
        for parameter in labels.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    head, hidden, targets = nn.Linear(4, LABELS), torch.randn(9, 4, requires_grad=True), torch.randint(LABELS, (9,))
    loss = LabelEmbeddingLoss(4, LABELS, labels, control=control)
    with torch.no_grad():
        loss.auxiliary.weight.mul_(6)
    outputs, gradients = [], []
    for chosen in (control, None):
        loss.control = chosen
        loss.zero_grad()
        outputs.append(loss(hidden, head, targets))
        outputs[-1].loss.backward()
        gradients.append([p.grad.clone() for p in loss.parameters()])
    for name in ("hard", "aux", "embedding", "cap"):
        assert torch.equal(outputs[0].terms[name], outputs[1].terms[name])
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    log_p = head(hidden).log_softmax(1)
    taught = control(labels.soft_labels(), torch.arange(LABELS))[targets]
    torch.testing.assert_close(outputs[0].terms["soft"], -0.5 * (taught * log_p).sum(1).mean().detach())
    assert outputs[0].terms["soft"] != outputs[1].terms["soft"]


def test_frozen_control_equals_soft_labels_of_its_rows() -> None:
    case = make_case("matched_smoothing")
    control = Shuffled(LABELS, 7)
    learned = embedding().double()
    rows = control(learned.soft_labels(), torch.arange(LABELS)).detach()
    target = 0.3 * F.one_hot(case.targets, LABELS) + 0.7 * rows[case.targets]
    got = FrozenLabelEmbeddingLoss(learned, 0.3, control=control)(case.hidden, case.head, case.targets).loss
    torch.testing.assert_close(got, F.cross_entropy(case.head(case.hidden), target))


def test_controls_refuse_other_implementations_and_mixed_targets() -> None:
    with pytest.raises(ConfigError, match="impl: expected eager or auto with a control, got 'chunked'"):
        LabelEmbeddingLoss(4, LABELS, impl="chunked", control=Matched())
    wide = LabelEmbeddingLoss(2, 1500, objective=Objective.vision(), impl="auto", control=Matched())
    assert float(wide(torch.ones(2, 2), nn.Linear(2, 1500), torch.tensor([1, 2])).loss.detach()) > 0
    labels = torch.zeros(2, dtype=torch.int64)
    with pytest.raises(ConfigError, match="targets: expected one label per row for LabelEmbeddingLoss"):
        wide(torch.ones(2, 2), nn.Linear(2, 1500), MixedTargets(labels, labels, torch.ones(2)))
