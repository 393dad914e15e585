"""ResNets for CIFAR: images ``(N, C, H, W)`` to hidden states ``(N, D)``; ``head`` gives logits ``(N, V)``."""

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ConfigError


class BasicBlock(nn.Module):
    """Residual block: two 3x3 convolutions with batch normalization; the first one has the given stride."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.norm1 = nn.BatchNorm2d(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.norm2 = nn.BatchNorm2d(outputs)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))

    def forward(self, x: Tensor) -> Tensor:
        """Map ``(N, inputs, H, W)`` to ``(N, outputs, H / stride, W / stride)``."""
        y = F.relu(self.norm1(self.conv1(x)))
        return F.relu(self.norm2(self.conv2(y)) + self.shortcut(x))


class ResNet(nn.Module):
    """ResNet with a 3x3 stem; each stage after the first doubles the channels and halves the resolution.

    Args:
        image_shape: ``(C, H, W)``.
        num_labels: Number of labels V.
        blocks: Number of blocks per stage.
        pooled: Output side length of the adaptive average pooling.
        width: Channels of the stem and the first stage.

    Raises:
        ConfigError: If the images are too small for the number of stages.
    """

    def __init__(
        self, image_shape: tuple[int, int, int], num_labels: int, blocks: Sequence[int], pooled: int, width: int
    ) -> None:
        super().__init__()
        channels, height, side = image_shape
        smallest = pooled * 2 ** (len(blocks) - 1)
        if min(height, side) < smallest:
            raise ConfigError("model", f"images of {smallest}x{smallest} or more for a ResNet", f"{height}x{side}")
        self.stem = nn.Sequential(nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width))
        layers: list[nn.Module] = []
        size = width
        for stage, count in enumerate(blocks):
            for number in range(count):
                outputs = width * 2**stage
                layers.append(BasicBlock(size, outputs, stride=2 if stage and not number else 1))
                size = outputs
        self.blocks = nn.Sequential(*layers)
        self.pool = nn.AdaptiveAvgPool2d(pooled)
        self.head = nn.Linear(size * pooled**2, num_labels)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to hidden states ``(N, D)``."""
        x: Tensor = self.blocks(F.relu(self.stem(images)))
        hidden: Tensor = self.pool(x).flatten(1)
        return hidden


def resnet8(image_shape: tuple[int, int, int], num_labels: int, width: int = 128) -> ResNet:
    """Build the ResNet-8 for CIFAR-10: stages of 1 block with 128, 256 and 512 channels; D = 2048."""
    return ResNet(image_shape, num_labels, (1, 1, 1), 2, width)


def resnet18(image_shape: tuple[int, int, int], num_labels: int, width: int = 128) -> ResNet:
    """Build the ResNet-18 for CIFAR-100: stages of 2 blocks with 128, 256, 512 and 1024 channels; D = 1024."""
    return ResNet(image_shape, num_labels, (2, 2, 2, 2), 1, width)
