"""LossModel: finding the head, the hidden state without logits, evaluation, compilation."""

import pytest
import torch
from torch import nn

from labelemb import LabelEmbeddingLoss, LabelSmoothingLoss, LossModel, capture_head_input
from labelemb.errors import ConfigError, ShapeError


def net(*layers: nn.Module) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 8), nn.ReLU(), *layers, nn.Linear(8, 5))


IMAGES, LABELS = torch.randn(7, 6, generator=torch.Generator().manual_seed(1)), torch.arange(7) % 5


def test_it_is_the_loss_with_the_captured_hidden_state() -> None:
    bare, loss = net(), LabelEmbeddingLoss(8, 5)
    model = LossModel(bare, loss)
    with capture_head_input(bare[-1]) as captured:
        logits = bare(IMAGES)
    expected = loss(captured.hidden, bare[-1], LABELS)
    found = model(IMAGES, labels=LABELS)
    assert torch.equal(found["loss"], expected.loss)
    torch.testing.assert_close(found["logits"], logits)
    assert model.export() is bare
    assert "forward" not in bare[-1].__dict__


def test_evaluation_is_cross_entropy_and_needs_no_labels() -> None:
    model = LossModel(net(), LabelSmoothingLoss(0.3)).eval()
    found = model(IMAGES, labels=LABELS)
    torch.testing.assert_close(found["loss"], nn.functional.cross_entropy(model.model(IMAGES), LABELS))
    assert torch.equal(model(IMAGES)["logits"], model.model(IMAGES))


def test_one_state_dict_holds_model_and_loss() -> None:
    model, other = (LossModel(net(), LabelEmbeddingLoss(8, 5)) for _ in range(2))
    with torch.no_grad():
        model.loss.embedding.weight.normal_()
    model.loss.step()
    other.load_state_dict(model.state_dict())
    assert other.loss.steps == 1
    assert torch.equal(other.loss.embedding.weight, model.loss.embedding.weight)


@pytest.mark.parametrize("backend", ["eager", "aot_eager"])
def test_it_compiles(backend: str) -> None:
    torch.manual_seed(0)
    bare, loss = net(), LabelEmbeddingLoss(8, 5)
    plain = LossModel(bare, loss)
    compiled = torch.compile(LossModel(bare, loss, hidden=lambda model, images: model[:-1](images)), backend=backend)
    torch.testing.assert_close(compiled(IMAGES, labels=LABELS)["loss"], plain(IMAGES, labels=LABELS)["loss"])


@pytest.mark.parametrize(
    ("model", "head", "error", "says"),
    [
        (nn.Sequential(nn.Conv2d(1, 1, 1)), None, ConfigError, "one linear classifier"),
        (
            nn.Sequential(nn.Linear(8, 5), nn.Linear(5, 8), nn.Linear(8, 5), nn.Identity()),
            None,
            ConfigError,
            "got 2 in Sequ",
        ),
        (net(), "nothing", ConfigError, "the name of a module"),
        (net(), nn.Linear(8, 5), ConfigError, "one of another model"),
        (net(), "1", ShapeError, "a weight of shape"),
    ],
)
def test_heads_that_are_none(model: nn.Module, head: object, error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        LossModel(model, LabelEmbeddingLoss(8, 5), head=head)  # type: ignore[arg-type]


def test_training_needs_labels_and_a_loss_of_the_library() -> None:
    with pytest.raises(ConfigError, match="labels: expected"):
        LossModel(net(), LabelEmbeddingLoss(8, 5))(IMAGES)
    with pytest.raises(ConfigError, match="loss: expected a loss of labelemb"):
        LossModel(net(), nn.CrossEntropyLoss())  # type: ignore[arg-type]
