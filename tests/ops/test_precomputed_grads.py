"""Gradients that come along with a value."""

import torch

from labelemb.ops.precomputed_grads import ROWS_PER_BLOCK, Gradient, with_precomputed_grads


def test_only_the_named_rows_are_multiplied() -> None:
    count = 2 * ROWS_PER_BLOCK + 3
    leaf, rows = torch.zeros(2 * count, 2, requires_grad=True), torch.arange(1, 2 * count, 2)
    values = torch.full((2 * count, 2), 5.0)
    total = with_precomputed_grads(torch.tensor(1.5), [leaf], [Gradient(values, torch.tensor(0.5), rows)])
    (3 * total).backward()
    assert leaf.grad is not None
    assert (leaf.grad[rows] == 7.5).all()
    assert (leaf.grad[::2] == 5.0).all()
