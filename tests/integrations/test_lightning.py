"""Lightning with a small net on scikit-learn's digits: automatic and manual optimization, accumulation, resume."""

from pathlib import Path
from typing import Any

import pytest
import torch
from sklearn.datasets import load_digits
from torch import Tensor, nn

lightning = pytest.importorskip("lightning", reason="pip install 'labelemb[lightning]'")

from labelemb import LabelEmbeddingLoss, OnlineLabelSmoothingLoss  # noqa: E402
from labelemb.errors import ConfigError  # noqa: E402
from labelemb.integrations.lightning import LabelEmbeddingCallback  # noqa: E402
from labelemb.losses.base import Loss  # noqa: E402

pytestmark = pytest.mark.filterwarnings("ignore")


class Classifier(lightning.LightningModule):  # type: ignore[misc, name-defined]
    """The documented pattern."""

    def __init__(
        self, loss: Loss | None = None, manual: bool = False, attach: bool = True, items: int | None = None
    ) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU()), nn.Linear(32, 10)
        self.loss = LabelEmbeddingLoss(32, 10) if loss is None else loss
        self.automatic_optimization, self.attach, self.items = not manual, attach, items

    def training_step(self, batch: list[Tensor], number: int) -> Tensor:
        images, labels = batch
        out = self.loss(self.body(images), self.head, labels, num_items_in_batch=self.items)
        if not self.automatic_optimization:
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward(out.loss)
            optimizer.step()
        return out.loss * (self.trainer.accumulate_grad_batches if self.items else 1)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        optimizer = torch.optim.SGD([*self.body.parameters(), *self.head.parameters()], lr=0.1)
        if self.attach:
            self.loss.attach(optimizer, lr=0.1)
        return optimizer


def loader(batch_size: int = 50, rows: int = 200) -> Any:
    data = load_digits()
    images, labels = torch.tensor(data.data[:rows] / 16, dtype=torch.float32), torch.tensor(data.target[:rows])
    return torch.utils.data.DataLoader(torch.utils.data.TensorDataset(images, labels), batch_size)


def fit(module: Any, folder: Path, batches: Any = None, checkpoint: str | None = None, **options: Any) -> Any:
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False, "logger": False}
    callbacks = [LabelEmbeddingCallback(), *options.pop("callbacks", [])]
    trainer = lightning.Trainer(**quiet, default_root_dir=folder, callbacks=callbacks, **{"max_epochs": 2, **options})
    trainer.fit(module, batches or loader(), ckpt_path=checkpoint)
    return trainer


@pytest.mark.parametrize("manual", [False, True], ids=["automatic", "manual"])
def test_the_loss_is_trained_and_its_steps_are_counted(manual: bool, tmp_path: Path) -> None:
    module = Classifier(manual=manual)
    fit(module, tmp_path)
    assert module.loss.steps == 8
    assert not torch.equal(module.loss.embedding.matrix(), torch.eye(10))


def test_an_epoch_ends_once(tmp_path: Path) -> None:
    module = Classifier(OnlineLabelSmoothingLoss(10))
    fit(module, tmp_path, max_epochs=3)
    assert module.loss.soft.sum() > 0


def parameters_after_a_step(tmp_path: Path, batch_size: int, items: int | None) -> dict[str, Tensor]:
    loss = OnlineLabelSmoothingLoss(10)
    module = Classifier(loss, items=items)
    fit(module, tmp_path, loader(batch_size), max_epochs=1, accumulate_grad_batches=200 // batch_size)
    return {name: value for name, value in module.state_dict().items() if not name.startswith("loss.")}


@pytest.mark.parametrize("items", [None, 200], ids=["means of micro-batches", "rows of the whole batch"])
def test_accumulation_equals_one_large_batch(items: int | None, tmp_path: Path) -> None:
    whole, parts = parameters_after_a_step(tmp_path, 200, None), parameters_after_a_step(tmp_path, 50, items)
    for name, value in whole.items():
        torch.testing.assert_close(parts[name], value, msg=lambda text, name=name: f"{name}: {text}")


def test_a_resumed_run_ends_bit_for_bit_as_an_uninterrupted_one(tmp_path: Path) -> None:
    saver = lightning.pytorch.callbacks.ModelCheckpoint(tmp_path / "saved", every_n_epochs=1, save_top_k=-1)
    whole = Classifier()
    fit(whole, tmp_path, max_epochs=4, callbacks=[saver], enable_checkpointing=True)
    resumed = Classifier()
    first = next(file for file in (tmp_path / "saved").iterdir() if "epoch=1-" in file.name)
    fit(resumed, tmp_path, max_epochs=4, checkpoint=str(first))
    assert resumed.loss.steps == whole.loss.steps == 16
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_refusals(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match="configure_optimizers: expected an optimizer with the parameters of LabelEmb"
    ):
        fit(Classifier(attach=False), tmp_path)

    class Bare(Classifier):
        def __init__(self) -> None:
            super().__init__(attach=False)
            self.loss = nn.Identity()

    with pytest.raises(ConfigError, match="LightningModule: expected a loss of labelemb as an attribute, got none"):
        fit(Bare(), tmp_path)


def test_its_csv_log_is_imported_as_a_run(tmp_path: Path) -> None:
    from labelemb.runs.importers import read_log

    class Validated(Classifier):
        def validation_step(self, batch: list[Tensor], number: int) -> None:
            images, labels = batch
            self.log("val_acc", (self.head(self.body(images)).argmax(1) == labels).float().mean())

    logger = lightning.pytorch.loggers.CSVLogger(tmp_path)
    quiet = {"accelerator": "cpu", "enable_progress_bar": False, "enable_model_summary": False}
    trainer = lightning.Trainer(
        **quiet, logger=logger, callbacks=[LabelEmbeddingCallback()], max_epochs=2, log_every_n_steps=1
    )
    trainer.fit(Validated(), loader(), loader())
    lines = read_log(logger.log_dir)
    assert [line["epoch"] for line in lines] == [1, 2]
    assert lines[-1]["valid_error"] == pytest.approx(100 * (1 - float(trainer.callback_metrics["val_acc"])), abs=1e-3)
