"""Search against a reference that processes one sentence and one hypothesis at a time."""

import math
from collections.abc import Callable

import hypothesis
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from labelemb.errors import ConfigError
from labelemb.tasks.seq2seq.hypothesis import Hypothesis, SearchSettings, replace_unknown
from labelemb.tasks.seq2seq.kernels import BLOCK
from labelemb.tasks.seq2seq.model import EncoderDecoder, LSTMSeq2Seq, ModelDims, VocabSizes
from labelemb.tasks.seq2seq.next_words import NextWords, best_continuations, most_likely
from labelemb.tasks.seq2seq.search import beam, greedy, search
from labelemb.tasks.seq2seq.transformer import TransformerSeq2Seq
from labelemb.tasks.seq2seq.vocab import BOS, EOS, PAD, UNK, Vocabulary

V, B, S = 9, 12, 6
LENGTHS = torch.tensor([6, 1, 3, 2, 6, 5, 4, 1, 2, 3, 6, 4])


# Seeds for which outputs have different lengths at all beam sizes.
SEEDS: dict[type[EncoderDecoder], int] = {LSTMSeq2Seq: 3, TransformerSeq2Seq: 7}
each_kind = pytest.mark.parametrize("kind", SEEDS)


def make_model(kind: type[EncoderDecoder] = LSTMSeq2Seq) -> EncoderDecoder:
    """Return a random model whose outputs have different lengths: large weights and a raised logit of EOS."""
    torch.manual_seed(SEEDS[kind])
    model = kind(VocabSizes(V, V), ModelDims(5, 8, 2, 0.3)).double().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter *= 6.0 if parameter is model.head.weight or parameter is model.head.bias else 3.0
        model.head.bias[EOS] += 2.0
    return model


def make_source() -> Tensor:
    torch.manual_seed(5)
    source = torch.randint(4, V, (B, S))
    source[torch.arange(S) >= LENGTHS[:, None]] = PAD
    return source


def reference(model: EncoderDecoder, source: Tensor, settings: SearchSettings) -> tuple[Hypothesis, int]:
    """Beam search for a single sentence `(S,)` that decodes every hypothesis from its start in each step.

    Returns the best hypothesis and the number of steps.
    """
    size, found = settings.beam_size, list[tuple[float, Hypothesis]]()
    prefixes: list[tuple[float, list[int], list[int]]] = [(0.0, [], [])]
    for step in range(settings.max_length):
        hidden, places = decode(model, source, [tokens for _, tokens, _ in prefixes])
        logs = torch.log_softmax(model.head(hidden), dim=1).tolist()
        candidates = [
            (score + one[word], [*tokens, word], [*attended, place])
            for (score, tokens, attended), one, place in zip(prefixes, logs, places, strict=True)
            for word in range(V)
            if word not in (PAD, BOS)
        ]
        candidates.sort(key=lambda candidate: -candidate[0])
        last = step + 1 == settings.max_length
        for score, tokens, attended in candidates[:size]:
            if tokens[-1] == EOS or last:
                cut = len(tokens) - (tokens[-1] == EOS)
                compared = score / len(tokens) ** settings.length_penalty
                found.append((compared, Hypothesis(tuple(tokens[:cut]), tuple(attended[:cut]), score)))
        prefixes = [candidate for candidate in candidates if candidate[1][-1] != EOS][:size]
        bound = prefixes[0][0] / settings.max_length**settings.length_penalty
        settled = candidates[0][1][-1] == EOS and len(found) >= size
        if settled or (found and max(found, key=lambda entry: entry[0])[0] >= bound):
            break
    return max(found, key=lambda entry: entry[0])[1], step + 1


def decode(model: EncoderDecoder, source: Tensor, prefixes: list[list[int]]) -> tuple[Tensor, list[int]]:
    """Return the last hidden state of each prefix, `(K, D)`, and the source positions with the highest attention."""
    target = torch.tensor([[BOS, *tokens] for tokens in prefixes])
    inputs = source.expand(len(target), -1), torch.full((len(target),), len(source))
    decoding = model.start(*inputs)
    for column in target.split(1, dim=1):
        _, weights = decoding.step(column)
    return model(*inputs, target)[:, -1], weights[:, 0].argmax(dim=1).tolist()


def assert_same(found: list[Hypothesis], expected: list[Hypothesis]) -> None:
    assert [(one.tokens, one.attended) for one in found] == [(one.tokens, one.attended) for one in expected]
    assert [one.score for one in found] == pytest.approx([one.score for one in expected], abs=1e-9)


def assert_equals_reference(
    find: Callable[..., list[Hypothesis]], settings: SearchSettings, kind: type[EncoderDecoder]
) -> None:
    """Check outputs, and that a sentence leaves the batch after as many steps as it needs alone."""
    model, source = make_model(kind), make_source()
    alone = [reference(model, row[:n], settings) for row, n in zip(source, LENGTHS, strict=True)]
    expected, steps = [one for one, _ in alone], [count for _, count in alone]
    recorder = StepRecorder(model)
    assert_same(find(recorder, source, LENGTHS, settings), expected)
    assert recorder.sizes == [sum(one > step for one in steps) for step in range(max(steps))]
    assert len({len(one.tokens) for one in expected}) > 1, "the test needs outputs of different lengths"


@each_kind
@torch.no_grad()
@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("size", [2, 5])
def test_beam_equals_the_reference(size: int, penalty: float, kind: type[EncoderDecoder]) -> None:
    assert_equals_reference(beam, SearchSettings(size, 7, penalty), kind)


@each_kind
@torch.no_grad()
@pytest.mark.parametrize("penalty", [0.0, 1.0])
@pytest.mark.parametrize("find", [greedy, beam, search])
def test_beam_of_size_one_equals_greedy(
    find: Callable[..., list[Hypothesis]], penalty: float, kind: type[EncoderDecoder]
) -> None:
    assert_equals_reference(find, SearchSettings(1, 7, penalty), kind)


class StepRecorder:
    """A model that records the number of sentences in each decoding step."""

    def __init__(self, model: EncoderDecoder) -> None:
        self.model, self.head, self.sizes = model, model.head, list[int]()

    def start(self, source: Tensor, lengths: Tensor) -> "StepRecorder":
        self.decoding = self.model.start(source, lengths)
        self.reorder, self.keep = self.decoding.reorder, self.decoding.keep
        return self

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        self.sizes.append(len(last))
        return self.decoding.step(last)


@each_kind
@pytest.mark.parametrize("size", [1, 3])
@pytest.mark.parametrize("penalty", [0.0, 0.7])
def test_result_is_independent_of_batch_and_padding(size: int, penalty: float, kind: type[EncoderDecoder]) -> None:
    settings, model, source = SearchSettings(size, 9, penalty), make_model(kind), make_source()
    whole = search(model, source, LENGTHS, settings)

    @hypothesis.settings(max_examples=15)
    @given(st.lists(st.integers(0, B - 1), min_size=1, max_size=2 * B), st.integers(1, B), st.integers(0, 3))
    def check(rows: list[int], batch: int, extra: int) -> None:
        chosen, lengths = nn.functional.pad(source, (0, extra), value=PAD)[rows], LENGTHS[rows]
        pieces = zip(chosen.split(batch), lengths.split(batch), strict=True)
        assert_same([one for piece in pieces for one in search(model, *piece, settings)], [whole[row] for row in rows])

    check()


class Chain:
    """A Markov chain over tokens with the interface that search needs."""

    def __init__(self, probabilities: dict[int, dict[int, float]], words: int = 7) -> None:
        self.head = nn.Linear(words, words).double()
        table = torch.full((words, words), 1e-9, dtype=torch.float64)  # [last, next]
        table[torch.arange(words), EOS] = 1.0
        for last, row in probabilities.items():
            table[last] = 1e-9
            table[last, list(row)] = torch.tensor(list(row.values()), dtype=torch.float64)
        with torch.no_grad():
            self.head.weight.copy_(table.log().T)
            self.head.bias.zero_()

    def start(self, source: Tensor, lengths: Tensor) -> "Chain":
        return self

    def step(self, last: Tensor) -> tuple[Tensor, Tensor]:
        return nn.functional.one_hot(last, 7).double(), torch.ones(*last.shape, 1)

    def reorder(self, parents: Tensor) -> None: ...

    def keep(self, sentences: Tensor) -> None: ...


@pytest.mark.parametrize(("penalty", "expected", "probability"), [(0.0, (5,), 0.36), (1.0, (4, 6), 0.324)])
def test_length_penalty_example(penalty: float, expected: tuple[int, ...], probability: float) -> None:
    """ln(0.4 * 0.9) / 2 = -0.51 for "b", ln(0.6 * 0.9 * 0.6) / 3 = -0.38 for "a c"; lengths include EOS."""
    a, b, c = 4, 5, 6
    model = Chain({BOS: {a: 0.6, b: 0.4}, b: {EOS: 0.9, c: 0.1}, a: {c: 0.9, EOS: 0.1}, c: {EOS: 0.6, a: 0.4}})
    (found,) = search(model, torch.tensor([[4]]), torch.tensor([1]), SearchSettings(3, 9, penalty))
    assert found.tokens == expected
    assert found.score == pytest.approx(math.log(probability), abs=1e-5)


def test_poor_finished_hypotheses_do_not_stop_the_search() -> None:
    """The model prefers "4 5 6"; every other prefix is followed by EOS."""
    chain = {BOS: {4: 0.9, 6: 0.1}, 4: {5: 0.9, 6: 0.1}, 5: {6: 0.9, 4: 0.1}, 6: {EOS: 0.9, 4: 0.1}}
    (found,) = search(Chain(chain), torch.tensor([[4]]), torch.tensor([1]), SearchSettings(3, 9))
    assert found.tokens == (4, 5, 6)


def make_next_words(size: int, words: int, seed: int) -> NextWords:
    """Random logits of three sentences, a fifth of them -inf, and random normalizers."""
    torch.manual_seed(seed)
    logits = torch.randn(3, size, words).double()
    logits[torch.rand_like(logits) < 0.2] = -torch.inf
    maxima = torch.stack([block.amax(2) for block in logits.split(BLOCK, dim=2)], dim=2)
    return NextWords(logits, maxima, torch.randn(3, size).double(), torch.zeros(3, size))


@hypothesis.settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 200), st.integers(1, 30), st.integers(0, 99))
def test_best_continuations_equal_topk(size: int, words: int, count: int, seed: int) -> None:
    found = make_next_words(size, words, seed)
    scores = torch.randn(3, size).double()
    expected = (
        (found.logits + (scores - found.normalizers)[:, :, None]).flatten(1).topk(min(count, size * words), dim=1)
    )
    ranked, parent, word = best_continuations(found, scores, count)
    torch.testing.assert_close(ranked, expected.values)
    finite = ranked > -torch.inf
    assert torch.equal((parent * words + word)[finite], expected.indices[finite])


@hypothesis.settings(max_examples=40)
@given(st.integers(1, 4), st.integers(1, 200), st.integers(0, 99))
def test_most_likely_equals_max(size: int, words: int, seed: int) -> None:
    found = make_next_words(size, words, seed)
    best, word = most_likely(found)
    expected, index = found.logits.max(2)
    assert torch.equal(best, expected - found.normalizers)
    assert torch.equal(word[best > -torch.inf], index[best > -torch.inf])


def test_exhaustive_beam_is_at_least_as_good_as_greedy() -> None:
    model, source = make_model(), make_source()
    scores = [
        sum(one.score for one in search(model, source, LENGTHS, SearchSettings(size, max_length=4)))
        for size in (1, 400)
    ]
    assert scores[1] >= scores[0], "a beam of 400 holds all 343 prefixes of three out of seven words"


def test_no_special_tokens_and_maximum_length() -> None:
    for size in (1, 4):
        for one in search(make_model(), make_source(), LENGTHS, SearchSettings(size, max_length=5)):
            assert not {PAD, BOS, EOS} & set(one.tokens)
            assert len(one.attended) == len(one.tokens) <= 5


def test_attended_positions_are_inside_the_sentence() -> None:
    found = search(make_model(), make_source(), LENGTHS, SearchSettings(4, max_length=8))
    assert all(place < n for one, n in zip(found, LENGTHS.tolist(), strict=True) for place in one.attended)


def test_unknown_words_are_replaced_by_attended_source_words() -> None:
    vocabulary = Vocabulary.of(["con", "mèo"])
    hypothesis = Hypothesis((4, UNK, 5, UNK), (0, 2, 1, 7), -1.0)
    assert replace_unknown(hypothesis, ["the", "cat", "Tom"], vocabulary) == ["con", "Tom", "mèo", "<unk>"]


def test_empty_batch_and_invalid_settings() -> None:
    nothing = torch.zeros(0, 0, dtype=torch.int64)
    assert search(make_model(), nothing, nothing.sum(1), SearchSettings()) == []
    with pytest.raises(ConfigError, match="beam_size: .* got 0; max_length: .* got 0; length_penalty: .* got -1"):
        SearchSettings(0, 0, -1)


@each_kind
@pytest.mark.parametrize("size", [1, 3])
def test_scores_are_summed_in_full_precision_under_autocast(size: int, kind: type[EncoderDecoder]) -> None:
    if kind is LSTMSeq2Seq and not torch.ops.mkldnn._is_mkldnn_bf16_supported():
        pytest.skip("this CPU has no LSTM in bfloat16")
    model = make_model(kind).float()
    with torch.autocast("cpu", torch.bfloat16):
        found = search(model, make_source(), LENGTHS, SearchSettings(size, max_length=5))
    rounded = torch.tensor([one.score for one in found])
    assert not torch.equal(rounded, rounded.bfloat16().float())
