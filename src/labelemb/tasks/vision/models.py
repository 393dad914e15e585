"""Model registry and small models: images ``(N, C, H, W)`` to hidden states ``(N, D)``; ``head`` gives ``(N, V)``."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ConfigError
from labelemb.tasks.vision.pretrained import build_pretrained, is_pretrained
from labelemb.tasks.vision.resnet import resnet8, resnet18


class Mlp(nn.Module):
    """Two hidden layers with ReLU and a linear head; truncated normal weights (std 0.1, head 0.01), zero biases."""

    head_std = 0.01

    def __init__(self, image_shape: tuple[int, int, int], num_labels: int, width: int = 500) -> None:
        super().__init__()
        channels, height, side = image_shape
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * height * side, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.head = nn.Linear(width, num_labels)
        initialize(self.layers, 0.1)
        initialize(self.head, self.head_std)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to hidden states ``(N, width)``."""
        hidden: Tensor = self.layers(images)
        return hidden


class Cnn(nn.Module):
    """Two 5x5 convolutions with ReLU and max pooling, a dense layer and a linear head; initialized like ``Mlp``."""

    head_std = 0.001

    def __init__(self, image_shape: tuple[int, int, int], num_labels: int, width: int = 32) -> None:
        super().__init__()
        channels, height, side = image_shape
        if height < 4 or side < 4:
            raise ConfigError("model", "images of 4x4 or more for cnn", f"{height}x{side}")
        self.conv1 = nn.Conv2d(channels, width, 5, padding=2)
        self.conv2 = nn.Conv2d(width, 2 * width, 5, padding=2)
        self.dense = nn.Linear(2 * width * (height // 4) * (side // 4), 32 * width)
        self.head = nn.Linear(32 * width, num_labels)
        for layer in (self.conv1, self.conv2, self.dense):
            initialize(layer, 0.1)
        initialize(self.head, self.head_std)

    def forward(self, images: Tensor) -> Tensor:
        """Map images ``(N, C, H, W)`` to hidden states ``(N, 32 * width)``."""
        # Max pooling commutes with ReLU; pooling first means fewer ReLU evaluations.
        x = F.relu(F.max_pool2d(self.conv1(images), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return F.relu(self.dense(x.flatten(1)))


MODELS: dict[str, Callable[..., nn.Module]] = {"mlp": Mlp, "cnn": Cnn, "resnet8": resnet8, "resnet18": resnet18}


def build_model(
    name: str,
    image_shape: tuple[int, int, int],
    num_labels: int,
    width: int | None = None,
    saved: str | None = None,
) -> nn.Module:
    """Build a model by name.

    Args:
        name: A key of ``MODELS``, ``hf:DIR_OR_ID`` or ``timm:NAME``.
        image_shape: ``(C, H, W)``.
        num_labels: Number of labels V.
        width: Model width. Default: the published width.
        saved: See ``build_pretrained``.

    Raises:
        ConfigError: If the name is unknown or the images are too small for the model.
        DataError: If a pretrained model cannot be loaded.
    """
    if is_pretrained(name):
        return build_pretrained(name, image_shape, num_labels, saved)
    if name not in MODELS:
        raise ConfigError("model", " or ".join(MODELS), repr(name))
    return MODELS[name](image_shape, num_labels, **({} if width is None else {"width": width}))


def initialize(module: nn.Module, std: float) -> None:
    """Initialize weights from a normal distribution truncated at two standard deviations, and biases to 0."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
