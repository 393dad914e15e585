"""Mixed targets (mixup, CutMix) for the label embedding loss: the mixture of what both labels alone would give."""

import numpy as np
import pytest
import torch

from labelemb import LabelEmbeddingLoss, LossOutput, MixedTargets, Objective
from labelemb.errors import ConfigError
from labelemb.losses.controls import Matched

from .reference import Case, expected, make_case

ROWS = 12
FORMS = {
    "vision": Objective(soft_temperature=2.0),
    "token": Objective(mix="sum", cap="absolute", reduction="token", alpha=0.4),
    "running": Objective.recommended(),
}


def mixed_case(form: str) -> tuple[Case, MixedTargets]:
    """The auxiliary head predicts about half of the labels; the last row is ignored."""
    if form == "running":
        case = make_case(Objective(), ROWS)
        case.loss = LabelEmbeddingLoss(4, 5, objective=FORMS[form]).double()
        with torch.no_grad():
            case.loss.auxiliary.weight.mul_(6)
    else:
        case = make_case(FORMS[form], ROWS)
    predicted, other = case.loss.auxiliary(case.hidden).argmax(1), torch.arange(ROWS) % 5
    even = torch.arange(ROWS) % 2 == 0
    first, second = torch.where(even, predicted, other), torch.where(even, other, predicted)
    first[-1] = second[-1] = -100
    return case, MixedTargets(first, second, torch.linspace(0.05, 0.9, ROWS, dtype=torch.float64))


def of(case: Case, targets: MixedTargets | torch.Tensor) -> LossOutput:
    return case.loss(case.hidden, case.head, targets)


@pytest.mark.parametrize("form", ["vision", "token"])
def test_values_and_gradients_are_those_of_weighted_rows(form: str) -> None:
    case, mixed = mixed_case(form)
    of(case, mixed).loss.backward()
    head = (case.head.weight.detach().numpy(), case.head.bias.detach().numpy())
    auxiliary = (case.loss.auxiliary.weight.detach().numpy(), case.loss.auxiliary.bias.detach().numpy())
    matrix = case.loss.embedding.matrix().detach().numpy()
    z2 = case.loss.auxiliary(case.hidden.detach())
    gradients = {name: np.zeros(tensor.shape) for name, tensor in case.gradients().items()}
    terms, right = dict.fromkeys(of(case, mixed).terms, 0.0), 0.0
    for row in range(ROWS - 1):
        weight = float(mixed.weight[row])
        for label, share in ((int(mixed.first[row]), weight), (int(mixed.second[row]), 1 - weight)):
            hidden = case.hidden.detach().numpy()[row : row + 1]
            one = expected(hidden, [label], head, auxiliary, matrix, case.loss.objective, ROWS - 1)
            terms = {name: value + share * one.terms[name] for name, value in terms.items()}
            right += share * (int(z2[row].argmax()) == label)
            gradients["hidden"][row] += share * one.hidden[0]
            for name in gradients.keys() - {"hidden"}:
                gradients[name] += share * getattr(one, name)
    scale = 1 / right if form == "vision" else 1.0  # the mean over the rows that are right, of one row each in ``one``
    terms["embedding"] *= scale
    gradients["embedding"] *= scale
    found = {name: float(value) for name, value in of(case, mixed).terms.items()}
    assert found == pytest.approx(terms, rel=1e-6)
    for name, gradient in case.gradients().items():
        torch.testing.assert_close(gradient, torch.from_numpy(gradients[name]), rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_weight_1_is_the_first_label_alone_and_the_order_does_not_matter(form: str) -> None:
    case, mixed = mixed_case(form)
    for _ in range(2):  # a running mean has soft labels in the second epoch
        alone = of(case, mixed.first)
        for one in (
            MixedTargets(mixed.first, mixed.second, torch.ones(ROWS)),
            MixedTargets(mixed.second, mixed.first, torch.zeros(ROWS)),
            MixedTargets(mixed.first, mixed.first, mixed.weight),
        ):
            torch.testing.assert_close(of(case, one).terms, alone.terms)
        swapped = MixedTargets(mixed.second, mixed.first, 1 - mixed.weight)
        torch.testing.assert_close(of(case, swapped).terms, of(case, mixed).terms)
        case.loss.epoch_end()


def test_a_running_mean_is_weighted_and_each_soft_label_is_largest_at_its_own_label() -> None:
    case, mixed = mixed_case("running")
    of(case, mixed)
    case.loss.epoch_end()
    teacher = torch.softmax(case.loss.auxiliary(case.hidden).detach() / case.loss.objective.tau, 1)
    sums, counts = torch.zeros(5, 5, dtype=torch.float64), torch.zeros(5, dtype=torch.float64)
    for row in range(ROWS - 1):
        weight = float(mixed.weight[row])
        for label, share in ((int(mixed.first[row]), weight), (int(mixed.second[row]), 1 - weight)):
            if int(teacher[row].argmax()) == label:
                sums[label] += share * teacher[row]
                counts[label] += share
    known = counts > 0
    assert known.sum() >= 3
    found = case.loss.embedding.soft_labels()[known]
    torch.testing.assert_close(found, (sums / counts[:, None])[known])
    assert found.argmax(1).tolist() == known.nonzero()[:, 0].tolist()


def test_who_cannot_take_them_says_so() -> None:
    case, mixed = mixed_case("vision")
    for options in ({"impl": "chunked"}, {"control": Matched()}):
        case.loss = LabelEmbeddingLoss(4, 5, **options).double()
        with pytest.raises(ConfigError, match="targets: expected one label per row for LabelEmbeddingLoss"):
            of(case, mixed)
