"""Losses of this library inside Lightning: the loss is an attribute of the LightningModule, the callback does the rest.

Example:
    ```python
    import lightning as L
    from labelemb import LabelEmbeddingLoss, capture_head_input
    from labelemb.integrations.lightning import LabelEmbeddingCallback

    class Classifier(L.LightningModule):
        def __init__(self):
            super().__init__()
            self.net = resnet18(num_classes=100)
            self.loss = LabelEmbeddingLoss(512, 100)

        def training_step(self, batch, number):
            images, labels = batch
            with capture_head_input(self.net.fc) as captured:
                self.net(images)
            return self.loss(captured.hidden, self.net.fc, labels).loss

        def configure_optimizers(self):
            optimizer = torch.optim.Adam(self.net.parameters(), lr=1e-3)
            self.loss.attach(optimizer)
            return optimizer

    L.Trainer(callbacks=[LabelEmbeddingCallback()]).fit(Classifier(), loader)
    ```

Lightning divides the loss of each of k micro-batches by k (``accumulate_grad_batches``): the mean of the means. Where
micro-batches differ in their number of rows and the mean over all rows is wanted, pass ``num_items_in_batch`` and
return ``k * out.loss``.
"""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import ModelCheckpoint

from labelemb.errors import ConfigError
from labelemb.losses.base import Loss


class LabelEmbeddingCallback(Callback):
    """Tell the losses of a LightningModule when an epoch ends, and all-reduce their state before it is saved.

    Steps are counted by the optimizer (``loss.attach(optimizer)`` in ``configure_optimizers``). The losses'
    parameters, states and steps are in Lightning's checkpoints, since they are modules of the LightningModule.

    Raises:
        ConfigError: When training starts, for a LightningModule without a loss of this library, and for a loss whose
            parameters no optimizer has.
    """

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Check that there is a loss and that it is trained."""
        losses = _losses(pl_module)
        if not losses:
            hint = "Assign it in __init__: self.loss = LabelEmbeddingLoss(D, V)"
            raise ConfigError("LightningModule", "a loss of labelemb as an attribute", "none", hint)
        trained = {
            id(p) for optimizer in trainer.optimizers for group in optimizer.param_groups for p in group["params"]
        }
        for loss in losses:
            if missing := [name for name, p in loss.named_parameters() if p.requires_grad and id(p) not in trained]:
                hint = "Call self.loss.attach(optimizer) in configure_optimizers, before making a scheduler"
                expected = f"an optimizer with the parameters of {type(loss).__name__}"
                raise ConfigError("configure_optimizers", expected, f"none with {', '.join(missing)}", hint)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """All-reduce rank-local state before a checkpoint within an epoch."""
        if trainer.world_size > 1 and any(_saves_now(callback, trainer) for callback in trainer.checkpoint_callbacks):
            for loss in _losses(pl_module):
                loss.sync()

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Mark the end of the epoch; Lightning saves its checkpoints afterwards."""
        for loss in _losses(pl_module):
            loss.epoch_end()
            loss.sync()


def _losses(module: LightningModule) -> list[Loss]:
    return [found for found in module.modules() if isinstance(found, Loss)]


def _saves_now(callback: Any, trainer: Trainer) -> bool:
    every = getattr(callback, "_every_n_train_steps", 0) if isinstance(callback, ModelCheckpoint) else 0
    return bool(every) and trainer.global_step % every == 0
