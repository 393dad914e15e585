"""Options and results of the search for an output sentence."""

from collections.abc import Sequence
from dataclasses import dataclass

from labelemb.errors import Choices
from labelemb.tasks.seq2seq.vocab import UNK, Vocabulary

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
