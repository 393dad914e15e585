"""A classifier of digits in a plain PyTorch loop: python plain_torch.py"""

import torch
from data import digits
from torch import nn

from labelemb import LabelEmbeddingLoss, capture_head_input

torch.manual_seed(0)
images, labels, test_images, test_labels = digits()
model = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
criterion = LabelEmbeddingLoss(hidden_size=128, num_labels=10).attach(optimizer)
for epoch in range(10):
    for rows in torch.randperm(len(images)).split(50):
        with capture_head_input(model[2]) as captured:
            logits = model(images[rows])
        loss = criterion(captured.hidden, model[2], labels[rows]).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
with torch.no_grad():
    error = (model(test_images).argmax(1) != test_labels).float().mean()
print(f"test error {100 * error:.2f} %")
