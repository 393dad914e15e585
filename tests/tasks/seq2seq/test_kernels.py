"""The row operations of decoding: PyTorch equals the definition, and C equals PyTorch."""

import math
from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn

from labelemb.ops.native.library import load_library
from labelemb.tasks.seq2seq import kernels
from labelemb.tasks.seq2seq.kernels import BLOCK, finish_logits, lstm_cell
from tests.processes import torch_threads

native = pytest.mark.skipif(load_library() is None, reason="no C compiler")
each_form = pytest.mark.parametrize("dtype", [torch.float64, pytest.param(torch.float32, marks=native)])


@pytest.fixture(params=[1, 3])
def threads(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(kernels, "ROWS_PER_THREAD", 1)
    with torch_threads(request.param):
        yield


@each_form
@pytest.mark.parametrize("size", [1, 5, 64])
@pytest.mark.parametrize("scale", [1.0, 100.0])
@pytest.mark.usefixtures("threads")
def test_lstm_cell_equals_torch(scale: float, size: int, dtype: torch.dtype) -> None:
    """Float64 takes the PyTorch form, float32 the compiled one. Large gates: saturated, without NaN."""
    torch.manual_seed(0)
    draw = partial(torch.randn, dtype=torch.float64)
    cell = nn.LSTMCell(3, size).double()
    hidden, before, inputs = draw(4, size), draw(4, size), scale * draw(2, 3)
    parents, words = torch.tensor([3, 0, 0, 2, 3, 1, 0]), torch.tensor([1, 1, 0, 0, 1, 0, 1])
    expected = cell(inputs[words], (hidden[parents], before[parents]))
    from_hidden = hidden @ cell.weight_hh.T
    from_input = inputs @ cell.weight_ih.T + cell.bias_ih + cell.bias_hh
    with torch.no_grad():
        found = lstm_cell(from_hidden.to(dtype), parents, from_input.to(dtype), words, before.to(dtype))
    for one, other in zip(found, expected, strict=True):
        tolerance = {"atol": 1e-5 * scale, "rtol": 1e-6} if dtype == torch.float32 else {"atol": 1e-12, "rtol": 1e-12}
        torch.testing.assert_close(one.double(), other.detach(), **tolerance)


@each_form
@pytest.mark.parametrize("words", [1, BLOCK, 3 * BLOCK + 7, 300_000])
@pytest.mark.parametrize("scale", [1.0, 30.0, 1000.0])
@pytest.mark.usefixtures("threads")
def test_finish_logits_equals_torch(scale: float, words: int, dtype: torch.dtype) -> None:
    logits, bias = scale * torch.randn(5, words, dtype=dtype), torch.randn(words, dtype=dtype)
    biased = logits + bias
    normalizers, maxima = finish_logits(logits, bias)
    assert torch.equal(logits, biased)
    torch.testing.assert_close(normalizers, biased.logsumexp(dim=1))
    assert torch.equal(maxima, torch.stack([block.amax(1) for block in biased.split(BLOCK, dim=1)], dim=1))


def run(monkeypatch: pytest.MonkeyPatch, compiled: bool) -> list[Tensor]:
    """All results in float32, in C or in PyTorch."""
    torch.manual_seed(1)
    monkeypatch.setattr(kernels, "load_library", load_library if compiled else lambda: None)
    rows = torch.tensor([2, 0, 1, 1])
    logits = torch.cat([torch.randn(3, 1000), torch.full((1, 1000), -math.inf)])
    state = lstm_cell(3 * torch.randn(3, 40), rows, 3 * torch.randn(4, 40), rows.flip(0), torch.randn(3, 10))
    return [*state, logits, *finish_logits(logits, torch.randn(1000))]


@native
def test_c_equals_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    for one, other in zip(run(monkeypatch, True), run(monkeypatch, False), strict=True):
        torch.testing.assert_close(one, other, equal_nan=True)


@native
def test_nan_stays_nan(monkeypatch: pytest.MonkeyPatch) -> None:
    logits = torch.randn(2, 100)
    logits[1, 30] = math.nan
    normalizers, _ = finish_logits(logits, torch.zeros(100))
    assert normalizers.isnan().tolist() == [False, True]
    gates, index = torch.full((1, 8), math.nan), torch.tensor([0])
    assert torch.stack(lstm_cell(gates, index, torch.zeros(1, 8), index, torch.zeros(1, 2))).isnan().all()
