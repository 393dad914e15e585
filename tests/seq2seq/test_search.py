"""Search against a plain reference that goes one sentence and one hypothesis at a time."""

import pytest
import torch
from torch import Tensor

from labelemb.errors import ConfigError
from labelemb.seq2seq.model import LSTMSeq2Seq, Memory
from labelemb.seq2seq.search import Hypothesis, SearchSettings, beam, greedy, replace_unknown, search
from labelemb.seq2seq.vocab import BEGIN, END, PAD, UNKNOWN, Vocabulary

V, B, S = 9, 12, 6
LENGTHS = torch.tensor([6, 1, 3, 2, 6, 5, 4, 1, 2, 3, 6, 4])


def make_model(seed: int = 0) -> LSTMSeq2Seq:
    """Random weights, large enough, and ends likely enough, for outputs of different lengths."""
    torch.manual_seed(seed)
    model = LSTMSeq2Seq(V, V, 5, 7, layers=2, dropout=0.3).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 6.0 if parameter is model.head.weight or parameter is model.head.bias else 3.0
        model.head.bias[END] += 2.0
    return model


def make_source() -> Tensor:
    torch.manual_seed(5)
    source = torch.randint(4, V, (B, S))
    source[torch.arange(S) >= LENGTHS[:, None]] = PAD
    return source


def reference(model: LSTMSeq2Seq, source: Tensor, settings: SearchSettings) -> Hypothesis:
    """Beam search for a single sentence (S,), one hypothesis at a time, the whole beginning decoded anew each time."""
    size, found = settings.beam_size, list[tuple[float, Hypothesis]]()
    memory, state = model.encode(source[None], torch.tensor([len(source)]))
    beginnings: list[tuple[float, list[int], list[int]]] = [(0.0, [], [])]
    for step in range(settings.max_length):
        candidates = []
        for score, tokens, attended in beginnings:
            hidden, _, weights = model.decode(torch.tensor([[BEGIN, *tokens]]), state, memory)
            logs = torch.log_softmax(model.head(hidden[0, -1]), dim=0).tolist()
            places = [*attended, int(weights[0, -1].argmax())]
            candidates += [
                (score + logs[word], [*tokens, word], places) for word in range(V) if word not in (PAD, BEGIN)
            ]
        candidates.sort(key=lambda candidate: -candidate[0])
        last = step + 1 == settings.max_length
        for score, tokens, attended in candidates[:size]:
            if tokens[-1] == END or last:
                cut = len(tokens) - (tokens[-1] == END)
                compared = score / len(tokens) ** settings.length_penalty
                found.append((compared, Hypothesis(tuple(tokens[:cut]), tuple(attended[:cut]), score)))
        beginnings = [candidate for candidate in candidates if candidate[1][-1] != END][:size]
        reach = beginnings[0][0] / settings.max_length**settings.length_penalty
        if candidates[0][1][-1] == END or (found and max(found, key=lambda entry: entry[0])[0] >= reach):
            break
    return max(found, key=lambda entry: entry[0])[1]


def assert_same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [(one.tokens, one.attended) for one in found] == [(one.tokens, one.attended) for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-9)


@torch.no_grad()
@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("size", [2, 5])
def test_beam_is_the_reference(size: int, penalty: float) -> None:
    settings = SearchSettings(size, max_length=7, length_penalty=penalty)
    for seed in (0, 6):
        model, source = make_model(seed), make_source()
        expected = [reference(model, row[:n], settings) for row, n in zip(source, LENGTHS.tolist(), strict=True)]
        assert_same(beam(model, source, LENGTHS, settings), expected)
        assert len({len(one.tokens) for one in expected}) > 1, "outputs of different lengths, or nothing is tested"


@torch.no_grad()
@pytest.mark.parametrize("penalty", [0.0, 1.0])
def test_a_beam_of_one_is_greedy(penalty: float) -> None:
    settings = SearchSettings(1, max_length=7, length_penalty=penalty)
    for seed in (0, 6):
        model, source = make_model(seed), make_source()
        found = greedy(model, source, LENGTHS, settings)
        assert_same(beam(model, source, LENGTHS, settings), found)
        assert_same(search(model, source, LENGTHS, settings), found)
        assert_same([reference(model, row[:n], settings) for row, n in zip(source, LENGTHS, strict=True)], found)


@pytest.mark.parametrize("size", [1, 3])
def test_batch_size_and_order_change_nothing(size: int) -> None:
    settings = SearchSettings(size, max_length=9)
    model, source = make_model(6), make_source()
    whole = search(model, source, LENGTHS, settings)
    for batch in (1, 5):
        pieces = zip(source.split(batch), LENGTHS.split(batch), strict=True)
        assert_same([one for piece in pieces for one in search(model, *piece, settings)], whole)
    order = torch.randperm(B)
    shuffled = search(model, source[order], LENGTHS[order], settings)
    assert_same(shuffled, [whole[row] for row in order.tolist()])
    padded = torch.nn.functional.pad(source, (0, 3), value=PAD)
    assert_same(search(model, padded, LENGTHS, settings), whole)


def test_bad_ends_beside_a_good_beginning_do_not_end_the_search() -> None:
    """A model that is sure of "7 7 7", while every other beginning ends at once."""
    model = make_model(6)
    step = torch.zeros(1, dtype=torch.int64)

    def sure(last: Tensor, state: object, memory: Memory) -> tuple[Tensor, object, Tensor]:
        good = (last[:, 0] == BEGIN) | (last[:, 0] == 7)
        word = torch.where(good & (step < 3), 7, END)
        hidden = torch.nn.functional.one_hot(word, V).double()[:, None]
        step.add_(1)
        return hidden, state, torch.ones(len(last), 1, 1)

    model.decode = sure  # type: ignore[method-assign, assignment]
    model.head = torch.nn.Linear(V, V).double()
    with torch.no_grad():
        model.head.weight.copy_(8 * torch.eye(V))
        model.head.bias.copy_(2.0 * (torch.arange(V) == END))
    found = search(model, torch.tensor([[5]]), torch.tensor([1]), SearchSettings(3, max_length=9))
    assert found[0].tokens == (7, 7, 7)


def test_a_wider_beam_finds_no_worse_where_nothing_is_cut() -> None:
    model, source = make_model(2), make_source()
    scores = [
        sum(one.score for one in search(model, source, LENGTHS, SearchSettings(size, max_length=4)))
        for size in (1, 400)
    ]
    assert scores[1] >= scores[0], "400 hold all beginnings of three words out of seven"


def test_never_padding_or_begin_and_never_too_long() -> None:
    for size in (1, 4):
        for one in search(make_model(3), make_source(), LENGTHS, SearchSettings(size, max_length=5)):
            assert not {PAD, BEGIN, END} & set(one.tokens)
            assert len(one.attended) == len(one.tokens) <= 5


def test_attention_stays_inside_the_sentence() -> None:
    found = search(make_model(4), make_source(), LENGTHS, SearchSettings(4, max_length=8))
    assert all(place < n for one, n in zip(found, LENGTHS.tolist(), strict=True) for place in one.attended)


def test_unknown_words_are_those_of_the_source() -> None:
    vocabulary = Vocabulary.of(["con", "mèo"])
    hypothesis = Hypothesis((4, UNKNOWN, 5, UNKNOWN), (0, 2, 1, 7), -1.0)
    assert replace_unknown(hypothesis, ["the", "cat", "Tom"], vocabulary) == ["con", "Tom", "mèo", "<unk>"]


def test_nothing_to_do_and_choices() -> None:
    nothing = torch.zeros(0, 0, dtype=torch.int64)
    assert search(make_model(), nothing, nothing.sum(1), SearchSettings()) == []
    with pytest.raises(ConfigError, match="beam_size: .* got 0; max_length: .* got 0; length_penalty: .* got -1"):
        SearchSettings(0, 0, -1)


@pytest.mark.parametrize("size", [1, 3])
def test_scores_are_summed_in_full_precision_under_autocast(size: int) -> None:
    model = make_model(6).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = search(model, make_source(), LENGTHS, SearchSettings(size, max_length=5))
    rounded = torch.tensor([one.score for one in found])
    assert not torch.equal(rounded, rounded.bfloat16().float())
