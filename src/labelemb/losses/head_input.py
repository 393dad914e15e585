"""capture_head_input: the hidden state in front of the classifier of a model that returns logits."""

from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from labelemb.errors import DataError


class capture_head_input:  # noqa: N801 - used like a function
    """Record what enters the classifier while the block runs; the model and its output stay as they are.

    Works with any model that ends in a linear layer: ``model.fc`` (torchvision), ``model.get_classifier()`` (timm),
    ``model.classifier`` (transformers). Gradients flow through ``hidden`` into the model. One forward pass per block.

    Args:
        head: The model's classifier.

    Example:
        >>> model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
        >>> with capture_head_input(model[2]) as captured:
        ...     logits = model(torch.zeros(5, 3))
        >>> captured.hidden.shape
        torch.Size([5, 4])
    """

    def __init__(self, head: nn.Module) -> None:
        if not isinstance(head, nn.Module):
            raise DataError("head", "the model's classifier, such as model.fc", type(head).__name__)
        self._head = head
        self._hidden: Tensor | None = None
        self._problem: DataError | None = None

    @property
    def hidden(self) -> Tensor:
        """The tensor that entered the head, shape ``(..., D)``.

        Raises:
            DataError: Where no forward pass went through the head, more than one, one without gradients in training
                mode, or one of a part of the batch (``nn.DataParallel``).
        """
        if self._problem is not None:
            raise self._problem
        if self._hidden is None:
            hint = "A compiled model must make its first call inside the block, or be compiled after it"
            raise DataError("capture_head_input", "a forward pass through the head inside the block", "none", hint)
        if self._no_grad and self._head.training and torch.is_grad_enabled():
            hint = "Run the model outside torch.no_grad(), or call eval()"
            raise DataError("capture_head_input", "a forward pass with gradients", "one under torch.no_grad()", hint)
        return self._hidden

    def __enter__(self) -> Self:
        self._hidden = self._problem = None
        self._handle = self._head.register_forward_pre_hook(self._record, with_kwargs=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._handle.remove()

    def _record(self, head: nn.Module, arguments: tuple[Any, ...], keywords: dict[str, Any]) -> None:
        # Errors are raised where ``hidden`` is read: raising here would break the model, and compiled ones.
        name = "capture_head_input"
        if head is not self._head:  # nn.DataParallel runs copies of the model, each on a part of the batch
            hint = "Use DistributedDataParallel"
            self._problem = DataError(name, "one forward pass of the whole batch", "parts of it (DataParallel)", hint)
        elif self._hidden is not None:
            hint = "Use a block for each forward pass"
            self._problem = DataError(name, "one forward pass through the head inside the block", "several", hint)
        self._hidden = arguments[0] if arguments else keywords["input"]
        self._no_grad = not torch.is_grad_enabled()
