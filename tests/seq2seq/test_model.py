import pytest
import torch
from torch import Tensor, nn

from labelemb import CompressedLabelEmbedding, LabelEmbeddingLoss, Objective
from labelemb.errors import ConfigError
from labelemb.seq2seq.attention import GlobalAttention
from labelemb.seq2seq.model import LSTMSeq2Seq
from labelemb.seq2seq.vocab import BEGIN, PAD

V = 11
LENGTHS = torch.tensor([3, 5, 1])


def make_model(**options: object) -> LSTMSeq2Seq:
    torch.manual_seed(0)
    return LSTMSeq2Seq(V, V, 6, 8, **{"layers": 2, "dropout": 0.0, **options}).double()  # type: ignore[arg-type]


def make_source(extra: int = 0) -> Tensor:
    torch.manual_seed(1)
    source = torch.randint(4, V, (3, 5))
    source[torch.arange(5) >= LENGTHS[:, None]] = PAD
    return nn.functional.pad(source, (0, extra), value=PAD)


def make_target() -> Tensor:
    torch.manual_seed(2)
    return torch.cat([torch.full((3, 1), BEGIN), torch.randint(4, V, (3, 6))], dim=1)


def test_attention_is_the_formula() -> None:
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


def test_padding_changes_nothing() -> None:
    model = make_model()
    alone = [
        model(make_source()[row : row + 1, :n], n[None], make_target()[row : row + 1]) for row, n in enumerate(LENGTHS)
    ]
    for extra in (0, 4):
        torch.testing.assert_close(model(make_source(extra), LENGTHS, make_target()), torch.cat(alone))


def test_what_stands_in_the_padding_gets_no_gradient_and_gives_none() -> None:
    model = make_model()
    source = make_source()
    filled = torch.where(source == PAD, 5, source)
    torch.testing.assert_close(model(source, LENGTHS, make_target()), model(filled, LENGTHS, make_target()))


def test_step_by_step_is_the_whole_sequence() -> None:
    model = make_model(query_activation="tanh")
    memory, state = model.encode(make_source(), LENGTHS)
    target = make_target()
    whole, _, attention = model.decode(target, state, memory)
    for step in range(target.shape[1]):
        hidden, state, weights = model.decode(target[:, step : step + 1], state, memory)
        torch.testing.assert_close(hidden[:, 0], whole[:, step])
        torch.testing.assert_close(weights[:, 0], attention[:, step])


def test_a_later_target_token_changes_nothing_before_it() -> None:
    model, target = make_model(), make_target()
    changed = target.clone()
    changed[:, 4] = (changed[:, 4] - 3) % 7 + 4
    one, other = (model(make_source(), LENGTHS, tokens) for tokens in (target, changed))
    torch.testing.assert_close(one[:, :4], other[:, :4])
    assert not torch.allclose(one[:, 4], other[:, 4])


def test_dropout_acts_on_what_attention_gives() -> None:
    model = make_model(layers=1, dropout=0.5)
    hidden = model(make_source(), LENGTHS, make_target())
    assert 0.2 < (hidden == 0).double().mean() < 0.8
    model.eval()
    assert not (model(make_source(), LENGTHS, make_target()) == 0).any()


def test_shared_embedding() -> None:
    model = make_model(shared_embedding=True)
    assert model.source_embedding is model.target_embedding
    assert sum(p.numel() for p in make_model().parameters()) - sum(p.numel() for p in model.parameters()) == V * 6
    with pytest.raises(
        ConfigError, match="shared_embedding: expected one vocabulary for both sides, got 5 and 6 words"
    ):
        LSTMSeq2Seq(5, 6, shared_embedding=True)


def test_an_empty_share() -> None:
    model = make_model()
    nothing = torch.zeros(0, 0, dtype=torch.int64)
    hidden = model(nothing, nothing.sum(1), torch.zeros(0, 1, dtype=torch.int64))
    assert hidden.shape == (0, 1, 8)
    model.head(hidden).sum().backward()
    assert all(p.grad is not None and not p.grad.any() for p in model.parameters()), "all take part, none moves"


def test_choices() -> None:
    with pytest.raises(ConfigError, match="hidden_size: .* got 0; layers: .* got 0; dropout: .* got 1"):
        LSTMSeq2Seq(5, 5, hidden_size=0, layers=0, dropout=1)
    with pytest.raises(ConfigError, match="query_activation: expected none or tanh, got 'relu'"):
        LSTMSeq2Seq(5, 5, query_activation="relu")  # type: ignore[arg-type]


@pytest.mark.parametrize("impl", ["eager", "chunked"])
def test_it_learns_under_the_label_embedding_loss(impl: str) -> None:
    """Copying three words, a few steps: padding in the targets, every term on."""
    torch.manual_seed(0)
    model = LSTMSeq2Seq(V, V, 16, 16, layers=1, dropout=0.0)
    embedding = CompressedLabelEmbedding(V, 8)
    objective = Objective(mix="sum", cap="absolute", reduction="token")
    loss = LabelEmbeddingLoss(16, V, embedding, objective, ignore_index=PAD, impl=impl)  # type: ignore[arg-type]
    optimizer = torch.optim.Adam([*model.parameters(), *loss.parameters()], lr=0.02)
    source = torch.randint(4, V, (32, 3))
    target = torch.cat([torch.full((32, 1), BEGIN), source], dim=1)
    target[::2, 3] = PAD
    history = []
    for _ in range(60):
        output = loss(model(source, torch.full((32,), 3), target[:, :-1]), model.head, target[:, 1:])
        optimizer.zero_grad()
        output.total.backward()
        optimizer.step()
        history.append(int(output.correct) / int(output.count))
    assert int(output.count) == 32 * 3 - 16
    assert history[-1] > 0.9
