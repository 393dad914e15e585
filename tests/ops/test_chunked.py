"""``impl="chunked"`` against the definition: value, every gradient, and the laws that a chunk must not break."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from labelemb import DenseLabelEmbedding, LabelEmbeddingLoss, LinearCrossEntropyLoss, Objective
from labelemb.errors import ConfigError
from labelemb.functional import TERMS
from labelemb.ops.chunked.chunks import plan_chunks
from labelemb.ops.chunked.torch_kernels import CPU_BLOCK_BYTES
from tests.processes import run_alone

from .vocabulary import (
    BUDGET,
    FORMS,
    GRID_CASES,
    SEQ2SEQ,
    Built,
    Case,
    assert_as_close,
    assert_matches_eager,
    build,
    run,
)

ABLATIONS = {
    **{f"without {name}": Objective.vision().without(name) for name in TERMS},
    **{f"{name} alone": SEQ2SEQ.without(*set(TERMS) - {name}) for name in TERMS},
    "nothing": Objective.vision().without(*TERMS),
    "hard and soft": Objective(beta=0.3, terms=frozenset({"hard", "soft"})),
    "beta 0": Objective(beta=0.0),
    "beta 1": Objective(beta=1.0),
    "mean, absolute, cold": Objective(cap="absolute", tau=0.5, alpha=0.3),
    "token, hinge": Objective(reduction="token", alpha=0.2, mix="sum"),
}


@pytest.mark.parametrize("name", GRID_CASES)
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_matches_eager(name: str, dtype: torch.dtype) -> None:
    assert_matches_eager(GRID_CASES[name], "chunked", dtype)


@pytest.mark.parametrize("name", ABLATIONS)
@pytest.mark.parametrize("rank", [5, None])
def test_every_ablation(name: str, rank: int | None) -> None:
    assert_matches_eager(Case(objective=ABLATIONS[name], r=rank), "chunked")


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("rank", [5, None])
@pytest.mark.parametrize(
    ("dtype", "autocast"),
    [
        (torch.float32, torch.bfloat16),
        (torch.float32, torch.float16),
        (torch.bfloat16, None),
        (torch.float64, torch.bfloat16),
    ],
)
def test_low_precision(form: str, rank: int | None, dtype: torch.dtype, autocast: torch.dtype | None) -> None:
    case = Case(n=60, d=16, objective=FORMS[form], r=rank)
    assert_matches_eager(case, "chunked", dtype, autocast)


@settings(max_examples=60)
@given(
    n=st.integers(0, 40),
    v=st.integers(1, 60),
    d=st.integers(1, 9),
    r=st.none() | st.integers(1, 6),
    u=st.integers(1, 60),
    objective=st.builds(
        Objective,
        tau=st.floats(0.3, 5),
        alpha=st.floats(0, 1),
        beta=st.floats(0, 1),
        mix=st.sampled_from(["convex", "sum"]),
        cap=st.sampled_from(["hinge", "absolute"]),
        reduction=st.sampled_from(["mean", "token"]),
        terms=st.frozensets(st.sampled_from(TERMS)),
        soft_temperature=st.sampled_from([1.0, 0.5, 3.0]),
        soft_scale=st.sampled_from([1.0, 4.0]),
    ),
    ignored=st.lists(st.integers(0, 39), max_size=10).map(tuple),
    seed=st.integers(0, 9),
    chunk_bytes=st.sampled_from([1, 900, 6000, None]),
)
def test_matches_eager_on_any_case(chunk_bytes: int | None, **fields: object) -> None:
    assert_matches_eager(Case(**fields), "chunked", chunk_bytes=chunk_bytes)  # type: ignore[arg-type]


def close(a: Tensor | None, b: Tensor | None) -> bool:
    return a is b if a is None or b is None else torch.allclose(a, b, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("form", FORMS)
def test_chunk_size_changes_nothing(form: str) -> None:
    case = Case(n=50, objective=FORMS[form])
    whole, gradients = run(case, "chunked")
    for chunk_bytes in (1, 1000, 5000, 20_000):
        out, others = run(case, "chunked", chunk_bytes=chunk_bytes)
        assert close(out.loss, whole.loss)
        assert all(close(gradients[name], others[name]) for name in gradients)


def test_row_order_changes_nothing() -> None:
    case = Case(n=50)
    order = torch.randperm(50, generator=torch.Generator().manual_seed(1))
    plain, mixed = build(case, "chunked", chunk_bytes=6000), build(case, "chunked", chunk_bytes=6000)
    shuffled = plain.hidden.detach()[order].requires_grad_()
    first = mixed.loss(mixed.hidden, mixed.head, mixed.targets).loss
    second = plain.loss(shuffled, plain.head, plain.targets[order]).loss
    first.backward()
    second.backward()
    assert close(first, second)
    assert close(mixed.hidden.grad[order], shuffled.grad)  # type: ignore[index]
    ours, theirs = mixed.gradients(), plain.gradients()
    assert all(close(ours[name], theirs[name]) for name in ours if name != "hidden")


def test_any_number_of_leading_dimensions() -> None:
    a, b = build(Case(n=24), "chunked"), build(Case(n=24), "chunked")
    flat = a.loss(a.hidden, a.head, a.targets).loss
    folded = b.loss(b.hidden.view(2, 3, 4, -1), b.head, b.targets.view(2, 3, 4)).loss
    flat.backward()
    folded.backward()
    assert close(flat, folded)
    assert close(a.hidden.grad, b.hidden.grad)


def test_an_ignored_row_gets_no_gradient_and_leaks_no_nan() -> None:
    _, gradients = run(Case(ignored=(0, 3, 7)), "chunked")
    assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients.values())
    assert (gradients["hidden"][[0, 3, 7]] == 0).all()  # type: ignore[index]


def test_the_soft_term_waits_for_its_start() -> None:
    built = build(Case(objective=replace(SEQ2SEQ, soft_start=1)), "chunked")
    assert built.loss(built.hidden, built.head, built.targets).terms["soft"] == 0
    built.loss.step()
    assert built.loss(built.hidden, built.head, built.targets).terms["soft"] > 0


def test_the_soft_term_fades_as_it_does_in_eager() -> None:
    case = Case(objective=Objective(beta=0.1, soft_end=3))
    both = [build(case, impl) for impl in ("eager", "chunked")]
    for _ in range(5):
        eager, chunked = (each.loss(each.hidden, each.head, each.targets).terms for each in both)
        for name, value in eager.items():
            torch.testing.assert_close(chunked[name], value, msg=name)
        for each in both:
            each.loss.step()
    assert eager["soft"] == 0


FROZEN = (
    "hidden",
    "head.weight",
    "head.bias",
    "auxiliary.weight",
    "embedding.codes.weight",
    "embedding.decoder.weight",
)


@pytest.mark.parametrize("frozen", [*([name] for name in FROZEN), list(FROZEN)])
def test_frozen_tensors_get_none_and_change_no_other(frozen: list[str]) -> None:
    _, expected = run(Case(), "chunked")
    built = build(Case(), "chunked")
    for name in frozen:
        built.leaves[name].requires_grad_(False)
    built.loss(built.hidden, built.head, built.targets).loss.mul(3).backward()
    for name, gradient in built.gradients().items():
        assert gradient is None if name in frozen else close(gradient, expected[name]), name


def test_everything_frozen_and_no_grad() -> None:
    expected, _ = run(Case(), "chunked")
    built = build(Case(), "chunked")
    with torch.no_grad():
        out = built.loss(built.hidden, built.head, built.targets)
    assert not out.loss.requires_grad
    assert close(out.loss, expected.loss)
    for leaf in built.leaves.values():
        leaf.requires_grad_(False)
    out = built.loss(built.hidden, built.head, built.targets)
    assert not out.loss.requires_grad
    assert {name: close(out.terms[name], expected.terms[name]) for name in TERMS} == dict.fromkeys(TERMS, True)


def test_a_tied_weight_gets_the_sum() -> None:
    def tied(impl: str) -> Built:
        built = build(Case(), impl)
        built.loss.auxiliary.weight = built.head.weight
        built.loss(built.hidden, built.head, built.targets).loss.backward()
        return built

    assert close(tied("chunked").head.weight.grad, tied("eager").head.weight.grad)


def test_one_backward_pass_only() -> None:
    built = build(Case(), "chunked")
    total = built.loss(built.hidden, built.head, built.targets).loss
    total.backward(retain_graph=True)
    with pytest.raises(ConfigError, match="one call per forward pass"):
        total.backward()
    total = built.loss(built.hidden, built.head, built.targets).loss
    with pytest.raises(ConfigError, match="create_graph"):
        torch.autograd.grad(total, built.hidden, create_graph=True)


def test_refuses_what_it_cannot_do() -> None:
    class Scaled(nn.Linear):
        def forward(self, input: Tensor) -> Tensor:
            return 2 * super().forward(input)

    class Cold(DenseLabelEmbedding):
        def rows(self, labels: Tensor) -> Tensor:
            return 2 * super().rows(labels)

    built = build(Case(), "chunked")
    with pytest.raises(ConfigError, match="own forward"):
        built.loss(built.hidden, Scaled(8, 37).double(), built.targets)
    loss = LabelEmbeddingLoss(8, 37, Cold(37), impl="chunked").double()
    with pytest.raises(ConfigError, match="Cold"):
        loss(built.hidden, built.head, built.targets)
    with pytest.raises(ConfigError, match="impl"):
        LabelEmbeddingLoss(8, 37, impl="sliced")  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="chunk_bytes"):
        LinearCrossEntropyLoss(impl="chunked", chunk_bytes=0)


@pytest.mark.parametrize("impl", ["eager", "chunked", "auto"])
def test_cross_entropy(impl: str) -> None:
    built = build(Case(n=30), "eager")
    built.hidden.grad = None
    out = LinearCrossEntropyLoss(impl=impl, chunk_bytes=5000)(built.hidden, built.head, built.targets)  # type: ignore[arg-type]
    out.loss.backward()
    other = build(Case(n=30), "eager")
    kept = other.targets != -100
    expected = nn.functional.cross_entropy(other.head(other.hidden[kept]), other.targets[kept])
    expected.backward()
    assert close(out.loss, expected)
    assert out.terms.keys() == {"hard"}
    assert out.count == 29
    assert all(close(a, b) for a, b in zip(built.gradients().values(), other.gradients().values(), strict=True))


@pytest.mark.parametrize(
    ("case", "autocast"),
    [
        (Case(n=30), torch.bfloat16),
        (Case(n=30, num_items_in_batch=77.0), None),
        (Case(ignored=tuple(range(23))), None),
        (Case(n=0), None),
        (Case(gain=3000.0, bias=False), None),
    ],
)
def test_cross_entropy_matches_eager(case: Case, autocast: torch.dtype | None) -> None:
    def gradients(impl: str, dtype: torch.dtype) -> list[Tensor]:
        built = build(case, "eager", dtype)
        loss = LinearCrossEntropyLoss(impl=impl, chunk_bytes=2000)  # type: ignore[arg-type]
        with torch.autocast("cpu", autocast, enabled=autocast is not None and dtype == torch.float32):
            total = loss(built.hidden, built.head, built.targets, num_items_in_batch=case.num_items_in_batch).loss
        total.backward()
        return [
            total.detach(),
            *(g for g in (built.hidden.grad, *(p.grad for p in built.head.parameters())) if g is not None),
        ]

    results = gradients("eager", torch.float64), gradients("eager", torch.float32), gradients("chunked", torch.float32)
    for true, plain, mine in zip(*results, strict=True):
        assert_as_close("cross entropy", true, plain, mine, BUDGET[autocast or torch.float32])


@pytest.mark.parametrize("logits", [0, 1000, 512 * 16_000, 2048 * 32_000, 10**9])
def test_default_buffers_are_a_sixteenth_of_eager(logits: int) -> None:
    from labelemb.ops.chunked.driver import default_chunk_bytes  # brings torch's compiler along, and with it triton

    eager, size = 8 * 4 * logits, default_chunk_bytes(logits, "cpu")
    assert size == eager / 16 or (eager < 16 * size and size == 4 << 20) or (eager > 16 * size and size == 128 << 20)


@given(
    counts=st.lists(st.integers(1, 30), max_size=20),
    row_bytes=st.integers(1, 9),
    group_bytes=st.integers(0, 9),
    budget=st.integers(1, 200),
)
@settings(max_examples=100)
def test_chunks_cover_the_rows_within_the_budget(
    counts: list[int], row_bytes: int, group_bytes: int, budget: int
) -> None:
    group = [label for label, count in enumerate(counts) for _ in range(count)]
    chunks = plan_chunks(group, row_bytes, group_bytes, budget)
    assert [row for chunk in chunks for row in range(chunk.rows.start, chunk.rows.stop)] == list(range(len(group)))
    for chunk in chunks:
        assert chunk.groups == slice(group[chunk.rows.start], group[chunk.rows.stop - 1] + 1)
        assert chunk.num_rows == 1 or chunk.num_rows * row_bytes + chunk.num_groups * group_bytes <= budget


class Largest(TorchDispatchMode):
    """PendingState the largest tensor that comes out of any operation."""

    size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        for tensor in out if isinstance(out, tuple | list) else [out]:
            if isinstance(tensor, Tensor):
                self.size = max(self.size, tensor.numel() * tensor.element_size())
        return out


def test_memory_does_not_grow_with_the_rows() -> None:
    def largest(n: int) -> int:
        built = build(Case(n=n, v=1000, u=1000, r=2, d=2), "chunked", torch.float32, chunk_bytes=100_000)
        with Largest() as watch:
            built.loss(built.hidden, built.head, built.targets).loss.backward()
        return watch.size

    assert largest(200) == largest(800)  # rows of 4 kB each: eager takes 3.2 MB per matrix for 800 of them
    assert largest(800) <= max(3 * CPU_BLOCK_BYTES, 100_000 + 2 * 64)  # the scratch of the row work


@pytest.mark.parametrize("form", FORMS)
def test_training_follows_the_eager_run(form: str) -> None:
    def curve(impl: str) -> list[float]:
        built = build(
            Case(n=64, v=101, u=30, objective=FORMS[form], ignored=()), impl, torch.float32, chunk_bytes=20_000
        )
        body = nn.Linear(8, 8)
        with torch.no_grad():
            body.weight.copy_(torch.eye(8))
        parameters = [*body.parameters(), *built.head.parameters(), *built.loss.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-2)
        losses = []
        for _ in range(30):
            optimizer.zero_grad()
            total = built.loss(torch.tanh(body(built.hidden.detach())), built.head, built.targets).loss
            total.backward()
            optimizer.step()
            losses.append(total.item())
        return losses

    torch.manual_seed(0)
    eager = curve("eager")
    torch.manual_seed(0)
    chunked = curve("chunked")
    assert eager[-1] < 0.95 * eager[0]
    assert chunked == pytest.approx(eager, rel=2e-4)


def compiled_step() -> int:
    built, plain = build(Case(), "chunked"), build(Case(), "chunked")
    step = torch.compile(lambda x: built.loss(x * 1.5, built.head, built.targets).loss * 2, backend="eager")
    total, expected = step(built.hidden), plain.loss(plain.hidden * 1.5, plain.head, plain.targets).loss * 2
    total.backward()
    expected.backward()
    assert torch.allclose(total, expected)
    assert torch.allclose(built.hidden.grad, plain.hidden.grad)
    return 0


def test_compiled_model_does_not_crash() -> None:
    """In a process of its own: a graph that splits leaves traces in torch's compiler that other tests stumble over."""
    assert run_alone(compiled_step) == 0
