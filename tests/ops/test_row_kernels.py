"""The row work by itself, against the formulas in float64: in plain torch calls, and compiled from C."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from labelemb.ops.chunked import torch_kernels
from labelemb.ops.chunked.native_kernels import NativeRowKernels, add_rows
from labelemb.ops.chunked.row_kernels import AuxiliaryTerms, HeadTerms, Logits, RowKernels, RowLabels
from labelemb.ops.chunked.torch_kernels import TorchRowKernels

from .vocabulary import FORMS, Case, run

CPU = torch.device("cpu")
WIDE = {torch.float64: torch.float64, torch.float32: torch.float32, torch.bfloat16: torch.float32}
ROUNDING = {torch.float64: 1e-12, torch.float32: 1e-6, torch.bfloat16: 5e-3}
KERNELS = {"torch": TorchRowKernels, "native": NativeRowKernels}
KINDS = [("torch", torch.float64), *((kind, dtype) for kind in KERNELS for dtype in (torch.float32, torch.bfloat16))]


def kernels(kind: str, num_labels: int, dtype: torch.dtype = torch.float32) -> RowKernels:
    if kind == "native" and not NativeRowKernels.can_process({dtype}, CPU):
        pytest.skip("no C compiler")
    return KERNELS[kind](num_labels, WIDE[dtype], CPU)


def rows(dtype: torch.dtype, v: int = 2500) -> tuple[Tensor, RowLabels]:
    """Logits of seven rows, two groups of labels; four rows predict theirs."""
    torch.manual_seed(0)
    z = (3 * torch.randn(7, v)).to(dtype)
    labels = torch.tensor([v // 3, v // 3, v // 3, v - 1, v - 1, v - 1, v - 1])
    for row in (0, 1, 3, 6):
        z[row, labels[row]] = 20
    weights = torch.tensor([2.0, 2.0, 2.0, 0.5, 0.5, 0.5, 0.5], dtype=WIDE[dtype])
    return z, RowLabels(labels, (labels == v - 1).long(), weights)


def bias_of(work: RowKernels, v: int) -> Tensor | None:
    """A bias for those kernels that add it."""
    return torch.randn(v) if work.adds_bias else None


def exact(logits: Tensor, bias: Tensor | None) -> Tensor:
    """A float64 copy of logits, with their bias."""
    return logits.to(torch.float64, copy=True) + (0 if bias is None else bias.double())


def assert_close(found: Tensor | None, expected: Tensor, dtype: torch.dtype) -> None:
    assert found is not None
    torch.testing.assert_close(found.double(), expected.double(), rtol=ROUNDING[dtype], atol=3 * ROUNDING[dtype])


@pytest.mark.parametrize("v", [1, 2, 50, 2500])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_auxiliary(kind: str, dtype: torch.dtype, weighted: bool, v: int) -> None:
    z, at = rows(dtype, v)
    at = at if weighted else RowLabels(at.labels, at.group)
    work = kernels(kind, v, dtype)
    bias = bias_of(work, v)
    x, onehot = exact(z, bias), torch.nn.functional.one_hot(at.labels, v)
    p, wide = x.softmax(1), WIDE[dtype]
    terms = AuxiliaryTerms(aux=True, cap=torch.tensor(0.3), alpha=0.5, absolute=weighted, tau=3.0)
    sums, columns = torch.ones(2, v, dtype=wide), torch.ones(v, dtype=wide)
    found = work.auxiliary(Logits(z, True, columns, bias), at, terms, sums)
    own = p[torch.arange(7), at.labels]
    assert_close(found.log_p, own.log(), dtype)
    assert found.correct.tolist() == (x.argmax(1) == at.labels).tolist()
    assert found.correct.sum() >= 4
    slope = torch.where(own > 0.5, 1.0, -1.0 if weighted else 0.0)
    factor = (1 - 0.3 * slope * own) * (at.weights.double() if at.weights is not None else 1)
    gradient = factor[:, None] * (p - onehot)
    assert_close(z, gradient, dtype)
    assert_close(columns, 1 + gradient.sum(0), torch.float32)  # not of the rounded gradient
    tempered = (x / 3).softmax(1) * found.correct[:, None]
    assert_close(sums, 1 + torch.zeros(2, v).double().index_add_(0, at.group, tempered), torch.float32)


@pytest.mark.parametrize("temperature", [1.0, 2.0])
@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_head(kind: str, dtype: torch.dtype, weighted: bool, soft: bool, temperature: float) -> None:
    z, at = rows(dtype)
    at = at if weighted else RowLabels(at.labels, at.group)
    v = z.shape[1]
    work = kernels(kind, v, dtype)
    bias = bias_of(work, v)
    x = exact(z, bias)
    q = torch.randn(2, v, dtype=torch.float64).softmax(1)
    columns = torch.zeros(v, dtype=WIDE[dtype])
    terms = HeadTerms(0.3, 0.6 if soft else 0.0, temperature)
    target = q.to(WIDE[dtype]) if soft else None
    found = work.head(Logits(z, True, columns, bias), at, terms, target)
    p, tempered = x.softmax(1), (x / temperature).softmax(1)
    gradient = 0.3 * (p - torch.nn.functional.one_hot(at.labels, v))
    if soft:
        gradient += 0.6 / temperature * (tempered - q[at.group])
        assert_close(found.soft, -(q[at.group] * (x / temperature).log_softmax(1)).sum(1), torch.float32)
    gradient *= at.weights.double()[:, None] if at.weights is not None else 1
    assert_close(found.log_p, x.log_softmax(1)[torch.arange(7), at.labels], dtype)
    assert_close(z, gradient, dtype)
    assert_close(columns, gradient.sum(0), torch.float32)


@pytest.mark.parametrize("rectified", [False, True])
@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_embedding(kind: str, dtype: torch.dtype, rectified: bool) -> None:
    e = rows(dtype)[0]
    v = e.shape[1]
    work = kernels(kind, v, dtype)
    bias = bias_of(work, v)
    e = e.relu_() if rectified and bias is None else e
    x = exact(e, bias)
    x = x.relu() if rectified else x
    counts = torch.arange(7, dtype=WIDE[dtype])
    taught = counts.double()[:, None] * torch.randn(7, v, dtype=torch.float64).softmax(1)
    sums, columns = taught.to(WIDE[dtype], copy=True), torch.zeros(v, dtype=WIDE[dtype])
    values = work.embedding(Logits(e, True, columns, bias), sums, counts, rectified)
    assert_close(values, -(taught * x.log_softmax(1)).sum(1), torch.float32)
    gradient = (counts.double()[:, None] * x.softmax(1) - taught) * ((x > 0) if rectified else 1)
    assert_close(e, gradient, dtype)
    assert_close(columns, gradient.sum(0), torch.float32)
    assert_close(sums, x.softmax(1), torch.float32)


@pytest.mark.parametrize("kind", KERNELS)
@settings(max_examples=100)
@given(
    logits=st.integers(1, 6).flatmap(
        lambda v: st.lists(st.lists(st.integers(-1, 1), min_size=v, max_size=v), min_size=1)
    ),
    seed=st.integers(0, 9),
)
def test_of_equal_logits_the_first_is_predicted(kind: str, logits: list[list[int]], seed: int) -> None:
    z = torch.tensor(logits, dtype=torch.float32)
    labels = torch.randint(z.shape[1], (len(z),), generator=torch.Generator().manual_seed(seed))
    at = RowLabels(labels, torch.zeros_like(labels))
    found = kernels(kind, z.shape[1]).head(Logits(z, False, None, None), at, HeadTerms(1.0, 0.0, 1.0), None)
    assert found.correct.tolist() == [row.index(max(row)) == label for row, label in zip(logits, labels, strict=True)]


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.3, 0.7)])
@pytest.mark.parametrize("kind", KERNELS)
def test_a_confident_row_keeps_its_small_gradient_in_bf16(kind: str, weights: tuple[float, float]) -> None:
    """p[y] - 1 is taken before the numbers are rounded: bf16 has nothing between 1 and 1 - 0.004."""
    z, q = torch.zeros(1, 4).bfloat16(), torch.full((1, 4), 0.001)
    z[0, 2], q[0, 2] = 9.0, 0.997
    p, onehot = torch.softmax(z.float(), 1), torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    expected, columns = weights[0] * (p - onehot) + weights[1] * (p - q), torch.zeros(4)
    at = RowLabels(torch.tensor([2]), torch.tensor([0]))
    kernels(kind, 4, torch.bfloat16).head(Logits(z, True, columns, None), at, HeadTerms(*weights, 1.0), q)
    torch.testing.assert_close(columns, expected[0], rtol=1e-4, atol=1e-7)
    torch.testing.assert_close(z.float(), expected, rtol=4e-3, atol=1e-7)


@pytest.mark.parametrize("kind", KERNELS)
def test_small_probabilities_are_exact_to_a_millionth(kind: str) -> None:
    z = torch.linspace(-80, 0, 5000)[None]
    p = z.double().softmax(1)
    z[0, 0], z[0, 1] = -math.inf, -200.0
    at = RowLabels(torch.tensor([4999]), torch.tensor([0]))
    terms = AuxiliaryTerms(aux=True, cap=None, alpha=1.0, absolute=False, tau=1.0)
    kernels(kind, 5000).auxiliary(Logits(z, True, None, None), at, terms, None)
    torch.testing.assert_close(z[0, 2:-1].double(), p[0, 2:-1], rtol=1e-5 if kind == "torch" else 1e-6, atol=0)
    assert z[0, :2].tolist() == [0, 0]


@pytest.mark.parametrize("bad", [math.nan, math.inf])
@pytest.mark.parametrize(("kind", "dtype"), KINDS)
def test_a_row_with_a_logit_that_is_not_finite_is_nan(kind: str, dtype: torch.dtype, bad: float) -> None:
    z, at = rows(dtype)
    z[2, 40], z[5, at.labels[5]] = bad, bad
    work, expected = kernels(kind, z.shape[1], dtype), torch.tensor([row in (2, 5) for row in range(7)])
    e, q, tempered = z.clone(), torch.full((2, z.shape[1]), 0.5, dtype=WIDE[dtype]), HeadTerms(0.5, 0.5, 2.0)
    found = work.head(Logits(z, True, None, None), at, tempered, q)
    assert found.soft is not None
    for values in (found.log_p[:, None], found.soft[:, None], z):
        assert torch.equal(values.isnan().any(1), expected)
        assert torch.equal(values.isnan().all(1), expected)
    values = work.embedding(
        Logits(e, True, None, None), torch.zeros_like(e, dtype=WIDE[dtype]), torch.ones(7, dtype=WIDE[dtype]), True
    )
    assert torch.equal(values.isnan(), expected)
    assert torch.equal(e.isnan().all(1), expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_rows_are_added_in_float32(dtype: torch.dtype) -> None:
    total, values = torch.randn(3, 41), torch.randn(3, 41).to(dtype)
    expected = total + values.float()
    add_rows(total, values)
    assert torch.equal(total, expected)


@pytest.mark.parametrize("kind", KERNELS)
@pytest.mark.parametrize("label", [-1, 5])
def test_refuses_a_label_that_is_not_there(kind: str, label: int) -> None:
    at = RowLabels(torch.tensor([0, label]), torch.tensor([0, 0]))
    with pytest.raises((IndexError, RuntimeError)):
        kernels(kind, 5).head(Logits(torch.zeros(2, 5), True, None, None), at, HeadTerms(1.0, 0.0, 1.0), None)


def test_native_kernels_refuse_rows_of_another_length() -> None:
    at = RowLabels(torch.tensor([0]), torch.tensor([0]))
    with pytest.raises(ValueError, match="expected 5 columns, got 6"):
        kernels("native", 5).head(Logits(torch.zeros(1, 6), True, None, None), at, HeadTerms(1.0, 0.0, 1.0), None)


def test_defaults_of_torch_change_nothing() -> None:
    expected, _ = run(Case(), "chunked", torch.float32)
    torch.set_default_dtype(torch.float64)
    try:
        found, _ = run(Case(), "chunked", torch.float32)
    finally:
        torch.set_default_dtype(torch.float32)
    assert torch.equal(found.loss, expected.loss)


@pytest.mark.parametrize("form", FORMS)
def test_height_of_blocks_changes_nothing(form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = Case(n=50, objective=FORMS[form])
    whole, gradients = run(case, "chunked")
    monkeypatch.setattr(torch_kernels, "CPU_BLOCK_BYTES", 3 * 37 * 8)  # three rows of V fp64 numbers
    cut, others = run(case, "chunked")
    torch.testing.assert_close(cut.loss, whole.loss, rtol=1e-12, atol=0)
    assert cut.correct == whole.correct
    for name, gradient in gradients.items():
        torch.testing.assert_close(others[name], gradient, rtol=1e-10, atol=1e-12)
