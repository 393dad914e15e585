"""Batched greedy and beam search. B unfinished sentences, K hypotheses each, V target words, S source tokens.

The result of a sentence does not depend on the other sentences of the batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from labelemb.errors import Choices
from labelemb.tasks.seq2seq.decoding import Decoding, Searchable
from labelemb.tasks.seq2seq.vocab import BOS, EOS, PAD, UNK, Vocabulary
from labelemb.terms.reduction import upcast

MAX_BEAM_SIZE, MAX_TOKENS = 1024, 2**16


@dataclass(frozen=True)
class Hypothesis:
    """Search result for a sentence.

    Attributes:
        tokens: Target token ids without BOS and EOS.
        attended: Position of the source token with the highest attention weight, for each token.
        score: Sum of the log-probabilities of the tokens and of EOS; without EOS if it was not generated within
            ``max_length``.
    """

    tokens: tuple[int, ...]
    attended: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class SearchSettings:
    """Options of the search.

    Args:
        beam_size: Number of hypotheses per sentence; 1: greedy search.
        max_length: Maximum number of target tokens; longer hypotheses are truncated.
        length_penalty: Hypotheses are ranked by score / length ** length_penalty, where the length includes EOS; 0: by
            score, as published.

    Raises:
        ConfigError: Naming every invalid option.
    """

    beam_size: int = 1
    max_length: int = 50
    length_penalty: float = 0.0

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect_numbers(vars(self))
            for name, maximum in (("beam_size", MAX_BEAM_SIZE), ("max_length", MAX_TOKENS)):
                choices.expect(getattr(self, name) <= maximum, name, f"at most {maximum:,}", getattr(self, name))
            choices.expect(self.beam_size >= 1, "beam_size", "a whole number >= 1", self.beam_size)
            choices.expect(self.max_length >= 1, "max_length", "a whole number >= 1", self.max_length)
            choices.expect(self.length_penalty >= 0, "length_penalty", "a number >= 0", self.length_penalty)


@torch.no_grad()
def search(model: Searchable, source: Tensor, lengths: Tensor, settings: SearchSettings) -> list[Hypothesis]:
    """Return the best hypothesis of each sentence.

    Args:
        model: Model in ``eval`` mode.
        source: Padded source token ids, int64 `(B, S)`.
        lengths: Source tokens per sentence, int64 `(B,)`, at least 1.
        settings: Search options.

    Returns:
        B hypotheses in the order of the sentences.
    """
    if not len(source):
        return []
    algorithm = greedy if settings.beam_size == 1 else beam
    return algorithm(model, source, lengths, settings)


@torch.no_grad()
def greedy(model: Searchable, source: Tensor, lengths: Tensor, settings: SearchSettings) -> list[Hypothesis]:
    """Greedy search; see ``search``. Finished sentences are removed from the batch."""
    decoding, count = model.start(source, lengths), len(source)
    rows = torch.arange(count, device=source.device)  # (B,), sentence number of each unfinished row
    tokens = torch.full((count, settings.max_length), EOS, device=source.device)
    attended = torch.zeros_like(tokens)
    scores = model.head.weight.new_zeros(count)
    last = torch.full((count, 1), BOS, device=source.device)
    for step in range(settings.max_length):
        logits, normalizers, position = _next_logits(model.head, decoding, last)
        best, last = logits.max(dim=2)  # (B, 1)
        tokens[rows, step], attended[rows, step] = last[:, 0], position[:, 0]
        scores[rows] += (best - normalizers)[:, 0]
        unfinished = last[:, 0] != EOS
        if not unfinished.all():
            rows, last = rows[unfinished], last[unfinished]
            if not len(rows):
                break
            decoding.keep(unfinished)
    return [_hypothesis(*fields) for fields in zip(tokens.tolist(), attended.tolist(), scores.tolist(), strict=True)]


@torch.no_grad()
def beam(model: Searchable, source: Tensor, lengths: Tensor, settings: SearchSettings) -> list[Hypothesis]:
    """Beam search; see ``search``. With K = 1 the result equals that of ``greedy``.

    Each step ranks the continuations of a sentence's hypotheses. Those among the best K that end in EOS are finished;
    the best K that do not end continue. A sentence is done when no continuing hypothesis can exceed the best finished
    one. With a length penalty, that can take until ``max_length``, so a sentence is also done when its best
    continuation ends in EOS and K hypotheses have finished. (K finished hypotheses alone are no criterion: the poor
    hypotheses next to a good one often end early.) At ``max_length`` the best K are taken without EOS.
    """
    beams = _Beams(model.head, model.start(source, lengths), settings, len(source))
    for step in range(settings.max_length):
        if beams.advance(step):
            break
    return beams.best()


class _Beams:
    """The hypotheses of all unfinished sentences. K is 1 at first and the beam size after the first step.

    Attributes:
        rows: Sentence number of each unfinished sentence, int64 `(B,)`.
        scores: Sum of log-probabilities of each hypothesis, `(B, K)`; -inf for empty places of the beam.
        last: Last token of each hypothesis, int64 `(B, K)`.
        tokens: Tokens so far, int64 `(B, K, steps)`.
        attended: Position of the source token with the highest attention weight, int64 `(B, K, steps)`.
        finished: Finished hypotheses of each sentence, with the value that they are ranked by.
    """

    def __init__(self, head: nn.Linear, decoding: Decoding, settings: SearchSettings, count: int) -> None:
        device = head.weight.device
        self.head, self.decoding, self.settings = head, decoding, settings
        self.rows = torch.arange(count, device=device)
        self.scores = head.weight.new_zeros(count, 1)
        self.last = torch.full((count, 1), BOS, device=device)
        self.tokens = torch.zeros(count, 1, 0, dtype=torch.int64, device=device)
        self.attended = torch.zeros_like(self.tokens)
        self.finished: list[list[tuple[float, Hypothesis]]] = [[] for _ in range(count)]

    def advance(self, step: int) -> bool:
        """Append a token to every hypothesis; return whether all sentences are done."""
        size = self.settings.beam_size
        logits, normalizers, position = _next_logits(self.head, self.decoding, self.last)
        # Each hypothesis has only one continuation with EOS, so at least K of the best 2 K do not end.
        ranked, parent, token = best_continuations(logits, self.scores - normalizers, 2 * size)  # (B, 2 K)
        tokens = torch.cat([_pick(self.tokens, parent), token[:, :, None]], dim=2)
        attended = torch.cat([_pick(self.attended, parent), _pick(position[:, :, None], parent)], dim=2)
        ends = token == EOS
        final = step + 1 == self.settings.max_length
        best = torch.arange(ends.shape[1], device=ends.device) < size
        self._add_finished((ends | final) & best & (ranked > -torch.inf), ranked, tokens, attended)
        if final:
            return True
        # The best K that do not end, in order of their rank.
        continuing = ends.to(torch.int8).argsort(dim=1, stable=True)[:, :size]
        self.scores = ranked.gather(1, continuing).masked_fill(ends.gather(1, continuing), -torch.inf)
        self.tokens, self.attended = _pick(tokens, continuing), _pick(attended, continuing)
        self.last = token.gather(1, continuing)
        self.decoding.reorder(parent.gather(1, continuing))
        return self._drop_done(ends[:, 0].tolist())

    def best(self) -> list[Hypothesis]:
        """Return the best finished hypothesis of each sentence, the first one in case of a tie."""
        return [max(finished, key=lambda entry: entry[0])[1] for finished in self.finished]

    def _add_finished(self, finished: Tensor, ranked: Tensor, tokens: Tensor, attended: Tensor) -> None:
        """Add the hypotheses that finished in this step."""
        if not finished.any():
            return
        which, _ = finished.nonzero(as_tuple=True)
        columns = (self.rows[which], ranked[finished], tokens[finished], attended[finished])
        for row, score, sentence, positions in zip(*(column.tolist() for column in columns), strict=True):
            rank_value = score / len(sentence) ** self.settings.length_penalty
            self.finished[row].append((rank_value, _hypothesis(sentence, positions, score)))

    def _drop_done(self, best_ended: Sequence[bool]) -> bool:
        """Remove the sentences that are done from the batch.

        Args:
            best_ended: Whether the best continuation of each sentence ends in EOS.

        Returns:
            Whether all sentences are done.
        """
        penalty = self.settings.length_penalty
        # Scores only decrease, so the current score divided at the maximum length is an upper bound.
        bounds = (self.scores.max(dim=1).values / self.settings.max_length**penalty).tolist()
        unfinished = []
        for row, bound, ended in zip(self.rows.tolist(), bounds, best_ended, strict=True):
            best = max((entry[0] for entry in self.finished[row]), default=-torch.inf)
            settled = ended and len(self.finished[row]) >= self.settings.beam_size
            unfinished.append(not settled and best < bound)
        if not all(unfinished):
            keep = torch.tensor(unfinished, device=self.rows.device)
            self.rows, self.scores = self.rows[keep], self.scores[keep]
            self.last, self.tokens, self.attended = self.last[keep], self.tokens[keep], self.attended[keep]
            self.decoding.keep(keep)
        return not len(self.rows)


def replace_unknown(hypothesis: Hypothesis, source: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Return the words of a hypothesis, each unknown one replaced by the source word with the highest attention weight.

    Args:
        hypothesis: Search result.
        source: Words of the source sentence, one per token.
        vocabulary: Target vocabulary.

    Returns:
        The words.
    """
    words = vocabulary.decode(hypothesis.tokens)
    for position, (token, attended) in enumerate(zip(hypothesis.tokens, hypothesis.attended, strict=True)):
        if token == UNK and attended < len(source):
            words[position] = source[attended]
    return words


def best_continuations(logits: Tensor, offsets: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the top ``count`` entries of ``logits + offsets`` over the hypotheses and words of each sentence.

    Equivalent to ``topk`` of the flattened sum, but the sum is not materialized: the top entries lie in the ``count``
    blocks of words with the largest maxima.

    Args:
        logits: Logits, `(B, K, V)`.
        offsets: Score of each hypothesis minus the normalizer of its logits, `(B, K)`.
        count: Number of entries; fewer are returned if K * V is smaller.

    Returns:
        Sums in descending order, hypothesis numbers and words, `(B, count)` each.
    """
    words, width = logits.shape[2], 64
    blocks = F.max_pool1d(logits, width, ceil_mode=True) + offsets[:, :, None]  # (B, K, blocks)
    _, block = blocks.flatten(1).topk(min(count, blocks[0].numel()), dim=1)
    parent, first = block // blocks.shape[2], block % blocks.shape[2] * width  # (B, count)
    word = first[:, :, None] + torch.arange(width, device=logits.device)  # (B, count, width)
    index = parent[:, :, None] * words + word.clamp(max=words - 1)
    totals = logits.flatten(1).gather(1, index.flatten(1)).view(index.shape) + offsets.gather(1, parent)[:, :, None]
    totals = totals.masked_fill(word >= words, -torch.inf).flatten(1)  # the last block may be shorter
    ranked, position = totals.topk(min(count, logits[0].numel()), dim=1)
    entry = index.flatten(1).gather(1, position)
    return ranked, entry // words, entry % words


def add_bias(logits: Tensor, bias: Tensor) -> Tensor:
    """Add the bias of the head in place, and return the log-sum-exp over words.

    On a CPU this processes chunks of rows that fit into the cache. Exponentials below the smallest normal number would
    make it many times slower, as they do ``torch.logsumexp``: differences from the maximum below -80, which do not
    change a sum of at least 1 even in float64, are raised to -80.

    Args:
        logits: Logits without bias, `(B, K, V)`; changed.
        bias: Bias of each word, `(V,)`.

    Returns:
        Normalizers, `(B, K)`.
    """
    rows = logits.flatten(0, 1)
    sums = []
    for chunk in torch.split(rows, 1 + 2**17 // rows.shape[1]) if rows.is_cpu else (rows,):
        chunk += bias
        highest = chunk.amax(dim=1, keepdim=True)
        differences = (chunk - highest).clamp_(min=-80.0)
        sums.append(differences.exp_().sum(dim=1).log_() + highest[:, 0])
    return torch.cat(sums).view(logits.shape[:2])


def _next_logits(head: nn.Linear, decoding: Decoding, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Append tokens and compute the logits of the next ones.

    The logits of PAD and BOS, which are never generated, are -inf, but count in the normalizer.

    Args:
        head: Head of the model.
        decoding: Decoder state.
        last: Tokens to append, int64 `(B, K)`.

    Returns:
        Logits `(B, K, V)`, their log-sum-exp `(B, K)`, and the position of the source token with the highest attention
        weight `(B, K)`.
    """
    hidden, weights = decoding.step(last)
    logits = upcast(F.linear(hidden, head.weight))
    normalizers = add_bias(logits, head.bias)
    logits[:, :, PAD] = logits[:, :, BOS] = -torch.inf
    return logits, normalizers, weights.argmax(dim=2)


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Return ``values[b, index[b, m]]``; ``values`` is `(B, K, n)`, ``index`` `(B, M)`, the result `(B, M, n)`."""
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))


def _hypothesis(tokens: Sequence[int], attended: Sequence[int], score: float) -> Hypothesis:
    """Return the hypothesis up to the first EOS."""
    length = tokens.index(EOS) if EOS in tokens else len(tokens)
    return Hypothesis(tuple(tokens[:length]), tuple(attended[:length]), score)
