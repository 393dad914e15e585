"""The loss against an independent reference and against its own laws."""

import copy
import shutil
from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from labelemb import CompressedLabelEmbedding, LabelEmbeddingLoss, LinearCrossEntropyLoss, Objective
from labelemb.errors import ConfigError, DataError, LabelembError, ShapeError
from labelemb.functional import TERMS
from labelemb.losses.monitor import CHECK_AFTER

from ..refusal import refuses
from .reference import make_case

FORMS = {
    "vision": Objective.vision(),
    "seq2seq": replace(Objective.seq2seq(), soft_start=0),
    "mixed": Objective(tau=1.5, alpha=0.4, beta=0.3, mix="sum", cap="hinge", reduction="token"),
    "absolute": Objective(alpha=0.6, beta=0.2, cap="absolute"),
    "tempered": Objective(beta=0.3, soft_temperature=2.5, soft_scale=3.0),
}
SUBSETS = [frozenset(names) for size in range(len(TERMS) + 1) for names in combinations(TERMS, size)]


@pytest.mark.parametrize("form", FORMS)
def test_value_and_every_gradient_follow_the_closed_form(form: str) -> None:
    case = make_case(FORMS[form])
    out = case.loss(case.hidden, case.head, case.targets)
    out.loss.backward()
    want = case.expected()
    assert {name: float(value) for name, value in out.terms.items()} == pytest.approx(want.terms, rel=1e-10)
    assert float(out.loss.detach()) == pytest.approx(want.loss, rel=1e-10)
    for name, gradient in case.gradients().items():
        torch.testing.assert_close(gradient, torch.from_numpy(getattr(want, name)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("on", SUBSETS, ids=lambda on: "+".join(sorted(on)) or "none")
def test_any_subset_of_the_terms(on: frozenset[str]) -> None:
    case = make_case(Objective(terms=on))
    out = case.loss(case.hidden, case.head, case.targets)
    out.loss.backward()
    want = case.expected()
    assert {name: float(value) for name, value in out.terms.items()} == pytest.approx(want.terms, abs=1e-12)
    assert float(out.loss.detach()) == pytest.approx(want.loss, rel=1e-10, abs=1e-12)
    got = case.gradients()
    assert len(got) == 6, "a switched-off term leaves no tensor without a gradient"
    for name, gradient in got.items():
        torch.testing.assert_close(gradient, torch.from_numpy(getattr(want, name)), rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("embedding", ["dense", "compressed"])
def test_ignored_rows_are_rows_that_are_not_there(form: str, embedding: str) -> None:
    case = make_case(FORMS[form], rows=20)
    if embedding == "compressed":
        case.loss.embedding = CompressedLabelEmbedding(5, 3).double()
    keep = torch.rand(20) < 0.6
    targets = torch.where(keep, case.targets, -100)
    hidden = torch.where(keep[:, None], case.hidden.detach(), torch.nan).requires_grad_()
    masked = case.loss(hidden, case.head, targets)
    masked.loss.backward()
    from_masked = {name: p.grad.clone() for name, p in case.loss.named_parameters()}
    case.loss.zero_grad()
    dropped_hidden = case.hidden.detach()[keep].requires_grad_()
    dropped = case.loss(dropped_hidden, case.head, case.targets[keep])
    dropped.loss.backward()
    torch.testing.assert_close(masked.loss, dropped.loss)
    assert (masked.correct, masked.count) == (dropped.correct, dropped.count)
    torch.testing.assert_close(hidden.grad[keep], dropped_hidden.grad)
    assert not hidden.grad[~keep].any()
    for name, parameter in case.loss.named_parameters():
        torch.testing.assert_close(from_masked[name], parameter.grad)


@pytest.mark.parametrize("rows", [0, 3])
def test_a_batch_without_rows_gives_zero_and_zero_gradients(rows: int) -> None:
    for form in FORMS.values():
        case = make_case(form, rows=rows)
        out = case.loss(case.hidden, case.head, torch.full((rows,), -100))
        out.loss.backward()
        assert float(out.loss.detach()) == 0
        assert int(out.count) == int(out.correct) == 0
        assert len(case.gradients()) == 6
        assert not any(gradient.any() for gradient in case.gradients().values())


def test_no_term_reaches_what_it_must_not() -> None:
    def gradients_of(*on: str) -> dict[str, bool]:
        case = make_case(Objective(terms=frozenset(on)))
        case.loss(case.hidden, case.head, case.targets).loss.backward()
        return {name: bool(gradient.any()) for name, gradient in case.gradients().items()}

    auxiliary_terms = gradients_of("aux", "cap")
    assert auxiliary_terms["auxiliary_weight"]
    assert not auxiliary_terms["hidden"]
    soft = gradients_of("soft")
    assert soft["hidden"]
    assert not soft["embedding"]
    embedding = gradients_of("embedding")
    assert embedding["embedding"]
    assert not embedding["auxiliary_weight"]
    assert not embedding["hidden"]


def test_leading_axes_do_not_matter() -> None:
    case = make_case(Objective.vision())
    flat = case.loss(case.hidden, case.head, case.targets)
    folded = case.loss(case.hidden.view(3, 4, 4), case.head, case.targets.view(3, 4))
    torch.testing.assert_close(flat.loss, folded.loss)


def test_correct_and_count() -> None:
    case = make_case(Objective.vision())
    targets = case.head(case.hidden).argmax(1)
    targets[0] = -100
    targets[1] = (targets[1] + 1) % 5
    out = case.loss(case.hidden, case.head, targets)
    assert (int(out.correct), int(out.count)) == (10, 11)
    assert out.correct.dtype == out.count.dtype == torch.int64


def test_pieces_with_the_denominator_of_the_whole() -> None:
    """Token form: exact. Vision form: all but term 4, whose mask num_items_in_batch is that of the piece."""
    for form, names in (("seq2seq", set(TERMS)), ("vision", set(TERMS) - {"embedding"})):
        case = make_case(FORMS[form])
        whole = case.loss(case.hidden, case.head, case.targets)
        pieces = [
            case.loss(case.hidden[part], case.head, case.targets[part], num_items_in_batch=torch.tensor(12))
            for part in (slice(0, 5), slice(5, 12))
        ]
        for name in names:
            torch.testing.assert_close(sum(piece.terms[name] for piece in pieces), whole.terms[name])
    want = make_case(FORMS["vision"]).expected(num_items_in_batch=24)
    case = make_case(FORMS["vision"])
    assert float(case.loss(case.hidden, case.head, case.targets, num_items_in_batch=24).loss.detach()) == pytest.approx(
        want.loss
    )


def test_the_soft_term_starts_with_its_step() -> None:
    case = make_case(Objective(soft_start=2))
    seen = []
    for _ in range(4):
        seen.append(bool(case.loss(case.hidden, case.head, case.targets).terms["soft"]))
        case.loss.step()
    assert seen == [False, False, True, True]


def test_state_dict_holds_the_steps() -> None:
    case = make_case(Objective(soft_start=2))
    case.loss.step()
    case.loss.step()
    other = make_case(Objective(soft_start=2), seed=1)
    other.loss.load_state_dict(case.loss.state_dict())
    assert other.loss.steps == 2
    assert other.loss(case.hidden, case.head, case.targets).terms["soft"] > 0
    assert all(isinstance(value, torch.Tensor) for value in case.loss.state_dict().values())


def test_the_soft_term_fades_and_the_hard_one_gets_what_it_loses() -> None:
    """From step 1 to step 5; at each step it is the objective with the beta of that step, worked out by hand."""
    case = make_case(Objective(beta=0.2, soft_start=1, soft_end=5))
    without = Objective(beta=0.2).without("soft")
    by_hand = [without, *(Objective(beta=beta) for beta in (0.2, 0.4, 0.6, 0.8)), *[Objective(beta=1.0)] * 2]
    for objective in by_hand:
        got = case.loss(case.hidden, case.head, case.targets).terms
        expected = make_case(objective).expected().terms
        assert {name: float(value) for name, value in got.items()} == pytest.approx(expected)
        case.loss.step()


def test_a_faded_objective_goes_on_from_a_state_dict() -> None:
    case, other = (make_case(Objective(beta=0.0, soft_end=4)) for _ in range(2))
    for _ in range(3):
        case.loss.step()
    other.loss.load_state_dict(case.loss.state_dict())
    outputs = [each.loss(each.hidden, each.head, each.targets) for each in (case, other)]
    assert outputs[0].terms == outputs[1].terms
    want = make_case(Objective(beta=0.75)).expected().terms["hard"]
    assert float(outputs[1].terms["hard"]) == pytest.approx(want)


def test_who_takes_the_output_for_a_tensor_is_told() -> None:
    case = make_case(Objective.vision())
    out = case.loss(case.hidden, case.head, case.targets)
    with pytest.raises(AttributeError, match=r"'backward'.*\.loss\.backward"):
        out.backward()
    with pytest.raises(AttributeError, match="'nonsense'$"):
        out.nonsense  # noqa: B018
    assert copy.copy(out).count == out.count


@pytest.mark.parametrize("objective", [Objective.low_data(50), Objective(soft_start=5)])
def test_steps_that_nobody_counts_are_missed_once(objective: Objective) -> None:
    case = make_case(objective)
    for _ in range(CHECK_AFTER - 1):
        case.loss(case.hidden, case.head, case.targets)
    with pytest.warns(UserWarning, match=r"soft_start.*loss\.attach"):
        case.loss(case.hidden, case.head, case.targets)
    case.loss(case.hidden, case.head, case.targets)


def test_steps_that_are_counted_or_need_no_count_are_not_missed() -> None:
    for objective, mask in ((Objective.vision(), False), (Objective.low_data(50), True)):
        case = make_case(objective)
        for _ in range(CHECK_AFTER + 1):
            case.loss(case.hidden, case.head, case.targets)
            if mask:
                case.loss.step()


def test_another_objective_counts_at_once_and_goes_by_the_steps_so_far() -> None:
    case = make_case(Objective.vision())
    for _ in range(3):
        case.loss.step()
    case.loss.objective = Objective(soft_start=3, tau=1.5, terms=frozenset({"hard", "soft"}))
    terms = case.loss(case.hidden, case.head, case.targets).terms
    assert {name for name, value in terms.items() if value != 0} == {"hard", "soft"}
    case.loss.objective = Objective(soft_start=4)
    assert case.loss(case.hidden, case.head, case.targets).terms["soft"] == 0
    assert Objective(tau=np.float32(2), soft_start=np.int64(2)) == Objective(soft_start=2)


def test_after_its_end_a_faded_objective_is_one_hot() -> None:
    objective = Objective(beta=0.0).with_soft_decay(1.0, 10)
    assert objective.at(9).soft_weight == pytest.approx(0.1)
    assert "soft" not in objective.at(10).terms
    assert (objective.at(10).hard_weight, objective.at(11)) == (1.0, objective.at(10))


def test_the_form_for_little_data() -> None:
    """All the weight is the soft term's at first, a quarter at the end of the run."""
    objective = Objective.low_data(600)
    weights = [(now.hard_weight, now.soft_weight) for now in map(objective.at, (0, 200, 600))]
    assert weights == [(0.0, 1.0), (0.25, 0.75), (0.75, 0.25)]
    assert replace(objective, beta=0.5, soft_end=None) == Objective.vision()
    late = replace(Objective(), soft_start=100).with_soft_decay(0.5, 300)
    assert [late.at(step).soft_weight for step in (100, 200, 300)] == [0.5, 0.375, 0.25]
    assert "soft" not in late.at(99).terms


@pytest.mark.parametrize(
    ("choices", "name", "expected", "got"),
    [
        ({"soft_end": 0}, "soft_end", "a step after soft_start", 0),
        ({"soft_start": 7, "soft_end": 7}, "soft_end", "a step after soft_start", 7),
        ({"soft_end": 5, "mix": "sum"}, "soft_end", "None", 5),
        ({"soft_end": "late"}, "soft_end", "a number", "'late'"),
        ({"soft_temperature": 0.0}, "soft_temperature", "> 0", 0.0),
        ({"soft_scale": float("inf")}, "soft_scale", "> 0", "inf"),
    ],
)
def test_options_out_of_range_are_refused(choices: dict[str, object], name: str, expected: str, got: object) -> None:
    with refuses(ConfigError, name, expected, got):
        Objective(**choices)


@pytest.mark.parametrize("share", [0.0, 1.5, -1.0])
def test_a_share_that_is_none(share: float) -> None:
    with refuses(ConfigError, "share", "above 0 and up to 1", share):
        Objective().with_soft_decay(share, 10)


def test_the_identity_start_is_nearly_uniform() -> None:
    """softmax of an identity row: e / (e + V - 1) on the own label (0.232 for V = 10)."""
    loss = LabelEmbeddingLoss(3, 10)
    torch.testing.assert_close(loss.embedding.soft_labels().diagonal(), torch.full((10,), 2.718281828 / 11.718281828))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast_computes_softmaxes_in_fp32(dtype: torch.dtype) -> None:
    case = make_case(Objective.vision())
    loss, head, hidden = case.loss.float(), case.head.float(), case.hidden.detach().float().requires_grad_()
    exact = loss(hidden, head, case.targets)
    with torch.autocast("cpu", dtype):
        for given in (hidden, hidden.to(dtype)):
            out = loss(given, head, case.targets)
            assert out.loss.dtype == torch.float32
            assert float(out.loss.detach()) == pytest.approx(float(exact.loss.detach()), rel=0.05)
    out.loss.backward()
    assert loss.embedding.weight.grad.dtype == torch.float32


def test_compiles_into_one_graph_and_twice_at_the_most() -> None:
    case = make_case(Objective(soft_start=1))
    graphs = []
    compiled = torch.compile(case.loss, fullgraph=True, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    for _ in range(4):
        eager = case.loss(case.hidden, case.head, case.targets)
        torch.testing.assert_close(compiled(case.hidden, case.head, case.targets).loss, eager.loss)
        case.loss.step()
    assert len(graphs) == 2, "once before the soft term starts, once after"


def test_fading_compiles_a_few_times_not_at_every_step() -> None:
    case, graphs = make_case(Objective(beta=0.1, soft_start=1, soft_end=12)), []
    compiled = torch.compile(case.loss, fullgraph=True, backend=lambda graph, _: graphs.append(graph) or graph.forward)
    for _ in range(14):
        eager = case.loss(case.hidden, case.head, case.targets)
        torch.testing.assert_close(compiled(case.hidden, case.head, case.targets).loss, eager.loss)
        case.loss.step()
    assert len(graphs) <= 4, "before it, with a weight, with any weight, after it"


def test_compiled_gradients_are_the_same() -> None:
    case = make_case(Objective.vision())
    case.loss(case.hidden, case.head, case.targets).loss.backward()
    eager = {name: gradient.clone() for name, gradient in case.gradients().items()}
    for tensor in (case.hidden, *case.head.parameters(), *case.loss.parameters()):
        tensor.grad = None
    torch.compile(case.loss, fullgraph=True, backend="aot_eager")(case.hidden, case.head, case.targets).loss.backward()
    for name, gradient in case.gradients().items():
        torch.testing.assert_close(gradient, eager[name])


@pytest.mark.skipif(shutil.which("g++") is None, reason="inductor needs a C++ compiler")
@pytest.mark.parametrize("form", ["vision", "tempered"])
def test_compiled_by_inductor(form: str) -> None:
    torch.compiler.reset()  # compilations of other tests count towards the limit of recompilations
    case, plain = make_case(FORMS[form]), make_case(FORMS[form])
    plain.loss(plain.hidden, plain.head, plain.targets).loss.backward()
    compiled = torch.compile(case.loss, fullgraph=True)
    compiled(case.hidden, case.head, case.targets).loss.backward()
    for name, gradient in plain.gradients().items():
        torch.testing.assert_close(case.gradients()[name], gradient)


class TestRefusals:
    """Each error names the argument, what was expected and what came."""

    @pytest.mark.parametrize(
        ("changes", "error", "name", "expected", "got"),
        [
            ({"hidden": torch.ones(12, 4, dtype=torch.int64)}, ShapeError, "hidden", "floating point", torch.int64),
            ({"hidden": torch.randn(12, 4)}, ShapeError, "hidden", "dtype of head, torch.float64", torch.float32),
            ({"head": nn.Sequential()}, ShapeError, "head", "nn.Linear", "Sequential"),
            ({"head": nn.Embedding(5, 4)}, ShapeError, "head", "nn.Linear", "Embedding"),
            ({"head": nn.ReLU()}, ShapeError, "head", "nn.Linear", "ReLU"),
            ({"targets": [0] * 12}, ShapeError, "targets", "a tensor", "list"),
            ({"num_items_in_batch": 0}, ConfigError, "num_items_in_batch", ">= 1", 0),
            ({"num_items_in_batch": 0.25}, ConfigError, "num_items_in_batch", ">= 1", 0.25),
            ({"num_items_in_batch": float("nan")}, ConfigError, "num_items_in_batch", ">= 1", "nan"),
            ({"num_items_in_batch": torch.tensor([6])}, ConfigError, "num_items_in_batch", "scalar", "(1,)"),
            ({"targets": torch.zeros(12, dtype=torch.int32)}, ShapeError, "targets", "torch.int64", torch.int32),
            ({"targets": torch.zeros(11, dtype=torch.int64)}, ShapeError, "targets", "(12,)", "(11,)"),
            ({"targets": torch.full((12,), 5)}, DataError, "targets", "labels 0..4 or ignore_index -100", 5),
            ({"targets": torch.full((12,), -1)}, DataError, "targets", "labels 0..4", -1),
            ({"hidden": torch.full((12, 4), torch.nan).double()}, DataError, "hidden", "no NaN", "NaN in 12"),
        ],
    )
    @pytest.mark.parametrize("one_hot", [False, True])
    def test_input(
        self,
        one_hot: bool,
        changes: dict[str, object],
        error: type[LabelembError],
        name: str,
        expected: str,
        got: object,
    ) -> None:
        case = make_case(Objective.vision())
        loss = LinearCrossEntropyLoss() if one_hot else case.loss
        with refuses(error, name, expected, got):
            loss(**({"hidden": case.hidden, "head": case.head, "targets": case.targets} | changes))

    def test_a_hidden_state_of_another_size(self) -> None:
        case, wrong = make_case(Objective.vision()), torch.randn(12, 3).double()
        for loss in (case.loss, LinearCrossEntropyLoss()):
            with refuses(ShapeError, "hidden", "(..., 4)", (12, 3)):
                loss(wrong, case.head, case.targets)

    def test_a_head_of_another_number_of_labels(self) -> None:
        case = make_case(Objective.vision())
        with refuses(ShapeError, "head.weight", "(5, 4)", (6, 4), hint="last linear layer"):
            case.loss(case.hidden, nn.Linear(4, 6).double(), case.targets)

    @pytest.mark.parametrize("num_items_in_batch", [6, np.int64(6), np.float32(6), torch.tensor(6), torch.tensor(6.0)])
    def test_a_denominator_of_any_kind(self, num_items_in_batch: object) -> None:
        case = make_case(Objective.vision())
        want = case.loss(case.hidden, case.head, case.targets, num_items_in_batch=6.0).loss
        torch.testing.assert_close(
            case.loss(case.hidden, case.head, case.targets, num_items_in_batch=num_items_in_batch).loss, want
        )

    def test_a_loss_of_another_dtype(self) -> None:
        case = make_case(Objective.vision())
        case.loss.float()
        with refuses(ShapeError, "hidden", "dtype of auxiliary, torch.float32", torch.float64):
            case.loss(case.hidden, case.head, case.targets)

    def test_value_checks_can_be_switched_off(self) -> None:
        case = make_case(Objective.vision())
        case.loss.validate_args = False
        hidden = torch.full_like(case.hidden, torch.nan)
        assert case.loss(hidden, case.head, case.targets).loss.isnan()

    @pytest.mark.parametrize(
        ("make", "name", "expected", "got"),
        [
            (lambda: Objective(tau=0), "tau", "a temperature > 0", 0),
            (lambda: Objective(tau=float("nan")), "tau", "a temperature > 0", "nan"),
            (lambda: Objective(terms=frozenset({"hard", "sort"})), "terms", "hard", "sort"),
            (lambda: Objective(cap="soft"), "cap", "hinge or absolute", "'soft'"),
            (lambda: Objective(tau="2"), "tau", "a number", "'2'"),
            (lambda: Objective.low_data(0), "steps", ">= 1", 0),
            (lambda: LabelEmbeddingLoss(0, 3), "hidden_size", ">= 1", 0),
            (lambda: LabelEmbeddingLoss(4.5, 3), "hidden_size", ">= 1", 4.5),
            (lambda: LabelEmbeddingLoss(3, 4, CompressedLabelEmbedding(5, 2)), "embedding", "4 labels", 5),
            (lambda: LabelEmbeddingLoss(3, 3, nn.Embedding(3, 3)), "embedding", "a label embedding", "Embedding"),
            (lambda: LabelEmbeddingLoss(3, 4, impl="magic"), "impl", "eager", "'magic'"),
            (lambda: LabelEmbeddingLoss(3, 4, objective={"tau": 1.0}), "objective", "Objective(tau=1.0)", "tau"),
            (lambda: LabelEmbeddingLoss(3, 4, shard=2), "shard", "a LabelShard", 2),
        ],
    )
    def test_choices(self, make: Callable[[], object], name: str, expected: str, got: object) -> None:
        with refuses(ConfigError, name, expected, got):
            make()

    def test_several_options_at_once(self) -> None:
        with pytest.raises(ConfigError) as raised:
            Objective(alpha=1.5, beta=-1)
        assert [error.argument for error in raised.value.errors] == ["alpha", "beta"]


def test_cross_entropy_is_torchs_own() -> None:
    case = make_case(Objective.vision())
    targets = case.targets.clone()
    targets[:3] = -100
    out = LinearCrossEntropyLoss()(case.hidden, case.head, targets)
    torch.testing.assert_close(out.loss, nn.functional.cross_entropy(case.head(case.hidden), targets))
    assert set(out.terms) == {"hard"}
    assert int(out.count) == 9


@pytest.mark.parametrize("given", ["half", None, True, 0, 1.5])
def test_a_share_or_a_number_of_steps_of_another_kind_is_refused(given: Any) -> None:
    with pytest.raises(ConfigError, match="share: expected a number above 0 and up to 1, got"):
        Objective(beta=0.0).with_soft_decay(given, 10)
    with pytest.raises(ConfigError, match="steps: expected a whole number >= 1, got"):
        Objective.fine_tuning(given)
