"""A classifier of digits with Accelerate, in one or several processes: accelerate launch accelerate_loop.py"""

import torch
from accelerate import Accelerator
from data import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from labelemb import LabelEmbeddingLoss, LossModel

torch.manual_seed(0)
accelerator = Accelerator(cpu=True)
images, labels, test_images, test_labels = digits()
net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
model = LossModel(net, LabelEmbeddingLoss(hidden_size=128, num_labels=10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
model.loss.attach(optimizer)
loader = DataLoader(TensorDataset(images, labels), batch_size=50, shuffle=True)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
for epoch in range(10):
    for batch, target in loader:
        loss = model(batch, labels=target)["loss"]
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
with torch.no_grad():
    error = (net.eval()(test_images).argmax(1) != test_labels).float().mean()
accelerator.print(f"test error {100 * error:.2f} %")
accelerator.end_training()
