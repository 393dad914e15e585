"""How the processes of a run share model, loss and optimizer: replicas (DDP), or split by ``fully_shard`` (FSDP2)."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim import Optimizer

from labelemb.errors import ConfigError
from labelemb.losses.base import Loss
from labelemb.terms.output import LossOutput
from labelemb.terms.shard import is_dtensor
from labelemb.training.optimizers import OptimizerSettings, build_optimizer
from labelemb.training.task import Batch

Sharding = Literal["none", "fsdp"]


class Parallel(ABC):
    """Model, loss and optimizer of a run, on one of its processes.

    Attributes:
        model: The model without wrapper.
        loss: The loss without wrapper.
        optimizer: One optimizer of both.
    """

    model: Any
    loss: Any
    optimizer: Optimizer

    @abstractmethod
    def compute(self, batch: Batch, num_items_in_batch: Tensor | None) -> LossOutput:
        """Return the loss of a micro-batch."""

    @abstractmethod
    def no_sync(self) -> contextlib.AbstractContextManager[None]:
        """Return a context without exchange of gradients, for all micro-batches of a step but the last."""

    @abstractmethod
    def clip(self, max_norm: float) -> None:
        """Clip the norm of all gradients together."""

    @abstractmethod
    def full_parameters(self) -> contextlib.AbstractContextManager[None]:
        """Return a context in which each process has all weights, to evaluate and to write artifacts."""

    def states(self) -> dict[str, Any]:
        """Return the state of model, loss and optimizer as one process would have it; call it on every process."""
        modules = {"model": self.model.state_dict(), "loss": self.loss.state_dict()}
        return {**modules, "optimizer": self.optimizer.state_dict()}

    def _clip(self, clip: Any, max_norm: float) -> None:
        clip([p for group in self.optimizer.param_groups for p in group["params"]], max_norm)


class Replicas(Parallel):
    """Each process has all weights; gradients are averaged (DistributedDataParallel). Also for one process."""

    def __init__(self, model: nn.Module, loss: Loss, settings: OptimizerSettings, accelerator: Accelerator) -> None:
        optimizer = build_optimizer(model, loss, settings)
        self._wrapped: list[Any] = list(accelerator.prepare(model, optimizer))
        self.optimizer = self._wrapped.pop()
        trains = any(parameter.requires_grad for parameter in loss.parameters())
        self._wrapped.append(accelerator.prepare(loss) if trains else loss)  # DDP refuses one without parameters
        self.model, self.loss = (accelerator.unwrap_model(module) for module in self._wrapped)
        self._accelerator = accelerator

    def compute(self, batch: Batch, num_items_in_batch: Tensor | None) -> LossOutput:
        """Return the loss of a micro-batch."""
        model, loss = self._wrapped
        return _compute(model, self.model.head, loss, batch, num_items_in_batch)

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Do not all-reduce gradients inside the block."""
        with contextlib.ExitStack() as stack:
            for module in self._wrapped:
                stack.enter_context(self._accelerator.no_sync(module))
            yield

    def clip(self, max_norm: float) -> None:
        """Clip the norm of all gradients together."""
        self._clip(self._accelerator.clip_grad_norm_, max_norm)

    def full_parameters(self) -> contextlib.AbstractContextManager[None]:
        """Change nothing."""
        return contextlib.nullcontext()


class FullyShardedStep(nn.Module):
    """Model and loss as one module, whose forward all-gathers the weights of both: the loss reads those of the head."""

    def __init__(self, model: nn.Module, loss: nn.Module) -> None:
        super().__init__()
        self.model, self.loss = model, loss

    def forward(self, batch: Batch, num_items_in_batch: Tensor | None) -> dict[str, Any]:
        """Return the output of the loss, and its scalar where ``fully_shard`` looks for tensors."""
        output = _compute(self.model, self.model.head, self.loss, batch, num_items_in_batch)
        return {"loss": output.loss, "output": output}


class FullySharded(Parallel):
    """Weights, gradients and optimizer state are split over the processes between forward passes (``fully_shard``).

    Model and loss form one group. Parameters that are not trained, such as a running mean, stay whole.
    """

    def __init__(self, model: nn.Module, loss: Loss, settings: OptimizerSettings, accelerator: Accelerator) -> None:
        from torch.distributed.device_mesh import init_device_mesh
        from torch.distributed.fsdp import fully_shard

        self.model, self.loss = model, loss
        root = FullyShardedStep(model, loss)
        mesh = init_device_mesh(accelerator.device.type, (accelerator.num_processes,))
        untrained = {parameter for parameter in root.parameters() if not parameter.requires_grad}
        self._root: Any = fully_shard(root, mesh=mesh, ignored_params=untrained)
        assert all(is_dtensor(p) for p in root.parameters() if p.requires_grad), "fully_shard left a parameter whole"
        self.optimizer = build_optimizer(model, loss, settings)

    def compute(self, batch: Batch, num_items_in_batch: Tensor | None) -> LossOutput:
        """Return the loss of a micro-batch."""
        output: LossOutput = self._root(batch, num_items_in_batch)["output"]
        return output

    @contextlib.contextmanager
    def no_sync(self) -> Iterator[None]:
        """Do not reduce-scatter gradients inside the block."""
        self._root.set_requires_gradient_sync(False)
        try:
            yield
        finally:
            self._root.set_requires_gradient_sync(True)

    def clip(self, max_norm: float) -> None:
        """Clip the norm of all gradients together."""
        self._clip(torch.nn.utils.clip_grad_norm_, max_norm)

    @contextlib.contextmanager
    def full_parameters(self) -> Iterator[None]:
        """All-gather the weights for the block."""
        self._root.unshard()
        try:
            yield
        finally:
            self._root.reshard()

    def states(self) -> dict[str, Any]:
        """Gather the state of model, loss and optimizer."""
        found: dict[str, Any] = _gathered(super().states())
        return found


def check_sharding(sharding: Sharding, processes: int) -> None:
    """Refuse to split weights over one process.

    Raises:
        ConfigError: Says how to start several.
    """
    if sharding == "fsdp" and processes == 1:
        hint = "Start several: torchrun --nproc_per_node 2 -m labelemb train ..."
        raise ConfigError("sharding", "none with one process", repr(sharding), hint)


def make_parallel(
    sharding: Sharding, model: nn.Module, loss: Loss, settings: OptimizerSettings, accelerator: Accelerator
) -> Parallel:
    """Return model and loss with a new optimizer, replicated or split over the processes as ``sharding`` says."""
    kind = FullySharded if sharding == "fsdp" else Replicas
    return kind(model, loss, settings, accelerator)


def _compute(model: Any, head: Any, loss: Any, batch: Batch, num_items_in_batch: Tensor | None) -> LossOutput:
    hidden = model(*batch.inputs)
    output: LossOutput = loss(hidden, head, batch.targets, num_items_in_batch=num_items_in_batch, index=batch.index)
    return output


def _gathered(value: Any) -> Any:
    """Return nested containers with each ``DTensor`` as a whole tensor."""
    if isinstance(value, dict):
        return {key: _gathered(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_gathered(one) for one in value]
    return value.full_tensor() if is_dtensor(value) else value
