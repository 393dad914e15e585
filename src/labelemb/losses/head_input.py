"""capture_head_input: the hidden state in front of the classifier of a model that returns logits."""

from types import TracebackType
from typing import Any, Self

from torch import Tensor, nn

from labelemb.errors import DataError


class capture_head_input:
    """Record what enters ``head`` while the block runs; the model and its output stay as they are.

    >>> import torch
    >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    >>> with capture_head_input(model[2]) as captured:
    ...     logits = model(torch.zeros(5, 3))
    >>> captured.hidden.shape
    torch.Size([5, 4])

    Works with any model that ends in a Linear layer: ``model.fc`` (torchvision), ``model.get_classifier()`` (timm),
    ``model.classifier`` (transformers). The gradient flows through ``hidden`` into the model.
    """

    def __init__(self, head: nn.Module) -> None:
        self._head = head
        self._value: Tensor | None = None

    @property
    def hidden(self) -> Tensor:
        """Return the last tensor that entered the head, (..., D). Raises DataError when none has."""
        if self._value is None:
            hint = "A compiled model must make its first call inside the block, or be compiled after it"
            raise DataError("capture_head_input", "a forward pass through the head inside the block", "none", hint)
        return self._value

    def __enter__(self) -> Self:
        self._handle = self._head.register_forward_pre_hook(self._record, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.remove()

    def _record(self, head: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        self._value = arguments[0] if arguments else keywords["input"]
