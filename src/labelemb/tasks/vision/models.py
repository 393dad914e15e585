"""The nets by name; the small ones. Each maps images (N, C, H, W) to a hidden state (N, D), ``head`` to (N, V)."""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ConfigError
from labelemb.tasks.vision.resnet import resnet8, resnet18


class Mlp(nn.Module):
    """784-500-500 with ReLU, then the head; weights truncated normal 0.1, head 0.01, biases 0."""

    head_std = 0.01

    def __init__(self, image_shape: tuple[int, int, int], num_labels: int, width: int = 500) -> None:
        super().__init__()
        channels, height, side = image_shape
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(channels * height * side, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU()
        )
        self.head = nn.Linear(width, num_labels)
        initialise(self.layers, 0.1)
        initialise(self.head, self.head_std)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 500)."""
        hidden: Tensor = self.layers(images)
        return hidden


class Cnn(nn.Module):
    """conv 5x5 32, ReLU, pool, conv 5x5 64, ReLU, pool, fc 1024, ReLU, then the head; initialised like the MLP."""

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
            initialise(layer, 0.1)
        initialise(self.head, self.head_std)

    def forward(self, images: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, 1024)."""
        # Pooling first halves the work of ReLU twice; max and ReLU commute.
        x = F.relu(F.max_pool2d(self.conv1(images), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        return F.relu(self.dense(x.flatten(1)))


MODELS: dict[str, Callable[..., nn.Module]] = {"mlp": Mlp, "cnn": Cnn, "resnet8": resnet8, "resnet18": resnet18}


def build_model(name: str, image_shape: tuple[int, int, int], num_labels: int, width: int | None = None) -> nn.Module:
    """Return a net by name; ``width`` None: the published one. Raises ConfigError for an unknown name."""
    if name not in MODELS:
        raise ConfigError("model", " or ".join(MODELS), repr(name))
    return MODELS[name](image_shape, num_labels, **({} if width is None else {"width": width}))


def initialise(module: nn.Module, std: float) -> None:
    """Draw weights from a normal distribution cut at two deviations; biases 0 (the published initialisation)."""
    for layer in module.modules():
        if isinstance(layer, nn.Linear | nn.Conv2d):
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
