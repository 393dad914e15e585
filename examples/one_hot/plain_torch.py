"""A classifier of digits in a plain PyTorch loop: python plain_torch.py"""

import torch
from data import digits
from torch import nn

torch.manual_seed(0)
images, labels, test_images, test_labels = digits()
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
criterion = nn.CrossEntropyLoss()
for epoch in range(10):
    for rows in torch.randperm(len(images)).split(50):
        logits = model(images[rows])
        loss = criterion(logits, labels[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    error = (model(test_images).argmax(1) != test_labels).float().mean()
print(f"test error {100 * error:.2f} %")
