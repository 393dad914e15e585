"""The row work in plain torch calls, by itself, against torch's own functions."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from labelemb.ops.chunked import torch_kernels
from labelemb.ops.chunked.row_kernels import BlockLabels
from labelemb.ops.chunked.torch_kernels import TorchRowKernels

from .vocabulary import FORMS, Case, run

CPU = torch.device("cpu")
WIDE = {torch.float64: torch.float64, torch.float32: torch.float32, torch.bfloat16: torch.float32}


@pytest.mark.parametrize("dtype", WIDE)
def test_statistics_are_those_of_torch(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    z, labels = (3 * torch.randn(7, 50)).to(dtype), torch.arange(7)
    labels[:4] = z[:4].argmax(1)
    before, wide = z.clone(), z.to(WIDE[dtype])
    found = TorchRowKernels(50, WIDE[dtype], CPU).statistics(z, labels, tau=2.0)
    assert torch.equal(z, before)
    assert torch.equal(found.peak, wide.amax(1))
    assert found.correct is not None
    assert found.correct.tolist() == (wide.argmax(1) == labels).tolist()
    assert found.correct.sum() >= 4
    torch.testing.assert_close(found.peak + found.log_sum, wide.logsumexp(1))
    torch.testing.assert_close(found.peak / 2 + found.tempered_log_sum, (wide / 2).logsumexp(1))
    torch.testing.assert_close(found.log_p, wide.log_softmax(1).gather(1, labels[:, None])[:, 0])


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    rows=st.integers(1, 6).flatmap(
        lambda v: st.lists(st.lists(st.integers(-1, 1), min_size=v, max_size=v), min_size=1)
    ),
    seed=st.integers(0, 9),
)
def test_of_equal_logits_the_first_is_predicted(rows: list[list[int]], seed: int) -> None:
    z = torch.tensor(rows, dtype=torch.float32)
    labels = torch.randint(z.shape[1], (len(z),), generator=torch.Generator().manual_seed(seed))
    found = TorchRowKernels(z.shape[1], torch.float32, CPU).statistics(z, labels)
    assert found.correct is not None
    assert found.correct.tolist() == [row.index(max(row)) == label for row, label in zip(rows, labels, strict=True)]
    assert torch.equal(z, torch.tensor(rows, dtype=torch.float32))


@pytest.mark.parametrize("weights", [(1.0, 0.0), (0.3, 0.7)])
def test_a_confident_row_keeps_its_small_gradient_in_bf16(weights: tuple[float, float]) -> None:
    """p[y] - 1 is taken before the numbers are rounded: bf16 has nothing between 1 and 1 - 0.004."""
    z, q = torch.zeros(1, 4).bfloat16(), torch.full((1, 4), 0.001)
    z[0, 2], q[0, 2] = 9.0, 0.997
    at = BlockLabels(torch.tensor([2]), torch.tensor([0]))
    p, onehot = torch.softmax(z.float(), 1), torch.tensor([[0.0, 0.0, 1.0, 0.0]])
    expected = weights[0] * (p - onehot) + weights[1] * (p - q)
    work = TorchRowKernels(4, torch.float32, CPU)
    _, wide = work.head_gradient(z, work.statistics(z, at.labels), at, q, weights)
    torch.testing.assert_close(wide, expected, rtol=1e-4, atol=1e-7)
    assert torch.equal(z, wide.bfloat16())


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
