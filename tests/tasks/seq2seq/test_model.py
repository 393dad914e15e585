"""Laws that both models keep, and what each has of its own."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from labelemb import CompressedLabelEmbedding, LabelEmbeddingLoss, Objective
from labelemb.errors import ConfigError
from labelemb.tasks.seq2seq.attention import GlobalAttention, QueryActivation
from labelemb.tasks.seq2seq.model import EncoderDecoder, LSTMSeq2Seq, ModelDims, VocabSizes
from labelemb.tasks.seq2seq.transformer import TransformerSeq2Seq, positions
from labelemb.tasks.seq2seq.vocab import BOS, PAD

V = 11
LENGTHS = torch.tensor([3, 5, 1])
Kind = Callable[..., EncoderDecoder]
each_kind = pytest.mark.parametrize("kind", [LSTMSeq2Seq, TransformerSeq2Seq])


def make_model(kind: Kind = LSTMSeq2Seq, shared: bool = False, **sizes: Any) -> EncoderDecoder:
    torch.manual_seed(0)
    return kind(VocabSizes(V, V, shared), ModelDims(6, 8, **{"layers": 2, "dropout": 0.0, **sizes})).double()


def make_source(extra: int = 0) -> Tensor:
    torch.manual_seed(1)
    source = torch.randint(4, V, (3, 5))
    source[torch.arange(5) >= LENGTHS[:, None]] = PAD
    return nn.functional.pad(source, (0, extra), value=PAD)


def make_target() -> Tensor:
    torch.manual_seed(2)
    return torch.cat([torch.full((3, 1), BOS), torch.randint(4, V, (3, 6))], dim=1)


def test_attention_equals_the_formula() -> None:
    torch.manual_seed(0)
    attention = GlobalAttention(4, "tanh").double()
    hidden, memory = torch.randn(1, 1, 4).double(), torch.randn(1, 3, 4).double()
    output, weights = attention(hidden, memory, torch.tensor([[True, True, False]]))
    h, m = hidden[0, 0], memory[0, :2]
    expected_weights = torch.softmax(m @ torch.tanh(attention.query.weight @ h), dim=0)
    context = expected_weights @ m
    expected = torch.tanh(attention.output.weight @ torch.cat([context, h]))
    torch.testing.assert_close(weights[0, 0], torch.cat([expected_weights, torch.zeros(1).double()]))
    torch.testing.assert_close(output[0, 0], expected)


@pytest.mark.parametrize("activation", ["none", "tanh"])
def test_precomputed_attention_equals_attention(activation: QueryActivation) -> None:
    torch.manual_seed(0)
    attention = GlobalAttention(4, activation).double()
    hidden, memory = torch.randn(2, 3, 4).double(), torch.randn(2, 5, 4).double()
    mask = torch.arange(5) < torch.tensor([[5], [2]])
    found = attention.forward_precomputed(hidden, *attention.precompute(memory), mask)
    for one, other in zip(found, attention(hidden, memory, mask), strict=True):
        torch.testing.assert_close(one, other)


@each_kind
def test_padding_does_not_change_the_output(kind: Kind) -> None:
    model = make_model(kind)
    alone = [
        model(make_source()[row : row + 1, :n], n[None], make_target()[row : row + 1]) for row, n in enumerate(LENGTHS)
    ]
    for extra in (0, 4):
        torch.testing.assert_close(model(make_source(extra), LENGTHS, make_target()), torch.cat(alone))


@each_kind
def test_no_gradient_at_padding(kind: Kind) -> None:
    model = make_model(kind)
    source = make_source()
    filled = torch.where(source == PAD, 5, source)
    torch.testing.assert_close(model(source, LENGTHS, make_target()), model(filled, LENGTHS, make_target()))


@each_kind
@torch.no_grad()
def test_step_by_step_decoding_equals_the_whole_sequence(kind: Kind) -> None:
    """One beginning a sentence becomes two, that trade positions and lose a neighbor on the way."""
    model = make_model(kind, dropout=0.5).eval()
    one, other = make_target(), make_target().flip(0)
    one[:, 0] = other[:, 0] = BOS
    targets = torch.stack([one, other], dim=1)  # (B, K, T)
    decoding = model.start(make_source(), LENGTHS)
    sentences, beginnings = torch.arange(3), torch.zeros(3, 1, dtype=torch.int64)  # what stands where
    for step in range(targets.shape[2]):
        hidden, attention = decoding.step(targets[sentences[:, None], beginnings, step])
        for place, sentence in enumerate(sentences.tolist()):
            n = int(LENGTHS[sentence])
            for k, beginning in enumerate(beginnings[place].tolist()):
                written = targets[sentence, beginning, : step + 1]
                alone = (make_source()[sentence : sentence + 1, :n], LENGTHS[sentence : sentence + 1])
                torch.testing.assert_close(hidden[place, k], model(*alone, written[None])[0, -1])
                expected = whole_attention(model, *alone, written[None])[0, -1]
                torch.testing.assert_close(attention[place, k, :n], expected)
                assert not attention[place, k, n:].any()
        if step == 0:  # both begin alike
            decoding.reorder(torch.zeros(3, 2, dtype=torch.int64))
            beginnings = torch.tensor([[0, 1]] * 3)
        if step == 1:
            decoding.reorder(torch.tensor([[1, 0], [0, 1], [1, 0]]))
            beginnings = torch.tensor([[1, 0], [0, 1], [1, 0]])
        if step == 3:
            decoding.keep(torch.tensor([True, False, True]))
            sentences, beginnings = sentences[[0, 2]], beginnings[[0, 2]]


def whole_attention(model: EncoderDecoder, source: Tensor, lengths: Tensor, target: Tensor) -> Tensor:
    """Return the attention (B, T, S) that the forward pass over a whole output computes on its way."""
    found: list[Tensor] = []
    if isinstance(model, LSTMSeq2Seq):
        handle = model.attention.register_forward_hook(lambda module, inputs, output: found.append(output[1]))
    else:
        attention = model.decoder[-1].multihead_attn  # type: ignore[index, union-attr, operator]

        def ask_again(module: nn.Module, inputs: tuple[Tensor, ...], options: dict[str, object]) -> None:
            if not options["need_weights"]:
                attention(*inputs, **options | {"need_weights": True})

        handle = attention.register_forward_pre_hook(ask_again, with_kwargs=True)
        kept = attention.register_forward_hook(
            lambda module, inputs, output: found.append(output[1]) if output[1] is not None else None
        )
    model(source, lengths, target)
    handle.remove()
    if not isinstance(model, LSTMSeq2Seq):
        kept.remove()
    return found[0]


@each_kind
def test_decoder_is_causal(kind: Kind) -> None:
    model, target = make_model(kind), make_target()
    changed = target.clone()
    changed[:, 4] = (changed[:, 4] - 3) % 7 + 4
    one, other = (model(make_source(), LENGTHS, tokens) for tokens in (target, changed))
    torch.testing.assert_close(one[:, :4], other[:, :4])
    assert not torch.allclose(one[:, 4], other[:, 4])


def test_lstm_applies_dropout_to_the_attention_output() -> None:
    model = make_model(layers=1, dropout=0.5)
    hidden = model(make_source(), LENGTHS, make_target())
    assert 0.2 < (hidden == 0).double().mean() < 0.8


@each_kind
def test_no_dropout_in_eval_mode(kind: Kind) -> None:
    model, inputs = make_model(kind, dropout=0.5), (make_source(), LENGTHS, make_target())
    one, other = (model(*inputs) for _ in range(2))
    assert not torch.allclose(one, other)
    model.eval()
    one, other = (model(*inputs) for _ in range(2))
    torch.testing.assert_close(one, other)


@each_kind
def test_shared_embedding(kind: Kind) -> None:
    model = make_model(kind, shared=True)
    assert model.source_embedding is model.target_embedding
    assert sum(p.numel() for p in make_model(kind).parameters()) - sum(p.numel() for p in model.parameters()) == V * 6
    with pytest.raises(ConfigError, match="shared: expected one vocabulary for both sides, got 5 and 6 words"):
        VocabSizes(5, 6, shared=True)


@each_kind
def test_empty_batch_gives_gradients(kind: Kind) -> None:
    model = make_model(kind)
    nothing = torch.zeros(0, 0, dtype=torch.int64)
    hidden = model(nothing, nothing.sum(1), torch.zeros(0, 1, dtype=torch.int64))
    assert hidden.shape == (0, 1, 8)
    model.head(hidden).sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters()), "all take part, none moves"


def test_transformer_layers_have_different_initial_weights() -> None:
    model = make_model(TransformerSeq2Seq)
    for stack in (model.encoder, model.decoder):
        first, second = (dict(layer.named_parameters()) for layer in stack)  # type: ignore[union-attr]
        assert not torch.equal(first["linear1.weight"], second["linear1.weight"])


def test_sinusoidal_positions() -> None:
    code = positions(2, 2, torch.zeros(1, 4, dtype=torch.float64))
    angles = torch.tensor([[2.0, 2.0, 0.02, 0.02], [3.0, 3.0, 0.03, 0.03]], dtype=torch.float64)
    sine = torch.tensor([True, False, True, False])
    torch.testing.assert_close(code, torch.where(sine, angles.sin(), angles.cos()), atol=1e-6, rtol=0)
    assert positions(0, 3, torch.zeros(1, 5)).shape == (3, 5)


def test_invalid_dimensions_are_refused() -> None:
    with pytest.raises(ConfigError, match="hidden_size: .* got 0; layers: .* got 0; dropout: .* got 1"):
        ModelDims(hidden_size=0, layers=0, dropout=1)


def test_invalid_model_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"heads: expected a divisor of hidden_size \(8\), got 3"):
        TransformerSeq2Seq(VocabSizes(5, 5), ModelDims(6, 8), heads=3)
    with pytest.raises(ConfigError, match="query_activation: expected none or tanh, got 'relu'"):
        LSTMSeq2Seq(VocabSizes(5, 5), ModelDims(), "relu")  # type: ignore[arg-type]


@each_kind
@pytest.mark.parametrize("impl", ["eager", "chunked"])
def test_training_with_label_embedding_reduces_the_loss(impl: str, kind: Kind) -> None:
    """Copying three words, a few steps: padding in the targets, every term on."""
    torch.manual_seed(0)
    model = kind(VocabSizes(V, V), ModelDims(16, 16, layers=1, dropout=0.0))
    embedding = CompressedLabelEmbedding(V, 8)
    objective = Objective(mix="sum", cap="absolute", reduction="token")
    loss = LabelEmbeddingLoss(16, V, embedding, objective, ignore_index=PAD, impl=impl)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=0.02)
    source = torch.randint(4, V, (32, 3))
    target = torch.cat([torch.full((32, 1), BOS), source], dim=1)
    target[::2, 3] = PAD
    history = []
    for _ in range(60):
        output = loss(model(source, torch.full((32,), 3), target[:, :-1]), model.head, target[:, 1:])
        optimizer.zero_grad()
        output.loss.backward()
        optimizer.step()
        history.append(int(output.correct) / int(output.count))
    assert int(output.count) == 32 * 3 - 16
    assert history[-1] > 0.9
