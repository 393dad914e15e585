"""Batched greedy and beam search. B unfinished sentences, K hypotheses each, V target words, S source tokens.

The result of a sentence does not depend on the other sentences of the batch.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from labelemb.tasks.seq2seq.decoding import Decoding, Searchable
from labelemb.tasks.seq2seq.hypothesis import Hypothesis, SearchSettings
from labelemb.tasks.seq2seq.next_words import best_continuations, most_likely, next_words
from labelemb.tasks.seq2seq.vocab import BOS, EOS


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
        words = next_words(model.head, decoding, last)
        log_probabilities, last = most_likely(words)  # (B, 1)
        tokens[rows, step], attended[rows, step] = last[:, 0], words.attended[:, 0]
        scores[rows] += log_probabilities[:, 0]
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
    continuation ends in EOS and K hypotheses have finished. (K finished hypotheses alone are not a criterion: the poor
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
        words = next_words(self.head, self.decoding, self.last)
        # Each hypothesis has only one continuation with EOS, so at least K of the best 2 K do not end.
        ranked, parent, token = best_continuations(words, self.scores, 2 * size)  # (B, 2 K)
        tokens = torch.cat([_pick(self.tokens, parent), token[:, :, None]], dim=2)
        attended = torch.cat([_pick(self.attended, parent), _pick(words.attended[:, :, None], parent)], dim=2)
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


def _pick(values: Tensor, index: Tensor) -> Tensor:
    """Return ``values[b, index[b, m]]``; ``values`` is `(B, K, n)`, ``index`` `(B, M)`, the result `(B, M, n)`."""
    return values.gather(1, index[:, :, None].expand(-1, -1, values.shape[2]))


def _hypothesis(tokens: Sequence[int], attended: Sequence[int], score: float) -> Hypothesis:
    """Return the hypothesis up to the first EOS."""
    length = tokens.index(EOS) if EOS in tokens else len(tokens)
    return Hypothesis(tuple(tokens[:length]), tuple(attended[:length]), score)
