"""A classifier of digits with Lightning: python lightning_module.py"""

import lightning as L
import torch
from data import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

L.seed_everything(0, verbose=False)
images, labels, test_images, test_labels = digits()


class Classifier(L.LightningModule):
    """Images (N, 64) to logits (N, 10)."""

    def __init__(self):
        super().__init__()
        self.body, self.head = nn.Sequential(nn.Linear(64, 128), nn.ReLU()), nn.Linear(128, 10)
        self.criterion = nn.CrossEntropyLoss()

    def forward(self, images):
        return self.head(self.body(images))

    def training_step(self, batch, number):
        images, labels = batch
        return self.criterion(self(images), labels)

    def configure_optimizers(self):
        optimizer = torch.optim.Adam(self.parameters(), lr=1e-3)
        return optimizer


model, callbacks = Classifier(), []
trainer = L.Trainer(max_epochs=10, accelerator="cpu", callbacks=callbacks, logger=False, enable_progress_bar=False)
trainer.fit(model, DataLoader(TensorDataset(images, labels), batch_size=50, shuffle=True))
with torch.no_grad():
    error = (model.eval()(test_images).argmax(1) != test_labels).float().mean()
print(f"test error {100 * error:.2f} %")
