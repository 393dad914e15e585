"""Refusing models that the memory of this machine cannot hold, before they are built."""

from collections.abc import Callable

import torch
from torch import nn

from labelemb.errors import ConfigError, LabelembError
from labelemb.memory import check_memory

COPIES = 4  # weights, gradients and the two moments of Adam


def check_model_size(argument: str, make: Callable[[], nn.Module]) -> None:
    """Raise ConfigError when training a model needs more memory than this machine has.

    Args:
        argument: Option that decides the size.
        make: Builds the model; it is called with tensors that take no memory.
    """
    try:
        with torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = make()
    except LabelembError:
        raise
    except (RuntimeError, OverflowError, TypeError, ValueError) as error:  # more elements than a tensor can have
        raise ConfigError(argument, "a model that memory can hold", f"one that is too large ({error})") from error
    count = sum(parameter.numel() for parameter in model.parameters())
    size = COPIES * sum(parameter.numel() * parameter.element_size() for parameter in model.parameters())
    check_memory(argument, f"training of a model with {count:,} parameters", size)
