"""Language on the command line: the published scripts with their files, and the verbs that use what they leave."""

import io
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
import yaml

from labelemb.cli import published_nlp
from labelemb.cli.main import guarded, main
from labelemb.cli.published import double_dashes, train_text
from labelemb.cli.published_config import read_config
from labelemb.tasks.seq2seq.recipe import load_corpus
from labelemb.tasks.seq2seq.trained import PREFETCH_BATCHES, TrainedTranslator
from labelemb.terms.embedding import CompressedLabelEmbedding, LabelEmbedding
from labelemb.training.checkpoint import load_checkpoint
from tests.processes import run_alone

SCRIPTS = Path(__file__).parents[2] / "scripts" / "nlp"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SMALL = {"emb_size": 12, "hidden_size": 16, "num_layers": 1, "dropout": 0.1, "epoch": 3, "batch_size": 16}
SMALL |= {
    "eval_interval": 8,
    "save_interval": 16,
    "max_tgt_len": 8,
    "beam_size": 2,
    "soft_start": 8,
    "learning_rate": 0.02,
}
EMB = ["-unk", "-score", "emb", "-loss", "emb", "-log", "label_embedding"]
Say = Callable[[bytes], None]


def train(arguments: list[str]) -> int:
    """train.py with the published single dashes."""
    return published_nlp.train(double_dashes(arguments))


def predict(arguments: list[str]) -> int:
    """predict.py with the published single dashes."""
    return published_nlp.predict(double_dashes(arguments))


def write_text(folder: Path) -> None:
    for name, numbers in {"train": range(1000, 1100), "valid": range(1200, 1215), "test": range(1300, 1320)}.items():
        (folder / f"{name}.src").write_text("".join(f"{' '.join(str(n))}\n" for n in numbers))
        spoken = (" ".join(DIGITS[int(digit)].title() for digit in reversed(str(n))) for n in numbers)
        (folder / f"{name}.tgt").write_text("".join(f"{line}\n" for line in spoken))


def config_of(folder: Path, name: str = "iwslt.yaml", **changes: object) -> str:
    """Write the published config, made small, into a folder; its paths are relative to it."""
    content = yaml.safe_load((SCRIPTS / name).read_text()) | SMALL | changes
    content |= {"log": str(folder / content["log"])}
    if not Path(content["data"]).is_absolute():
        content["data"] = str(folder / content["data"])
    (folder / name).write_text(yaml.safe_dump(content))
    return str(folder / name)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The published command lines of IWSLT15, up to the trained model."""
    folder = tmp_path_factory.mktemp("nlp")
    write_text(folder)
    files = [x for name in ("train", "valid", "test") for s in ("src", "tgt") for x in (f"-{name}_{s}", f"{name}.{s}")]
    command = [sys.executable, str(SCRIPTS / "preprocess.py"), *files, "-lower"]
    command += ["-save_data", "data/iwslt15/iwslt.low.train.pt"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    load_corpus.cache_clear()
    assert train(["-config", config_of(folder), *EMB]) == 0
    return folder


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The scripts choose the visible GPUs; that ends with the test."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", os.environ.get("CUDA_VISIBLE_DEVICES", ""))
    yield
    load_corpus.cache_clear()


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Say:
    return lambda content: monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(content)))


def run_of(place: Path) -> Path:
    return place / "data" / "iwslt15" / "label_embedding"


def test_published_outputs(place: Path) -> None:
    run = run_of(place)
    published = {"log.txt", "checkpoint.pt", "best_bleu_checkpoint.pt", "best_bleu_prediction.txt", "bleu.txt"}
    assert published <= {file.name for file in run.iterdir()}
    history = [json.loads(line) for line in (run / "history.jsonl").read_text().splitlines()]
    assert [line["step"] for line in history] == [8, 16, 21]
    wanted = (
        "epoch step terms valid_loss valid_perplexity valid_bleu valid_paper_bleu valid_chrf seconds words_per_second"
    )
    assert set(wanted.split()) <= history[0].keys()
    assert set(history[-1]["terms"]) == {"hard", "soft", "aux", "embedding", "cap"}
    log = (run / "log.txt").read_text().splitlines()
    assert len(log) == 3
    assert re.match(rf"epoch 2  step 8  .*valid_perplexity {history[0]['valid_perplexity']:.4f}", log[0])
    scores = (run / "bleu.txt").read_text().splitlines()
    assert scores[-1] == (
        f"epoch 3  step 21  valid_bleu {history[-1]['valid_bleu']:.4f}  test_bleu {history[-1]['test_bleu']:.4f}"
    )
    best = load_checkpoint(run / "best_bleu_checkpoint.pt")["line"]
    assert best["valid_bleu"] == max(line["valid_bleu"] for line in history)
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert {
        "method": "label_embedding",
        "mix": "sum",
        "cap": "absolute",
        "max_grad_norm": 5,
        "schedule": "constant",
    }.items() <= config.items()


def test_the_best_prediction_is_what_the_best_checkpoint_translates(
    place: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    say((place / "valid.src").read_bytes())
    assert main(["translate", str(run_of(place) / "best_bleu_checkpoint.pt"), "--beam_size", "1"]) == 0
    assert capsys.readouterr().out == (run_of(place) / "best_bleu_prediction.txt").read_text()


def test_predict(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    checkpoint = run_of(place) / "checkpoint.pt"
    assert predict(["-config", config_of(place), "-unk", "-score", "emb", "-restore", str(checkpoint)]) == 0
    said = capsys.readouterr().out
    lines = (run_of(place) / "prediction.txt").read_text()
    assert lines == (run_of(place) / "test.output.txt").read_text()
    last = json.loads((run_of(place) / "history.jsonl").read_text().splitlines()[-1])
    assert f"bleu {last['test_bleu']:.2f}  nrefs:1|case:mixed" in said
    assert f"perplexity {last['test_perplexity']:.4g}" in said


def test_a_missing_checkpoint_names_the_nearest(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The published command for IWSLT15 looks below data/lcsts."""
    monkeypatch.chdir(place)
    missing = "data/lcsts/label_embedding/best_bleu_checkpoint.pt"
    assert guarded(predict, ["-config", config_of(place), "-unk", "-restore", missing]) == 2
    said = capsys.readouterr().err
    assert f"{missing}: expected a run folder, or a checkpoint in one, got none. There is " in said
    assert said.rstrip().endswith("data/iwslt15/label_embedding/best_bleu_checkpoint.pt")


def test_baseline_limit_notrain_restore(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = config_of(place, epoch=1)
    plain = ["-config", config, "-loss", "", "-score", ""]
    assert train([*plain, "-log", "fresh", "-limit", "33"]) == 0
    history = (place / "data" / "iwslt15" / "fresh" / "history.jsonl").read_text().splitlines()
    assert json.loads(history[-1])["step"] == 3, "33 pairs in batches of 16"
    assert set(json.loads(history[-1])["terms"]) == {"hard"}
    checkpoint = str(run_of(place) / "best_perplexity_checkpoint.pt")
    assert train([*plain, "-log", "further", "-limit", "33", "-restore", checkpoint]) == 0
    further = (place / "data" / "iwslt15" / "further" / "history.jsonl").read_text().splitlines()
    assert json.loads(further[0])["valid_perplexity"] < json.loads(history[0])["valid_perplexity"] - 1
    capsys.readouterr()
    assert train(["-config", config, *EMB, "-notrain"]) == 0
    last = json.loads((run_of(place) / "history.jsonl").read_text().splitlines()[-1])
    assert f"15 sentences  perplexity {last['valid_perplexity']:.4g}\n" in capsys.readouterr().out
    assert train(["-config", config_of(place), *EMB, "-restore", str(run_of(place) / "checkpoint.pt")]) == 0
    assert "1 of 1 runs were done before" in capsys.readouterr().out


def test_the_path_of_the_data_may_be_with_or_without_its_ending(place: Path) -> None:
    for data in ("data/iwslt15/iwslt.low", "data/iwslt15/iwslt.low.train.pt"):
        config = config_of(place, data=data, epoch=1)
        assert train(["-config", config, "-log", data.replace("/", "-")]) == 0


def test_numbers_as_people_write_them(place: Path) -> None:
    _, values = read_config(Path(config_of(place, learning_rate="1e-3", eval_interval=5)))
    assert (values["learning_rate"], values["eval_interval"]) == (0.001, 5)


@pytest.mark.parametrize(("granted", "chosen"), [(None, "1"), ("", ""), ("3,5", "5"), ("3", "")])
def test_the_gpu_is_one_of_those_a_scheduler_grants(
    granted: str | None, chosen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")  # so that it is put back
    if granted is None:
        monkeypatch.delenv("CUDA_VISIBLE_DEVICES")
    else:
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", granted)
    published_nlp._select_gpu([1])
    assert os.environ["CUDA_VISIBLE_DEVICES"] == chosen


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_without_a_gpu_the_cpu_computes(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert train(["-gpus", "0", "-config", config_of(place, epoch=1), "-log", "gpus"]) == 0
    assert "WARNING: no GPU 0 on this machine; using the CPU\n" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "changes", "says"),
    [
        (
            ["-score", "emb"],
            {},
            "score, loss: expected -score emb -loss emb, or neither .* got -score 'emb' -loss ''",
        ),
        (["-gpus", "0", "1"], {}, "gpus: expected one number, got 0 1. Several: accelerate launch"),
        ([], {"shared_vocab": True}, "shared_vocab: expected False, as .* is prepared, got True in .*-share"),
        ([], {"epochz": 3}, "config: expected keys out of .*att_act.*, got epochz in"),
        ([], {"epoch": "many"}, "config .*iwslt.yaml: epochs: expected a whole number, got 'many'"),
        ([], {"eval_interval": "3000 steps"}, "eval_interval: expected a whole number or null, got '3000 steps'"),
        ([], {"seed": 7, "unk": True}, "no keys that are options of the script, got seed, unk in .* Give -seed, -unk"),
        ([], {"metric": ["meteor"]}, "eval_metrics: expected exact or bleu or rouge, got 'meteor'"),
        ([], {"data": "nowhere"}, "data: expected the folder of a preprocessed corpus, got none at"),
        ([*EMB[:-1], "other"], {"soft_start": 20_000}, r"soft_start: expected fewer steps than the run has \(21\)"),
        (["-restore", "nowhere.pt"], {}, "restore: expected a checkpoint, got no such file: nowhere.pt"),
        (["-frobnicate"], {}, "-frobnicate"),
    ],
)
def test_mistakes(
    arguments: list[str], changes: dict[str, object], says: str, place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = sorted((place / "data" / "iwslt15").iterdir())
    options = arguments if "-log" in arguments else [*arguments, "-log", "mistake"]
    assert guarded(train, ["-config", config_of(place, **changes), *options]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("WARNING")]
    assert len(said) == 1
    assert re.search(says, said[0]), said
    assert sorted((place / "data" / "iwslt15").iterdir()) == before


def train_and_die(deaths: int, arguments: list[str]) -> int:
    """Call train.py; die before a file is put in place for the n-th time."""
    left, place = deaths, os.replace

    def dying(source: str, target: str) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)
        place(source, target)

    os.replace = dying  # type: ignore[assignment]
    sys.argv[1:] = arguments
    return train_text()


def test_killed_and_started_again(place: Path) -> None:
    """The files that people read end up the same, byte for byte."""
    config = config_of(place)
    ended = {}
    for name, deaths in {"whole": (0,), "killed": (12, 28, 9, 0)}.items():
        run = place / "data" / "iwslt15" / name
        for number, death in enumerate(deaths):
            assert (run / "checkpoint.pt").exists() == (number > 1), "of step 16, which the second death follows"
            ended_by = run_alone(train_and_die, death, ["-config", config, *EMB[:-1], name])
            assert ended_by == (-signal.SIGKILL if death else 0)
        text = {file.name: file.read_bytes() for file in run.glob("*.txt")}
        ended[name] = text, load_checkpoint(run / "checkpoint.pt")
    assert ended["whole"][0] == ended["killed"][0]
    for module in ("model", "loss"):
        one, other = ended["whole"][1][module], ended["killed"][1][module]
        assert all(torch.equal(one[key], other[key]) for key in one)


def test_translate_keeps_lines_and_order(place: Path, say: Say, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(run_of(place))
    lines = ["1 2 3 4", "", "9 8 7 6 5 4", "1 2 3 4", "   ", "zzz 1", "3"]
    said = []
    for size in ("1", "64"):
        say("\n".join(lines).encode())  # no line feed behind the last
        assert main(["translate", run, "--batch_size", size]) == 0
        said.append(capsys.readouterr().out)
    assert said[0] == said[1]
    out = said[0].split("\n")
    assert len(out) == len(lines) + 1
    assert (out[1], out[4], out[7]) == ("", "", "")
    assert out[0] == out[3] != ""
    say(b"")
    assert main(["translate", run]) == 0
    assert capsys.readouterr().out == ""


def test_translate_reads_only_so_far_ahead(place: Path) -> None:
    read = 0

    def lines() -> Iterator[str]:
        nonlocal read
        for _ in range(200):
            read += 1
            yield "1 2"

    found = TrainedTranslator(run_of(place)).translate(lines(), batch_size=2)
    next(found)
    assert read == 2 * PREFETCH_BATCHES
    assert len(list(found)) == 199
    read = 0
    next(TrainedTranslator(run_of(place)).translate(lines(), batch_size=1, prefetch=1))
    assert read == 1, "line by line, for a person"


@pytest.mark.parametrize(
    ("arguments", "content", "says"),
    [
        ("RUN", b"1 2\n\xff\xfe\n", r"stdin, line 2: expected UTF-8, got b'\\xff'"),
        ("RUN --checkpoint meteor", b"", "checkpoint: expected last or best or bleu, got 'meteor'"),
        ("RUN --beam_size 0", b"1\n", "beam_size: expected a whole number >= 1, got 0"),
        ("RUN --batch_size 0", b"1\n", "batch_size: expected a whole number >= 1, got 0"),
        ("nowhere", b"", "nowhere: expected a run folder, or a checkpoint in one, got none"),
        ("RUN/no.pt", b"", "restore: expected a checkpoint, got no such file: .*. There is .*label_embedding"),
        ("RUN/log.txt", b"", "log.txt: expected a checkpoint of this program"),
    ],
)
def test_mistakes_of_translate(
    arguments: str, content: bytes, says: str, place: Path, say: Say, capsys: pytest.CaptureFixture[str]
) -> None:
    say(content)
    assert main(["translate", *arguments.replace("RUN", str(run_of(place))).split()]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert re.search(says, captured.err), captured.err
    assert captured.err.count("\n") == 1


def test_evaluate_is_what_the_run_says(place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run, last = run_of(place), json.loads((run_of(place) / "history.jsonl").read_text().splitlines()[-1])
    assert main(["evaluate", str(run), "--json", "--output", str(tmp_path / "out.txt")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["sentences"] == 20
    assert found["perplexity"] == pytest.approx(last["test_perplexity"])
    for name in ("bleu", "paper_bleu", "chrf"):
        assert found["scores"][name]["value"] == pytest.approx(last[f"test_{name}"])
    assert (tmp_path / "out.txt").read_text() == (run / "test.output.txt").read_text()
    text = ["--src", str(place / "valid.src"), "--tgt", str(place / "valid.tgt"), "--beam_size", "1"]
    assert main(["evaluate", str(run), *text, "--eval_metrics", "exact,rouge"]) == 0
    said = capsys.readouterr().out
    assert f"15 sentences  perplexity {last['valid_perplexity']:.4g}\n" in said
    assert "rougeL" in said
    assert main(["evaluate", str(run), "--src", str(place / "valid.src")]) == 2
    assert "tgt: expected a text file" in capsys.readouterr().err
    assert main(["evaluate", str(run), "--split", "train"]) == 2
    assert "split: expected valid or test, got 'train'" in capsys.readouterr().err


def test_a_corpus_that_was_prepared_anew_does_not_renumber_the_words_of_a_model(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The model's own vocabularies count, also where the corpus at its place has others by now."""
    last = json.loads((run_of(place) / "history.jsonl").read_text().splitlines()[-1])
    text = {side: str(place / f"valid.{side}") for side in ("src", "tgt")}
    other = [
        "--train_src",
        text["src"],
        "--train_tgt",
        text["tgt"],
        "--valid_src",
        text["src"],
        "--valid_tgt",
        text["tgt"],
    ]
    test = ["--test_src", str(place / "test.src"), "--test_tgt", str(place / "test.tgt"), "--lower"]
    assert main(["preprocess", *other, *test, "--save_data", str(place / "other")]) == 0
    config = config_of(place, data=str(place / "other"))
    assert predict(["-config", config, "-unk", "-restore", str(run_of(place) / "checkpoint.pt")]) == 0
    assert f"perplexity {last['test_perplexity']:.4g}" in capsys.readouterr().out


def test_similar_words_of_a_language_run(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = str(run_of(place))
    assert main(["similar", run, "three"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 5
    assert all(line.split()[1] in DIGITS for line in lines), "special tokens are no words"
    assert main(["similar", run, "--frequent", "3", "--top", "2"]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert [row[0] for row in rows] == ["one", "zero", "eight"], "by frequency, ties by code point"
    assert [len(row) for row in rows] == [3, 3, 3]
    for arguments in ([], ["three", "--frequent", "3"]):
        assert main(["similar", run, *arguments]) == 2
        assert "label: expected a label, or --frequent N" in capsys.readouterr().err


def test_similar_makes_one_row_of_a_large_vocabulary(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    embedding = CompressedLabelEmbedding(30_000, 2)
    embedding.save(tmp_path / "large.safetensors", [f"w{number}" for number in range(30_000)])
    asked = []

    def rows(self: CompressedLabelEmbedding, labels: torch.Tensor) -> torch.Tensor:
        asked.append(len(labels))
        return self.decoder(self.codes(labels)).relu()  # type: ignore[no-any-return]

    monkeypatch.setattr(CompressedLabelEmbedding, "rows", rows)
    monkeypatch.setattr(LabelEmbedding, "matrix", None)
    assert main(["similar", str(tmp_path / "large.safetensors"), "w77"]) == 0
    assert asked == [1]
    assert len(capsys.readouterr().out.splitlines()) == 5
