"""LossModel: a model and its loss in one module, the form that every trainer can train, save and shard."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import ConfigError
from labelemb.losses.base import Loss
from labelemb.losses.cross_entropy import LinearCrossEntropyLoss
from labelemb.losses.head_search import bypassed, check_logits_unchanged, find_head, gather_parameters
from labelemb.terms.output import LossOutput
from labelemb.terms.reduction import upcast

Hidden = Callable[..., Tensor]


class LossModel(nn.Module):
    """A model and its loss as one module whose forward returns the loss.

    In training mode and with labels the model runs once, without its head: the loss applies the head itself. In
    evaluation mode the loss is plain cross entropy, so that it can be compared with that of any other model.

    A model whose parameters are bf16 or fp16 trains as it is: the loss keeps its own in fp32 and runs under autocast.

    The model is called with everything but the labels, by keyword (transformers) or by position: ``forward(images,
    labels=labels)``. Causal language models predict the next token: their labels are shifted by one here.

    Args:
        model: Any model that ends in a linear classifier. transformers: with a classification or language-model head.
        loss: A loss of this library.
        head: The classifier, or its dotted name; None: found by itself (``find_head``).
        hidden: Function ``hidden(model, *args, **kwargs)`` that returns the head's input, shape ``(..., D)``, for
            example ``lambda model, x: model.forward_head(model.forward_features(x), pre_logits=True)`` (timm). None:
            the model runs with its head replaced by the identity.
        shift_labels: Whether row t predicts label t + 1. None: for causal language models of transformers.

    Attributes:
        model: The model.
        loss: The loss.
        last_output: The ``LossOutput`` of the last training forward pass, for logging; None before.

    Raises:
        ConfigError: Where no head is found, or the model changes its logits after the head.

    Example:
        >>> from labelemb import LabelEmbeddingLoss
        >>> net = nn.Sequential(nn.Linear(20, 8), nn.ReLU(), nn.Linear(8, 3))
        >>> model = LossModel(net, LabelEmbeddingLoss(8, 3))
        >>> optimizer = torch.optim.Adam(model.parameters())
        >>> model.loss = model.loss.attach(optimizer)
        >>> model(torch.randn(5, 20), labels=torch.tensor([0, 1, 2, 0, 1]))["loss"].backward()
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Loss,
        *,
        head: nn.Module | str | None = None,
        hidden: Hidden | None = None,
        shift_labels: bool | None = None,
    ) -> None:
        super().__init__()
        if not isinstance(model, nn.Module):
            raise ConfigError("model", "an nn.Module", type(model).__name__)
        if not isinstance(loss, Loss):
            raise ConfigError("loss", "a loss of labelemb, such as LabelEmbeddingLoss(D, V)", type(loss).__name__)
        found = find_head(model, head, loss.num_labels if loss.shard is None else None)
        check_logits_unchanged(model)
        self.model, self.loss = model, loss
        self._head_name = next(name for name, module in model.named_modules() if module is found)
        self._hidden = hidden
        causal = getattr(model, "loss_type", None) == "ForCausalLM"
        self.shift_labels = causal if shift_labels is None else shift_labels
        self.last_output: LossOutput | None = None

    @property
    def head(self) -> nn.Module:
        """The model's classifier."""
        return self.model.get_submodule(self._head_name)

    def export(self) -> nn.Module:
        """Return the bare model, as it was given."""
        return self.model

    def forward(
        self,
        *args: Any,
        labels: Tensor | None = None,
        num_items_in_batch: Tensor | float | None = None,
        index: Tensor | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Run the model and compute its loss.

        Args:
            *args: What the model is called with.
            labels: int64, ``(N,)`` or ``(N, T)``; None: no loss, the model's own output.
            num_items_in_batch: Rows of the whole batch when this is a micro-batch, see ``Loss.forward``.
            index: Number of each row's training sample, for losses that remember samples.
            **kwargs: What the model is called with.

        Returns:
            "loss" (scalar, with labels), "logits" ``(..., V)`` (absent where the loss does not materialize them), and
            in evaluation mode all other outputs of the model.

        Raises:
            ConfigError: In training mode without labels.
            ShapeError, DataError: As the loss does.
        """
        if not self.training:
            if self.loss.is_sharded and labels is not None:
                return self._evaluate_shard(args, kwargs, labels)
            return self._evaluate(args, kwargs, labels)
        if labels is None:
            hint = "Call eval() to predict; check that the data collator keeps the labels"
            raise ConfigError("labels", "a tensor of class labels in training mode", None, hint)
        output = self._compute(self.loss, args, kwargs, labels, num_items_in_batch, index)
        if not torch.compiler.is_compiling():
            self.last_output = output
        found = {"loss": output.loss}
        return found if output.logits is None else found | {"logits": output.logits}

    def _compute(
        self,
        loss: Loss,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        labels: Tensor,
        num_items_in_batch: Tensor | float | None = None,
        index: Tensor | None = None,
    ) -> LossOutput:
        """Run the model without its head, then a loss on the hidden states."""
        hidden = self._hidden_states(args, kwargs, labels)
        if self.shift_labels:
            hidden, labels = hidden[..., :-1, :], labels[..., 1:]
        head = self.head
        gather_parameters(head)
        with _precision_of(hidden):
            output: LossOutput = loss(hidden, head, labels, num_items_in_batch=num_items_in_batch, index=index)
        return output

    def _hidden_states(self, args: tuple[Any, ...], kwargs: dict[str, Any], labels: Tensor) -> Tensor:
        if self._hidden is not None:
            return self._hidden(self.model, *args, **kwargs)
        with bypassed(self.head):
            return _logits_of(self.model(*args, **self._with_decoder_inputs(kwargs, labels)))

    def _with_decoder_inputs(self, kwargs: dict[str, Any], labels: Tensor) -> dict[str, Any]:
        """Encoder-decoder models make their decoder's input of the labels, which are kept from them here."""
        prepare = getattr(self.model, "prepare_decoder_input_ids_from_labels", None)
        if prepare is None or "decoder_input_ids" in kwargs or "decoder_inputs_embeds" in kwargs:
            return kwargs
        return kwargs | {"decoder_input_ids": prepare(labels=labels)}

    def _evaluate_shard(self, args: tuple[Any, ...], kwargs: dict[str, Any], labels: Tensor) -> dict[str, Any]:
        """Return plain cross entropy over the labels of all processes, and the logits of this one's."""
        group, shard = self.loss.process_group, self.loss.shard
        plain = LinearCrossEntropyLoss(self.loss.ignore_index, process_group=group, shard=shard, impl="eager").eval()
        output = self._compute(plain, args, kwargs, labels)
        return {"loss": output.loss, "logits": output.logits}

    def _evaluate(self, args: tuple[Any, ...], kwargs: dict[str, Any], labels: Tensor | None) -> dict[str, Any]:
        if labels is not None:
            kwargs = self._with_decoder_inputs(kwargs, labels)
        output = self.model(*args, **kwargs)
        found = dict(output.items()) if hasattr(output, "items") else {"logits": _logits_of(output)}
        if labels is None:
            return found
        logits = found["logits"]
        if self.shift_labels:
            logits, labels = logits[..., :-1, :], labels[..., 1:]
        flat = upcast(logits.reshape(-1, logits.shape[-1]))
        return {"loss": F.cross_entropy(flat, labels.reshape(-1), ignore_index=self.loss.ignore_index), **found}


def _precision_of(hidden: Tensor) -> AbstractContextManager[object]:
    """Return autocast for the loss of a model in half precision, whose loss keeps fp32 parameters."""
    kind = hidden.device.type
    if hidden.dtype not in (torch.bfloat16, torch.float16) or torch.is_autocast_enabled(kind):
        return nullcontext()
    return torch.autocast(kind, dtype=hidden.dtype)


def _logits_of(output: Any) -> Tensor:
    """Return the logits of what a model returned: a tensor, an output of transformers, a dict or a tuple.

    Raises:
        ConfigError: Where there are none.
    """
    found = output if isinstance(output, Tensor) else None
    if hasattr(output, "items"):
        found = output.get("logits", output.get("out"))
    elif isinstance(output, tuple | list) and output and isinstance(output[0], Tensor):
        found = output[0]
    if not isinstance(found, Tensor):
        hint = "Pass hidden=, a function of the model and its input that returns the head's input"
        raise ConfigError("model", "a model that returns logits", type(output).__name__, hint)
    return found
