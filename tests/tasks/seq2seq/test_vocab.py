from collections import Counter
from pathlib import Path

import pytest

from labelemb.errors import DataError
from labelemb.tasks.seq2seq.vocab import SPECIAL, UNK, Vocabulary


def test_words_are_sorted_by_frequency_then_code_point() -> None:
    text = list("baccdabce")
    forwards, backwards = (Vocabulary.of_counts(Counter(words)) for words in (text, text[::-1]))
    assert forwards == backwards
    assert forwards.words == (*SPECIAL, "c", "a", "b", "d", "e")
    assert Vocabulary.of_counts(Counter(text), size=6).words == (*SPECIAL, "c", "a"), "the special tokens count"


def test_encode_and_decode() -> None:
    vocabulary = Vocabulary.of(["x", "y"])
    assert vocabulary.encode(["y", "z", "x"]) == [5, UNK, 4]
    assert vocabulary.encode(["<pad>", "</s>"]) == [UNK, UNK], "text cannot say padding"
    assert vocabulary.decode([5, UNK]) == ["y", "<unk>"]


def test_vocabulary_file_round_trip(tmp_path: Path) -> None:
    vocabulary = Vocabulary.of(["mèo", "chó"])
    vocabulary.write(tmp_path / "v")
    assert Vocabulary.read(tmp_path / "v") == vocabulary


def test_special_tokens_anywhere_in_a_vocabulary_file(tmp_path: Path) -> None:
    (tmp_path / "vocab.en").write_text("</s>\n<unk>\n<s>\nRachel\n:\n")
    assert Vocabulary.read(tmp_path / "vocab.en").words == (*SPECIAL, "Rachel", ":")


@pytest.mark.parametrize(
    ("content", "says"),
    [("a\n\nb\n", "line 2: expected one word per line, got ''"), ("a\nb\na\n", "line 3: .* as on line 1")],
)
def test_invalid_vocabulary_file_is_refused(content: str, says: str, tmp_path: Path) -> None:
    (tmp_path / "v").write_text(content)
    with pytest.raises(DataError, match=says):
        Vocabulary.read(tmp_path / "v")
