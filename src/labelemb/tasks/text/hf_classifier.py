"""A text classifier for transformers: an encoder, pooling over its tokens and one linear classifier.

``labelemb export --to hf`` copies this file beside the weights; it needs torch and transformers only.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput


class PooledClassifierConfig(PretrainedConfig):  # type: ignore[misc]
    """Configuration of ``PooledClassifier``.

    Args:
        encoder: Configuration of the encoder, as a dictionary.
        pooling: ``mean`` over the tokens, ``cls`` (first token) or ``pooler`` (the encoder's own).
        dropout: Dropout probability in front of the classifier.
        **kwargs: Arguments of ``PretrainedConfig``, such as ``id2label``.
    """

    model_type = "labelemb_pooled_classifier"

    def __init__(
        self, encoder: dict[str, Any] | None = None, pooling: str = "mean", dropout: float = 0.1, **kwargs: Any
    ) -> None:
        self.encoder, self.pooling, self.dropout = encoder or {}, pooling, dropout
        super().__init__(**kwargs)


class PooledClassifier(PreTrainedModel):  # type: ignore[misc]
    """Encoder, pooling, dropout and classifier.

    Args:
        config: The configuration; the encoder is built with random weights.
    """

    config_class = PooledClassifierConfig
    base_model_prefix = "encoder"

    def __init__(self, config: PooledClassifierConfig) -> None:
        super().__init__(config)
        values = dict(config.encoder)
        self.encoder = AutoModel.from_config(AutoConfig.for_model(values.pop("model_type"), **values))
        if config.pooling != "pooler" and isinstance(getattr(self.encoder, "pooler", None), nn.Module):
            self.encoder.pooler = None
        self.dropout = nn.Dropout(config.dropout)
        self.classifier = nn.Linear(self.encoder.config.hidden_size, config.num_labels)
        self.post_init()

    def forward(
        self, input_ids: Tensor, attention_mask: Tensor | None = None, labels: Tensor | None = None, **kwargs: Any
    ) -> SequenceClassifierOutput:
        """Return logits ``(N, V)`` of token ids ``(N, T)`` and, with labels ``(N,)``, the cross entropy."""
        mask = torch.ones_like(input_ids) if attention_mask is None else attention_mask
        output = self.encoder(input_ids=input_ids, attention_mask=mask)
        if self.config.pooling == "pooler":
            pooled = output.pooler_output
        elif self.config.pooling == "cls":
            pooled = output.last_hidden_state[:, 0]
        else:
            weights = mask.to(output.last_hidden_state.dtype)[:, :, None]
            pooled = (output.last_hidden_state * weights).sum(1) / weights.sum(1).clamp(min=1)
        logits = self.classifier(self.dropout(pooled))
        loss = None if labels is None else F.cross_entropy(logits.float(), labels)
        return SequenceClassifierOutput(loss=loss, logits=logits)
