"""A classifier of digits with a net of timm: python timm_task.py"""

import timm
import torch
from data import digits
from torch.nn import functional as F

from labelemb import LabelEmbeddingLoss
from labelemb.integrations.timm import LabelEmbeddingTask


def enlarge(images):
    """Rows (N, 64) to images (N, 3, 32, 32)."""
    return F.interpolate(images.view(-1, 1, 8, 8), size=32).expand(-1, 3, -1, -1)


torch.manual_seed(0)
images, labels, test_images, test_labels = digits()
model = timm.create_model("resnet10t", pretrained=False, num_classes=10)
optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
criterion = LabelEmbeddingLoss(model.num_features, 10).attach(optimizer)
task = LabelEmbeddingTask(model, criterion)
for epoch in range(3):
    for rows in torch.randperm(len(images)).split(50):
        loss = task(enlarge(images[rows]), labels[rows])["loss"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
model.eval()
with torch.no_grad():
    error = (model(enlarge(test_images)).argmax(1) != test_labels).float().mean()
print(f"test error {100 * error:.2f} %")
