"""Sizes and tensors: N rows, V labels, D hidden size = R rank; labels are drawn with probability 1 / rank."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from labelemb import CompressedLabelEmbedding, LabelEmbeddingLoss


@dataclass(frozen=True)
class Workload:
    """N rows, V labels, D hidden size and rank.

    Weights: "random"; "trained": heads that predict the label (with mean probability 0.8 at 16,000 labels); "peaked":
    with mean probability 0.99.
    """

    rows: int
    labels: int
    width: int = 512
    weights: str = "random"

    def __str__(self) -> str:
        return f"({self.rows}, {self.labels}, {self.width}) {self.weights}"

    def operations(self, distinct: int, plain: bool) -> int:
        """Return the floating-point operations of the matrix products for a number of distinct labels in the batch.

        10NVD + 6UVR + 4UVD with label embedding, 6NVD for plain cross entropy.
        """
        n, u, v, d = self.rows, distinct, self.labels, self.width
        return 6 * n * v * d if plain else 10 * n * v * d + (6 + 4) * u * v * d


QUICK = [Workload(256, 4000, 128)]
CPU = [
    Workload(*size, weights=weights)
    for size in ((512, 16_000), (1024, 16_000), (2048, 32_000))
    for weights in ("random", "trained")
]
CPU.append(Workload(1024, 16_000, weights="peaked"))
GAINS = {"trained": 12, "peaked": 20}  # of the prototypes in the heads
GPU = [Workload(4096, 50_000, weights=weights) for weights in ("random", "trained")]


@dataclass(frozen=True)
class Problem:
    """Tensors of a workload, the same for every program."""

    hidden: Tensor
    targets: Tensor
    head: nn.Linear
    loss: LabelEmbeddingLoss

    @classmethod
    def of(cls, workload: Workload, device: str, dtype: torch.dtype = torch.float32) -> "Problem":
        """Draw labels from 1 / rank and, for trained weights, heads that contain a prototype of each label."""
        torch.manual_seed(0)
        rows, labels, width = workload.rows, workload.labels, workload.width
        targets = torch.multinomial(1 / torch.arange(1, labels + 1), rows, replacement=True)
        head = nn.Linear(width, labels)
        loss = LabelEmbeddingLoss(width, labels, CompressedLabelEmbedding(labels, width), validate_args=False)
        hidden = torch.randn(rows, width)
        if workload.weights in GAINS:
            prototypes = torch.randn(labels, width)
            hidden = prototypes[targets] + 2 * hidden
            with torch.no_grad():
                for layer in (head, loss.auxiliary):
                    layer.weight.add_(prototypes, alpha=GAINS[workload.weights] / width)
        hidden, targets = hidden.to(device, dtype).requires_grad_(), targets.to(device)
        return cls(hidden, targets, head.to(device, dtype), loss.to(device, dtype))

    @property
    def distinct(self) -> int:
        """Number U of distinct labels in the batch."""
        return len(set(self.targets.tolist()))

    @property
    def parameters(self) -> list[nn.Parameter]:
        """Parameters of head and loss."""
        return [*self.head.parameters(), *self.loss.parameters()]

    @property
    def gradients(self) -> list[Tensor | None]:
        """Gradients of the hidden state and of the parameters."""
        return [self.hidden.grad, *(parameter.grad for parameter in self.parameters)]

    def zero_grad(self) -> None:
        """Clear the gradients."""
        for tensor in (self.hidden, *self.parameters):
            tensor.grad = None
