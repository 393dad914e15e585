"""A classifier of digits with Accelerate, in one or several processes: accelerate launch accelerate_loop.py"""

import torch
from accelerate import Accelerator
from data import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)
accelerator = Accelerator(cpu=True)
images, labels, test_images, test_labels = digits()
net = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
model = net
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()
loader = DataLoader(TensorDataset(images, labels), batch_size=50, shuffle=True)
model, optimizer, loader = accelerator.prepare(model, optimizer, loader)
for epoch in range(10):
    for batch, target in loader:
        loss = criterion(model(batch), target)
        optimizer.zero_grad()
        accelerator.backward(loss)
        optimizer.step()
with torch.no_grad():
    error = (net.eval()(test_images).argmax(1) != test_labels).float().mean()
accelerator.print(f"test error {100 * error:.2f} %")
accelerator.end_training()
