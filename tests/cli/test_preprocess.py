"""The published preprocessing commands, as a person types them."""

import os
import runpy
import sys
import threading
from pathlib import Path

import pytest

from labelemb.cli.main import main
from labelemb.tasks.seq2seq.corpus import Corpus

SCRIPT = Path(__file__).parents[2] / "scripts" / "nlp" / "preprocess.py"
PUBLISHED = (
    "-train_src train.en -train_tgt train.vi -test_src held.en -test_tgt held.vi -valid_src held.en -valid_tgt held.vi"
)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a small parallel text."""
    for name, lines in {"train": 4, "held": 2}.items():
        (tmp_path / f"{name}.en").write_text("The cat sits\n" * lines)
        (tmp_path / f"{name}.vi").write_text("con mèo ngồi\n" * lines)
    (tmp_path / "long.en").write_text(
        "The cat sits\n" + "word " * 51 + "\n" + "word " * 60 + "\n" + "word " * 70 + "\n"
    )
    monkeypatch.chdir(tmp_path)
    return tmp_path


def published(flags: str, monkeypatch: pytest.MonkeyPatch) -> int:
    monkeypatch.setattr(sys, "argv", ["preprocess.py", *flags.split()])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    return int(ended.value.code or 0)


def test_the_published_commands(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert published(f"{PUBLISHED} -save_data data/lcsts/lcsts.low.share.train.pt -lower -share", monkeypatch) == 0
    assert "train: 4 pairs, 12 src tokens (0.0 % unknown)" in capsys.readouterr().out
    corpus = Corpus.open("data/lcsts/lcsts.low.share.train.pt")
    assert corpus.tokenizer.shared
    assert set(corpus.splits) == {"train", "valid", "test"}
    assert "the" in corpus.src_vocab.words
    others = "-char -src_vocab_size 9 -tgt_vocab_size 8 -src_length 0 -tgt_length 0 -shuffle 1 -seed 7 -report_every 2"
    assert published(f"{PUBLISHED} -save_data data/iwslt15/iwslt.low.train.pt {others}", monkeypatch) == 0
    assert "train: 4 pairs" in capsys.readouterr().err
    corpus = Corpus.open("data/iwslt15/iwslt.low")
    assert (len(corpus.src_vocab), len(corpus.tgt_vocab), corpus.tokenizer.shared) == (9, 8, False)


def test_the_verb_reads_an_lcsts_release(folder: Path) -> None:
    for number, name in enumerate(("I", "II"), start=1):
        documents = "".join(
            f"<doc id={label}>\n<human_label>{label}</human_label>\n<summary>可穿{label}</summary>\n"
            f"<short_text>本文发现</short_text>\n</doc>\n"
            for label in range(1, 4 + number)
        )
        (folder / f"PART_{name}.txt").write_text(documents, encoding="utf-8")
    command = "preprocess --train_src PART_I.txt --valid_src PART_II.txt --char --share --save_data out"
    assert main(command.split()) == 0
    corpus = Corpus.open("out")
    assert len(corpus.splits["train"]) == 4
    assert corpus.splits["valid"].tgt_lines == ("可穿3", "可穿4", "可穿5"), "human_label >= 3"


@pytest.mark.parametrize("content", [b"The cat sits\n" * 4, b""])
def test_pipes_are_read_once(content: bytes, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The training text is read twice, which a pipe such as bash's <(command) does not allow."""
    os.mkfifo("pipe")
    threading.Thread(target=Path("pipe").write_bytes, args=(content,), daemon=True).start()
    command = "preprocess --train_src pipe --train_tgt train.vi --valid_src held.en --valid_tgt held.vi --save_data out"
    assert main(command.split()) == (0 if content else 2)
    said = capsys.readouterr()
    assert "train: 4 pairs, 12 src tokens" in said.out if content else "train_src: expected lines of text" in said.err


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_one_process_may_write_to_two_pipes(order: tuple[int, int], folder: Path) -> None:
    """It writes one whole text before the other: more than a pipe holds, so both must be read at the same time."""
    names = ("source", "target")
    for name in names:
        os.mkfifo(name)

    def feed() -> None:
        with open(names[order[0]], "wb") as first, open(names[order[1]], "wb") as second:
            second.write(b"a b\n" * 50_000)
            second.flush()
            first.write(b"c d\n" * 50_000)

    threading.Thread(target=feed, daemon=True).start()
    command = "preprocess --train_src source --train_tgt target --valid_src held.en --valid_tgt held.vi --save_data out"
    assert main(command.split()) == 0
    assert len(Corpus.open("out").splits["train"]) == 50_000


def test_a_loud_warning_when_most_pairs_go(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = (
        "preprocess --train_src long.en --train_tgt train.vi --valid_src held.en --valid_tgt held.vi --save_data out"
    )
    assert main(command.split()) == 0
    said = capsys.readouterr().err
    assert "WARNING: 3 of 4 training pairs (75 %) are LEFT OUT" in said
    assert "give 0 for no limit" in said


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        ("", "save_data: expected a folder to write, got none"),
        ("--save_data out", "train_src: expected a text file, got none"),
        ("--save_data out --train_src train.en", "train_tgt: expected a text file, since train.en is not in the LCSTS"),
        ("--save_data out --train_src nope --train_tgt train.vi", "valid_src: expected a text file, got none"),
        (
            "--save_data out --train_src nope --train_tgt train.vi --valid_src held.en --valid_tgt held.vi",
            "nope: expected a readable text file, got No such file",
        ),
        (
            "--save_data out --train_src train.en --train_tgt held.vi --valid_src held.en --valid_tgt held.vi",
            "train.en, held.vi: expected the same number of lines, got 4 and 2",
        ),
        ("--save_data train.en", "save_data: expected a new folder"),
        ("--save_data out --src_vocab_size x", "src_vocab_size: expected a whole number, got 'x'"),
        ("--save_data out --lowercase", "--lowercase: no such option. Did you mean '--lower'?"),
    ],
)
def test_mistakes_are_one_line(flags: str, says: str, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = sorted(folder.iterdir())
    assert main(["preprocess", *flags.split()]) == 2
    said = capsys.readouterr().err
    assert says in said
    assert said.count("\n") == 1
    assert sorted(folder.iterdir()) == before, "nothing is left behind"
