"""A task for timm's training script: ``make test-timm``, since timm imports torchvision, which needs its own torch."""

import pytest
import torch

timm = pytest.importorskip(
    "timm", reason="make test-timm installs timm in an environment of its own", exc_type=Exception
)

from labelemb import LabelEmbeddingLoss, LabelSmoothingLoss  # noqa: E402
from labelemb.integrations.timm import LabelEmbeddingTask  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.mark.parametrize("name", ["resnet10t", "vit_tiny_patch16_224", "convnext_atto", "mobilenetv3_small_050"])
def test_the_loss_is_that_of_the_model_s_own_logits(name: str) -> None:
    torch.manual_seed(0)
    size = {"img_size": 32} if name.startswith("vit") else {}
    model = timm.create_model(name, num_classes=7, drop_rate=0.0, **size)
    head = model.get_classifier()
    task = LabelEmbeddingTask(model, LabelEmbeddingLoss(head.in_features, 7))
    images, labels = torch.randn(4, 3, 32, 32), torch.randint(0, 7, (4,))
    torch.manual_seed(1)
    result = task(images, labels)
    torch.manual_seed(1)
    logits = model(images)
    torch.testing.assert_close(result["output"], logits)
    hard = torch.nn.functional.cross_entropy(logits, labels)
    torch.testing.assert_close(task.last_output.terms["hard"], 0.5 * hard.detach())
    result["loss"].backward()
    assert all(p.grad is not None for p in task.parameters() if p.requires_grad)


def test_the_state_of_the_loss_is_saved_and_restored() -> None:
    tasks = [
        LabelEmbeddingTask(timm.create_model("resnet10t", num_classes=7), LabelEmbeddingLoss(512, 7)) for _ in range(2)
    ]
    optimizer = torch.optim.Adam(tasks[0].model.parameters())
    tasks[0].loss.attach(optimizer)
    tasks[0](torch.randn(4, 3, 32, 32), torch.randint(0, 7, (4,)))["loss"].backward()
    optimizer.step()
    tasks[1].load_task_state(tasks[0].get_task_state())
    assert tasks[1].loss.steps == 1
    assert torch.equal(tasks[0].loss.embedding.matrix(), tasks[1].loss.embedding.matrix())
    assert tasks[0].get_eval_model() is tasks[0].model


def test_evaluation_returns_the_output_alone() -> None:
    task = LabelEmbeddingTask(timm.create_model("resnet10t", num_classes=7), LabelSmoothingLoss(0.1)).eval()
    assert task(torch.randn(2, 3, 32, 32)).keys() == {"output"}
