"""``embedding_rows``: the auxiliary head and the label embedding learn from a random share of the rows."""

import copy
from dataclasses import replace
from itertools import combinations

import pytest
import torch
from torch import Tensor, nn

from labelemb import LabelEmbeddingLoss, MixedTargets, Objective
from labelemb.errors import ConfigError
from labelemb.ops.eager import label_embedding_loss
from labelemb.ops.inputs import AUXILIARY_TERMS, ObjectiveInputs
from labelemb.terms.rows import Rows
from tests.ops.vocabulary import FORMS, GRID_CASES, SEQ2SEQ, Case, assert_matches_eager, build

SAMPLED = {name: replace(case, embedding_rows=0.3) for name, case in GRID_CASES.items()}


@pytest.mark.parametrize("name", SAMPLED)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_chunked_matches_eager(name: str, dtype: torch.dtype) -> None:
    assert_matches_eager(SAMPLED[name], "chunked", dtype)


@pytest.mark.parametrize("name", [*AUXILIARY_TERMS, "hard", "soft"])
def test_chunked_matches_eager_without_a_term(name: str) -> None:
    assert_matches_eager(Case(objective=Objective().without(name), embedding_rows=0.5), "chunked")


@pytest.mark.parametrize("form", FORMS)
def test_low_precision(form: str) -> None:
    case = Case(n=60, d=16, objective=FORMS[form], embedding_rows=0.5)
    assert_matches_eager(case, "chunked", torch.float32, torch.bfloat16)


@pytest.mark.parametrize("impl", ["eager", "chunked"])
def test_one_has_the_bits_of_the_loss_without_the_option(impl: str) -> None:
    plain, all_rows = build(Case(), impl), build(Case(), impl)
    all_rows.loss = copy.deepcopy(plain.loss)
    all_rows.loss.embedding_rows = 1
    for built in (plain, all_rows):
        built.loss(built.hidden, built.head, built.targets).loss.backward()
    ours, theirs = all_rows.gradients(), plain.gradients()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)  # type: ignore[arg-type]


def results(inputs: ObjectiveInputs, parameters: list[Tensor]) -> tuple[dict[str, Tensor], list[Tensor], bool]:
    """Return the terms, the gradients, and whether the sample has a row that the auxiliary head predicts right."""
    assert inputs.auxiliary is not None
    found, rows = label_embedding_loss(inputs), inputs.auxiliary_rows
    right = (inputs.auxiliary(rows.hidden).argmax(1) == rows.labels) & rows.mask
    gradients = torch.autograd.grad(found.loss, parameters, retain_graph=True, materialize_grads=True)
    return found.terms, list(gradients), bool(right.any())


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("whole", [None, 31.0])
def test_the_mean_over_all_samples_is_the_value_of_all_rows(weighted: bool, mixed: bool, whole: float | None) -> None:
    """Exactly, for the value and every gradient, in the reduction "token"."""
    built = build(Case(n=7, v=5, u=5, ignored=(3,), objective=SEQ2SEQ), "eager")
    targets: Tensor | MixedTargets = built.targets
    if mixed:
        second = built.targets.roll(1)
        second[built.targets == -100], second[4] = -100, 2
        targets = MixedTargets(built.targets, second, torch.linspace(0.1, 0.9, 7, dtype=torch.float64))
    class_weights = torch.linspace(0.5, 2, 5, dtype=torch.float64) if weighted else None
    rows = replace(Rows.flatten(built.hidden, targets, -100).weighted(class_weights), num_items_in_batch=whole)
    inputs = ObjectiveInputs(rows, built.head, SEQ2SEQ, built.loss.auxiliary, built.loss.embedding)
    parameters = [built.hidden, *built.head.parameters(), *built.loss.parameters()]
    terms, gradients, _ = results(inputs, parameters)
    samples = [
        results(replace(inputs, sampled=rows.subset(torch.tensor(chosen))), parameters)
        for chosen in combinations(range(7), 3)
    ]
    for name, value in terms.items():
        torch.testing.assert_close(torch.stack([sample[0][name] for sample in samples]).mean(), value)
    for number, gradient in enumerate(gradients):
        torch.testing.assert_close(torch.stack([sample[1][number] for sample in samples]).mean(0), gradient)


def test_the_mean_of_the_embedding_term_is_exact_given_a_row_to_learn_from() -> None:
    """The reduction "mean" divides by the number of rows that are predicted right, in the sample as in the batch."""
    built = build(Case(n=7, v=5, u=5, ignored=(3,)), "eager")
    rows = Rows.flatten(built.hidden, built.targets, -100)
    inputs = ObjectiveInputs(rows, built.head, Objective(), built.loss.auxiliary, built.loss.embedding)
    parameters = list(built.loss.embedding.parameters())
    terms, gradients, _ = results(inputs, parameters)
    samples = [
        results(replace(inputs, sampled=rows.subset(torch.tensor(chosen))), parameters)
        for chosen in combinations(range(7), 2)
    ]
    for name in ("hard", "soft", "aux", "cap"):
        torch.testing.assert_close(torch.stack([sample[0][name] for sample in samples]).mean(), terms[name])
    learning = [sample for sample in samples if sample[2]]
    assert 0 < len(learning) < len(samples)
    mean = torch.stack([sample[0]["embedding"] for sample in learning]).mean()
    torch.testing.assert_close(mean, terms["embedding"], rtol=1e-6, atol=0)  # 1e-8 in the denominator
    for number, gradient in enumerate(gradients):
        mean = torch.stack([sample[1][number] for sample in learning]).mean(0)
        torch.testing.assert_close(mean, gradient, rtol=1e-6, atol=1e-9)


def make_loss(share: float = 0.25) -> LabelEmbeddingLoss:
    torch.manual_seed(0)
    return LabelEmbeddingLoss(6, 5, embedding_rows=share)


def drawn(loss: LabelEmbeddingLoss) -> list[float]:
    """Return the rows of one call, told by their hidden states, which are 0, 1, 2, ..."""
    seen: list[Tensor] = []
    hook = loss.auxiliary.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0]))
    hidden = torch.arange(20.0)[:, None].expand(20, 6)
    with torch.no_grad():
        loss(hidden, nn.Linear(6, 5), torch.arange(20) % 5)
    hook.remove()
    return sorted(seen[0][:, 0].tolist())


def test_the_draw_depends_on_the_step_and_the_call() -> None:
    loss = make_loss()
    first, second = drawn(loss), drawn(loss)
    loss.step()
    third = drawn(loss)
    assert len(first) == len(set(first)) == 5
    assert first != second != third != first
    resumed = make_loss()
    resumed.load_state_dict(loss.state_dict())
    loss.step()
    resumed.step()
    torch.manual_seed(7)
    assert drawn(loss) == drawn(resumed)


def test_every_row_is_drawn_equally_often() -> None:
    loss, counts = make_loss(), torch.zeros(20)
    for _ in range(2000):
        loss.step()
        counts[torch.tensor(drawn(loss)).long()] += 1
    assert ((counts - 500).abs() < 5 * (2000 * 0.25 * 0.75) ** 0.5).all()


def test_evaluation_takes_all_rows() -> None:
    sampled, whole = make_loss().eval(), make_loss(1.0).eval()
    hidden, targets, head = torch.randn(20, 6), torch.arange(20) % 5, nn.Linear(6, 5)
    assert torch.equal(sampled(hidden, head, targets).loss, whole(hidden, head, targets).loss)


def test_a_running_mean_learns_from_the_sample() -> None:
    torch.manual_seed(0)
    loss = LabelEmbeddingLoss(6, 5, objective=Objective.recommended(), embedding_rows=0.5)
    hidden, head = torch.randn(40, 6), nn.Linear(6, 5)
    targets = loss.auxiliary(hidden).argmax(1)  # all predicted right
    loss(hidden, head, targets).loss.backward()
    assert int(loss.embedding.new_counts.value.sum()) == 20  # type: ignore[union-attr, operator]


def test_compiles_into_one_graph() -> None:
    loss, hidden = make_loss(), torch.randn(20, 6)
    step = torch.compile(loss, fullgraph=True, backend="aot_eager")
    torch.manual_seed(1)
    draws = [step(hidden, nn.Linear(6, 5), torch.arange(20) % 5).terms["aux"] for _ in range(2)]
    assert draws[0] != draws[1]


@pytest.mark.parametrize("share", [0, -0.5, 1.5, float("nan"), "all"])
def test_refuses_a_share_out_of_range(share: object) -> None:
    with pytest.raises(ConfigError, match="embedding_rows: expected a number above 0 and up to 1"):
        LabelEmbeddingLoss(6, 5, embedding_rows=share)  # type: ignore[arg-type]
