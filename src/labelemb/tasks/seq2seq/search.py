"""Greedy and beam search as batched tensors. B sentences still at work, K beam size, V target words, S source tokens.

What a sentence gets does not depend on the sentences beside it: attention is masked, and each row is on its own.
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

MOST_HYPOTHESES, MOST_TOKENS = 1024, 2**16


@dataclass(frozen=True)
class Hypothesis:
    """What a search found for a sentence.

    tokens     numbers of target words, without begin and end
    attended   for each token the place of the source token that has the most attention
    score      sum of the log-probabilities of the tokens and, unless the length ran out, of the end
    """

    tokens: tuple[int, ...]
    attended: tuple[int, ...]
    score: float


@dataclass(frozen=True)
class SearchSettings:
    """How to search.

    beam_size         hypotheses kept per sentence; 1 is greedy search
    max_length        most target tokens; a hypothesis that has not ended by then is cut there
    length_penalty    hypotheses are compared by score / tokens ** length_penalty, their ends counted; 0: by score, as
                      published

    Raises ConfigError.
    """

    beam_size: int = 1
    max_length: int = 50
    length_penalty: float = 0.0

    def __post_init__(self) -> None:
        with Choices() as choices:
            choices.expect_numbers(vars(self))
            for name, most in (("beam_size", MOST_HYPOTHESES), ("max_length", MOST_TOKENS)):
                choices.expect(getattr(self, name) <= most, name, f"at most {most:,}", getattr(self, name))
            choices.expect(self.beam_size >= 1, "beam_size", "a whole number >= 1", self.beam_size)
            choices.expect(self.max_length >= 1, "max_length", "a whole number >= 1", self.max_length)
            choices.expect(self.length_penalty >= 0, "length_penalty", "a number >= 0", self.length_penalty)


@torch.no_grad()
def search(model: Searchable, source: Tensor, lengths: Tensor, settings: SearchSettings) -> list[Hypothesis]:
    """Return the best hypothesis of each sentence, in their order. The model should be in ``eval`` mode.

    source   (B, S) int64, padded
    lengths  (B,) int64, >= 1
    """
    if not len(source):
        return []
    find = greedy if settings.beam_size == 1 else beam
    return find(model, source, lengths, settings)


@torch.no_grad()
def greedy(model: Searchable, source: Tensor, lengths: Tensor, settings: SearchSettings) -> list[Hypothesis]:
    """Take the most probable token each time; see ``search``. A sentence that has ended leaves the batch."""
    decoding, count = model.start(source, lengths), len(source)
    rows = torch.arange(count, device=source.device)  # which sentence each row still at work is
    tokens = torch.full((count, settings.max_length), EOS, device=source.device)
    attended = torch.zeros_like(tokens)
    scores = model.head.weight.new_zeros(count)
    last = torch.full((count, 1), BOS, device=source.device)
    for step in range(settings.max_length):
        logits, sums, place = _next(model.head, decoding, last)
        best, last = logits.max(dim=2)  # (B, 1)
        tokens[rows, step], attended[rows, step] = last[:, 0], place[:, 0]
        scores[rows] += (best - sums)[:, 0]
        going = last[:, 0] != EOS
        if not going.all():
            rows, last = rows[going], last[going]
            if not len(rows):
                break
            decoding.keep(going)
    return [_hypothesis(*found) for found in zip(tokens.tolist(), attended.tolist(), scores.tolist(), strict=True)]


@torch.no_grad()
def beam(model: Searchable, source: Tensor, lengths: Tensor, settings: SearchSettings) -> list[Hypothesis]:
    """Keep the K most probable beginnings; see ``search``. With K = 1 it finds what ``greedy`` finds.

    Each step ranks the continuations of a sentence. Those among the first K that end are finished; the first K that do
    not end go on. A sentence is done when none that goes on can overtake the best finished; with a length penalty,
    which lets long ones catch up until late, also when the very first ends and K have finished (K alone say nothing:
    those beside a good one are bad and end anywhere). At the greatest length the first K are taken as they are.
    """
    beams = _Beams(model.head, model.start(source, lengths), settings, len(source))
    for step in range(settings.max_length):
        if beams.advance(step):
            break
    return beams.best()


class _Beams:
    """The hypotheses of all sentences at work, K beginnings each: one at first, the beam size from then on.

    rows              (B,) which sentence each of those at work is
    scores            (B, K) of the beginnings; -inf where there is none
    last              (B, K) their last tokens
    tokens, attended  (B, K, steps so far)
    found             per sentence: the finished hypotheses with what they are compared by
    """

    def __init__(self, head: nn.Linear, decoding: Decoding, settings: SearchSettings, count: int) -> None:
        device = head.weight.device
        self.head, self.decoding, self.settings = head, decoding, settings
        self.rows = torch.arange(count, device=device)
        self.scores = head.weight.new_zeros(count, 1)
        self.last = torch.full((count, 1), BOS, device=device)
        self.tokens = torch.zeros(count, 1, 0, dtype=torch.int64, device=device)
        self.attended = torch.zeros_like(self.tokens)
        self.found: list[list[tuple[float, Hypothesis]]] = [[] for _ in range(count)]

    def advance(self, step: int) -> bool:
        """Add a token to every hypothesis; return whether all sentences are done."""
        size = self.settings.beam_size
        logits, sums, place = _next(self.head, self.decoding, self.last)
        # Each beginning has one ending: among the first 2 K at least K go on.
        ranked, parent, token = best_continuations(logits, self.scores - sums, 2 * size)  # (B, 2 K)
        tokens = torch.cat([_pick(self.tokens, parent), token[:, :, None]], dim=2)
        attended = torch.cat([_pick(self.attended, parent), _pick(place[:, :, None], parent)], dim=2)
        ends = token == EOS
        final = step + 1 == self.settings.max_length
        first = torch.arange(ends.shape[1], device=ends.device) < size
        self._note((ends | final) & first & (ranked > -torch.inf), ranked, tokens, attended)
        if final:
            return True
        # The first K that go on, in their order.
        going = ends.to(torch.int8).argsort(dim=1, stable=True)[:, :size]
        self.scores = ranked.gather(1, going).masked_fill(ends.gather(1, going), -torch.inf)
        self.tokens, self.attended = _pick(tokens, going), _pick(attended, going)
        self.last = token.gather(1, going)
        self.decoding.reorder(parent.gather(1, going))
        return self._retire(ends[:, 0].tolist())

    def best(self) -> list[Hypothesis]:
        """Return the best of what was found; of equals the first."""
        return [max(found, key=lambda entry: entry[0])[1] for found in self.found]

    def _note(self, finished: Tensor, ranked: Tensor, tokens: Tensor, attended: Tensor) -> None:
        """Keep the finished hypotheses of this step."""
        if not finished.any():
            return
        which, _ = finished.nonzero(as_tuple=True)
        columns = (self.rows[which], ranked[finished], tokens[finished], attended[finished])
        for row, score, sentence, places in zip(*(column.tolist() for column in columns), strict=True):
            compared = score / len(sentence) ** self.settings.length_penalty
            self.found[row].append((compared, _hypothesis(sentence, places, score)))

    def _retire(self, ended: Sequence[bool]) -> bool:
        """Take the sentences that are done out of the batch; return whether all are.

        ended: per sentence, whether its most probable continuation has ended
        """
        penalty = self.settings.length_penalty
        # Scores only fall, so at the greatest length a score of now is worth the most.
        reach = (self.scores.max(dim=1).values / self.settings.max_length**penalty).tolist()
        going = []
        for row, most, first in zip(self.rows.tolist(), reach, ended, strict=True):
            best = max((entry[0] for entry in self.found[row]), default=-torch.inf)
            settled = first and len(self.found[row]) >= self.settings.beam_size
            going.append(not settled and best < most)
        if not all(going):
            keep = torch.tensor(going, device=self.rows.device)
            self.rows, self.scores = self.rows[keep], self.scores[keep]
            self.last, self.tokens, self.attended = self.last[keep], self.tokens[keep], self.attended[keep]
            self.decoding.keep(keep)
        return not len(self.rows)


def replace_unknown(hypothesis: Hypothesis, source: Sequence[str], vocabulary: Vocabulary) -> list[str]:
    """Return the words of a hypothesis; in place of an unknown one the source word that has the most attention.

    source: the words of the sentence as they came, one per source token
    """
    words = vocabulary.decode(hypothesis.tokens)
    for place, (token, attended) in enumerate(zip(hypothesis.tokens, hypothesis.attended, strict=True)):
        if token == UNK and attended < len(source):
            words[place] = source[attended]
    return words


def best_continuations(logits: Tensor, offsets: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return the greatest of logits (B, K, V) + offsets (B, K) of each sentence, in order, with beginning and word.

    (B, count) each; fewer where there are not so many. The sum over all words is never made: the greatest lie in the
    blocks of words whose own greatest are the greatest.
    """
    words, width = logits.shape[2], 64
    blocks = F.max_pool1d(logits, width, ceil_mode=True) + offsets[:, :, None]  # (B, K, blocks)
    _, block = blocks.flatten(1).topk(min(count, blocks[0].numel()), dim=1)
    parent, first = block // blocks.shape[2], block % blocks.shape[2] * width  # (B, count)
    word = first[:, :, None] + torch.arange(width, device=logits.device)  # (B, count, width)
    index = parent[:, :, None] * words + word.clamp(max=words - 1)
    totals = logits.flatten(1).gather(1, index.flatten(1)).view(index.shape) + offsets.gather(1, parent)[:, :, None]
    totals = totals.masked_fill(word >= words, -torch.inf).flatten(1)  # the last block may be a short one
    ranked, place = totals.topk(min(count, logits[0].numel()), dim=1)
    found = index.flatten(1).gather(1, place)
    return ranked, found // words, found % words


def log_sum_exp(logits: Tensor) -> Tensor:
    """Return log(sum(exp)) over the words, (B, K), of logits (B, K, V).

    On a CPU torch's own writes all exponentials to fresh memory and slows down (3 times here) where they are next to 0;
    ``log_softmax`` does not, and a chunk of rows at a time it stays in the cache.
    """
    rows = logits.flatten(0, 1)
    chunks = torch.split(rows, 1 + 2**19 // rows.shape[1]) if rows.is_cpu else (rows,)
    sums = [chunk.amax(dim=1) - chunk.log_softmax(dim=1).amax(dim=1) for chunk in chunks]
    return torch.cat(sums).view(logits.shape[:2])


def _next(head: nn.Linear, decoding: Decoding, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the logits of the next token (B, K, V), log(sum(exp)) of them, where attention is most (both (B, K)).

    Padding and begin are no tokens of a sentence, but have their part of the sum.
    """
    hidden, weights = decoding.step(last)
    logits = upcast(head(hidden))
    sums = log_sum_exp(logits)
    logits[:, :, PAD] = logits[:, :, BOS] = -torch.inf
    return logits, sums, weights.argmax(dim=2)


def _pick(values: Tensor, which: Tensor) -> Tensor:
    """Return values[b, which[b, k]]: (B, K, n) and (B, M) -> (B, M, n)."""
    return values.gather(1, which[:, :, None].expand(-1, -1, values.shape[2]))


def _hypothesis(tokens: Sequence[int], attended: Sequence[int], score: float) -> Hypothesis:
    """Cut a row of tokens at its end."""
    length = tokens.index(EOS) if EOS in tokens else len(tokens)
    return Hypothesis(tuple(tokens[:length]), tuple(attended[:length]), score)
