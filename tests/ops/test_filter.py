"""``filter_eps``: small gradients of logits are left out, within the bound that the docstring states."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from labelemb import LabelEmbeddingLoss
from labelemb.errors import ConfigError
from labelemb.ops.chunked.layers import significant_columns
from tests.ops.vocabulary import FORMS, Built, Case, build

EXACT = ("head.bias", "auxiliary.bias", "embedding.codes.weight", "embedding.decoder.weight", "embedding.decoder.bias")


def peaked(form: str, dtype: torch.dtype = torch.float64) -> Built:
    """A batch whose probabilities are peaked: a few labels, and soft labels that are almost one-hot."""
    case = Case(n=60, v=300, u=9, objective=replace(FORMS[form], tau=1.0), ignored=(3,), gain=9.0)
    built = build(case, "chunked", dtype, chunk_bytes=30_000)
    with torch.no_grad():
        codes, decoder = built.loss.embedding.codes.weight, built.loss.embedding.decoder  # type: ignore[union-attr]
        codes.abs_().add_(1)
        decoder.weight.mul_(0.1)  # type: ignore[union-attr]
        decoder.bias.fill_(-1)  # type: ignore[union-attr]
        decoder.bias[:9] = 20  # type: ignore[union-attr, index]
    return built


def gradients(built: Built, filter_eps: float | None) -> dict[str, Tensor]:
    for leaf in built.leaves.values():
        leaf.grad = None
    built.loss.filter_eps = filter_eps
    out = built.loss(built.hidden, built.head, built.targets)
    out.loss.backward()
    return {name: gradient.clone() for name, gradient in built.gradients().items() if gradient is not None} | {
        "loss": out.loss.detach()
    }


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("eps", [1e-2, 1e-4, 1e-7])
def test_errors_are_within_the_bound(form: str, eps: float) -> None:
    built = peaked(form)
    exact, filtered = gradients(built, None), gradients(built, eps)
    kept = built.targets != -100
    factor = eps / int(kept.sum()) * (1 + 1e-9)
    hidden = torch.where(kept[:, None], built.hidden.detach(), 0).abs().sum(0)  # (D,)
    bounds = {
        "hidden": factor * built.head.weight.detach().abs().sum(0),
        "head.weight": factor * hidden,
        "auxiliary.weight": factor * hidden * (1 if built.loss.objective.reduction == "token" else int(kept.sum())),
    }
    errors = {name: (filtered[name] - exact[name]).abs() for name in exact}
    for name, bound in bounds.items():
        assert (errors[name] <= bound + 1e-12).all(), name
    for name in (*EXACT, "loss"):
        assert (errors[name] <= 1e-12).all(), name
    assert eps < 1e-2 or errors["head.weight"].max() > 0  # something was left out


@pytest.mark.parametrize("form", FORMS)
def test_zero_leaves_nothing_out(form: str) -> None:
    built = peaked(form, torch.float32)
    exact, same = gradients(built, None), gradients(built, 0.0)
    assert all(torch.equal(exact[name], same[name]) for name in exact)


def test_few_columns_are_chosen_by_their_largest_entry() -> None:
    dz = torch.zeros(3, 16)
    dz[1, 5], dz[2, 9], dz[0, 2] = -0.5, 0.5, 0.1
    assert significant_columns(dz, 0.5).tolist() == [5, 9]  # type: ignore[union-attr]
    assert significant_columns(dz, None) is None
    assert significant_columns(torch.ones(3, 16), 0.5) is None


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"filter_eps": -1.0}, "filter_eps: expected a number from 0 to below 1, or None, got -1.0"),
        ({"filter_eps": "auto"}, "filter_eps: expected a number from 0 to below 1, or None"),
        ({"filter_eps": 1e-4, "impl": "eager"}, "filter_eps: expected None with impl 'eager', got 0.0001"),
    ],
)
def test_refusals(options: dict[str, object], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        LabelEmbeddingLoss(4, 5, **options)  # type: ignore[arg-type]
