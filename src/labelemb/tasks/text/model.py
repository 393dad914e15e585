"""A text classifier: an encoder and one linear head."""

from torch import Tensor, nn

from labelemb.tasks.classification.pretrained import HEAD_STD, pretrained_source
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.encode import Tokenizer
from labelemb.tasks.text.ngrams import NgramEncoder, NgramTokenizer
from labelemb.tasks.text.pretrained import PretrainedEncoder, PretrainedTokenizer


class TextClassifier(nn.Module):
    """Encoder, dropout and linear head.

    Args:
        encoder: Maps ids and mask ``(N, T)`` to a hidden state ``(N, D)``.
        num_labels: V.
        dropout: Dropout probability of the hidden state.
    """

    def __init__(self, encoder: NgramEncoder | PretrainedEncoder, num_labels: int, dropout: float) -> None:
        super().__init__()
        self.encoder = encoder
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(encoder.hidden_size, num_labels)
        nn.init.normal_(self.head.weight, std=HEAD_STD)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids: Tensor, mask: Tensor) -> Tensor:
        """Return the hidden state in front of ``head``, ``(N, D)``."""
        hidden: Tensor = self.dropout(self.encoder(ids, mask))
        return hidden


def build_tokenizer(config: TextConfig) -> Tokenizer:
    """Return the tokenizer of a config.

    Raises:
        DataError: If the model has none that can be used.
    """
    return PretrainedTokenizer(pretrained_source(config.model)) if config.is_pretrained else NgramTokenizer()


def build_model(config: TextConfig, num_labels: int, saved: str | None = None) -> TextClassifier:
    """Return the model of a config.

    Args:
        config: Configuration of the run.
        num_labels: V.
        saved: Folder with the encoder's configuration, to build it with random weights; None: load pretrained weights.

    Raises:
        ConfigError: If the options do not fit the encoder.
        DataError: If the pretrained model cannot be loaded.
    """
    if not config.is_pretrained:
        return TextClassifier(NgramEncoder(config.hidden_size, config.dropout), num_labels, config.dropout)
    if saved is not None:
        return TextClassifier(
            PretrainedEncoder.from_config(saved, config.pooling, config.max_length), num_labels, config.dropout
        )
    encoder = PretrainedEncoder.load(pretrained_source(config.model), config.pooling, config.max_length)
    if config.frozen_layers:
        encoder.freeze(config.frozen_layers)
    if config.gradient_checkpointing:
        encoder.enable_gradient_checkpointing()
    return TextClassifier(encoder, num_labels, config.dropout)
