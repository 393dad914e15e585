import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from labelemb.errors import ConfigError, DataError
from labelemb.tasks.seq2seq.corpus import Corpus, find_corpus
from labelemb.tasks.seq2seq.numbers import SPLITS, numbers_en_vi
from labelemb.tasks.seq2seq.preprocess import PreprocessOptions, write_corpus
from labelemb.tasks.seq2seq.vocab import SPECIAL
from tests.tasks.seq2seq.conftest import TRAIN

MakeCorpus = Callable[..., Corpus]


def words(corpus: Corpus, split: str, side: str, row: int) -> str:
    sentences = getattr(corpus.splits[split], side)
    vocabulary = getattr(corpus, f"{side}_vocab")
    return " ".join(vocabulary.decode(sentences[row].tolist()))


def test_corpus_round_trip(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus()
    for row, (source, target) in enumerate(TRAIN):
        assert words(corpus, "train", "src", row) == source
        assert words(corpus, "train", "tgt", row) == target
    train = corpus.splits["train"].src
    assert isinstance(train.ids, np.memmap)
    assert train.ids.dtype == np.uint16
    assert train.lengths.tolist() == [3, 4, 3]


def test_held_out_splits_keep_all_pairs_and_their_lines(make_corpus: MakeCorpus) -> None:
    held_out = [("A " * 80, "b"), ("", ""), ("The zebra", "x")]
    corpus = make_corpus(held_out=[(s.strip(), t) for s, t in held_out], lower=True)
    valid = corpus.splits["valid"]
    assert valid.src.lengths.tolist() == [80, 0, 2]
    assert words(corpus, "valid", "src", 2) == "the <unk>"
    assert valid.src_lines[2] == "The zebra", "raw lines, for replacing unknown words and for scoring"


def test_training_pairs_over_the_limits_are_counted(tmp_path: Path) -> None:
    train = [("a b c", "x"), ("a", "x y z"), ("a b", "x y"), ("", "x"), ("a", " ")]
    sources = {"train": lambda: iter(train), "valid": lambda: iter(train)}
    counts = write_corpus(tmp_path / "c", sources, PreprocessOptions(src_length=2, tgt_length=2))["train"]
    assert (counts.pairs, counts.too_long, counts.empty, counts.read) == (1, 2, 2, 5)
    corpus = Corpus.open(tmp_path / "c")
    assert corpus.src_vocab.words == (*SPECIAL, "a", "b"), "pairs left out do not contribute to the vocabulary"
    free = write_corpus(tmp_path / "c", sources, PreprocessOptions(src_length=0, tgt_length=0))["train"]
    assert free.pairs == 3


def test_shared_vocabulary_and_characters(make_corpus: MakeCorpus) -> None:
    corpus = make_corpus([("ab a", "Ba c")], char=True, share=True, lower=True)
    assert corpus.tokenizer.shared
    assert corpus.tokenizer.by_character
    assert corpus.src_vocab == corpus.tgt_vocab
    assert corpus.src_vocab.words == (*SPECIAL, "a", "b", "c")
    assert words(corpus, "train", "src", 0) == "a b a"
    assert words(corpus, "train", "tgt", 0) == "b a c"


def test_lower_case_keeps_the_number_of_characters() -> None:
    assert PreprocessOptions(char=True, lower=True).tokens("İx") == ("i̇", "x")


def test_given_vocabulary_files_are_used(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    (tmp_path / "vocab.en").write_text("</s>\n<unk>\n<s>\nthe\ncat\nsits\n")
    corpus = make_corpus(src_vocab=str(tmp_path / "vocab.en"))
    assert corpus.src_vocab.words == (*SPECIAL, "the", "cat", "sits")
    assert "con" in corpus.tgt_vocab.words
    assert words(corpus, "train", "src", 1) == "the <unk> sits <unk>"


def test_vocabulary_without_the_training_words_is_refused(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    (tmp_path / "vocab.vi").write_text("con\nmèo\n")
    with pytest.raises(DataError, match=r"src_vocab: expected a vocabulary of the training text .* 0.0 %"):
        make_corpus(src_vocab=str(tmp_path / "vocab.vi"))
    assert [path.name for path in tmp_path.iterdir()] == ["vocab.vi"], "nothing is left behind"


def test_shuffle_keeps_pairs_together(make_corpus: MakeCorpus) -> None:
    pairs = [(f"s{number}", f"t{number}") for number in range(50)]
    one, other = make_corpus(pairs, shuffle=1), make_corpus(pairs, shuffle=1, seed=1)
    rows = [(words(one, "train", "src", row), words(one, "train", "tgt", row)) for row in range(50)]
    assert sorted(rows) == sorted(pairs)
    assert rows != pairs
    assert [words(other, "train", "src", row) for row in range(50)] != [source for source, _ in rows]


def test_digest_is_reproducible(make_corpus: MakeCorpus) -> None:
    first, again, other = make_corpus(), make_corpus(), make_corpus(lower=True)
    assert first.digest == again.digest != other.digest


def test_failed_preprocessing_leaves_the_old_folder(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    digest = make_corpus().digest

    def broken() -> object:
        yield "the cat", "con mèo"
        raise DataError("line 2", "UTF-8", "something else")

    with pytest.raises(DataError, match="line 2"):
        write_corpus(tmp_path / "made", {"train": lambda: iter(TRAIN), "valid": broken}, PreprocessOptions())  # type: ignore[dict-item]
    assert Corpus.open(tmp_path / "made").digest == digest
    assert len(list(tmp_path.iterdir())) == 1


def test_folder_with_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match="save_data: .* which exists"):
        write_corpus(tmp_path, {"train": lambda: iter(TRAIN)}, PreprocessOptions())
    assert (tmp_path / "thesis.txt").exists()


def test_corpus_folder_with_added_files_is_not_replaced(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    make_corpus()
    (tmp_path / "made" / "runs").mkdir()
    with pytest.raises(ConfigError, match="save_data: .* got .*made, which also holds runs"):
        make_corpus()
    assert (tmp_path / "made" / "runs").is_dir()


def test_no_pairs_within_the_length_limits(make_corpus: MakeCorpus) -> None:
    with pytest.raises(DataError, match="train: expected pairs within src_length 1 .* 3 longer pairs"):
        make_corpus(src_length=1)


def test_invalid_preprocess_options_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"src_vocab_size: .* got 4; .*shuffle: expected 0 or 1"):
        PreprocessOptions(src_vocab_size=4, shuffle=2)
    with pytest.raises(ConfigError, match="tgt_vocab_size: expected 100 as src_vocab_size, with share, got 200"):
        PreprocessOptions(share=True, src_vocab_size=100, tgt_vocab_size=200)
    with pytest.raises(ConfigError, match="tgt_vocab: expected the file of src_vocab, with share"):
        PreprocessOptions(share=True, src_vocab="a", tgt_vocab="b")


def test_path_with_the_published_suffix_is_found(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    make_corpus()
    made = tmp_path / "made"
    assert find_corpus(f"{made}.train.pt") == made
    made.rename(tmp_path / "x.train.pt")
    assert find_corpus(tmp_path / "x") == find_corpus(tmp_path / "x.train.pt") == tmp_path / "x.train.pt"
    with pytest.raises(DataError, match="data: expected the folder of a preprocessed corpus, got none at .*nowhere"):
        find_corpus(tmp_path / "nowhere")


def test_damaged_corpus_is_refused(make_corpus: MakeCorpus, tmp_path: Path) -> None:
    make_corpus()
    ids = tmp_path / "made" / "train.src.ids"
    ids.write_bytes(ids.read_bytes()[:-2])
    with pytest.raises(DataError, match="train.src.ids: expected 20 bytes, got 18"):
        Corpus.open(tmp_path / "made")
    make_corpus()
    metadata = tmp_path / "made" / "metadata.json"
    whole = metadata.read_text()
    assert '"dtype": "<u2"' in whole
    metadata.write_text(whole.replace('"dtype": "<u2"', '"dtype": "O"'))
    with pytest.raises(DataError, match="metadata.json, splits.*dtype: expected '<u2', .* got 'O'"):
        Corpus.open(tmp_path / "made")
    metadata.write_text(whole.replace('"pairs"', '"peers"'))
    with pytest.raises(DataError, match="metadata.json, splits.*pairs: expected Field required"):
        Corpus.open(tmp_path / "made")
    metadata.write_text(whole)
    words = tmp_path / "made" / "tgt.vocab"
    words.write_text("".join(words.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(DataError, match=r"tgt.vocab: expected \d+ words, got \d+"):
        Corpus.open(tmp_path / "made")
    make_corpus()
    for name, says in {"train.src.ids": "numbers below", "valid.tgt.spans": "starts and ends of sentences"}.items():
        file = tmp_path / "made" / name
        content = file.read_bytes()
        file.write_bytes(b"\xff" * len(content))
        with pytest.raises(DataError, match=f"{name}: expected {says}"):
            Corpus.open(tmp_path / "made")
        file.write_bytes(content)
    metadata.write_text(json.dumps({"format": "labelemb.corpus.v0"}))
    with pytest.raises(DataError, match="a preprocessed corpus of this version"):
        Corpus.open(tmp_path / "made")


def test_numbers_en_vi() -> None:
    splits = {name: list(numbers_en_vi(name)()) for name in SPLITS}
    assert {name: len(pairs) for name, pairs in splits.items()} == SPLITS
    sources = [source for pairs in splits.values() for source, _ in pairs]
    assert len(set(sources)) == len(sources), "no number is in two splits"
    assert splits == {name: list(numbers_en_vi(name)()) for name in SPLITS}
    known = {word for source, _ in splits["train"] for word in source.split()}
    assert {word for source, _ in splits["test"] for word in source.split()} <= known
    assert all(word.isalpha() for word in known)
