"""Pretrained encoders of transformers: trained, frozen, saved and loaded; invalid folders give a one-line error."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from labelemb.errors import LabelembError
from labelemb.runs import RunFolder
from labelemb.tasks.export import export_model
from labelemb.tasks.text.batch import EncodedTexts
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.data import load
from labelemb.tasks.text.model import build_model
from labelemb.tasks.text.pretrained import PretrainedEncoder, PretrainedTokenizer
from labelemb.tasks.text.recipe import check, train
from labelemb.tasks.text.task import TextTask
from labelemb.tasks.text.trained import TrainedTextModel
from labelemb.training.device import make_accelerator
from labelemb.training.settings import FitSettings
from labelemb.training.state import TrainState
from tests.tasks.text.conftest import WORDS, assert_resumed_equals_uninterrupted, sentences, write_csv

transformers = pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights, and its tokenizer."""
    folder = tmp_path_factory.mktemp("bert")
    words = [word for group in WORDS.values() for word in group]
    vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "the", "a", "is", "here", "there", *words]
    (folder / "vocab.txt").write_text("\n".join(vocabulary))
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}
    config = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, **sizes)
    transformers.BertModel(config).save_pretrained(folder)
    transformers.BertTokenizerFast(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture
def config(encoder: Path, tmp_path: Path) -> TextConfig:
    data = write_csv(tmp_path / "things.csv", sentences(40))
    model = f"hf:{encoder}"
    config = TextConfig(dataset=f"csv:{data}", model=model, max_length=32, epochs=4, batch_size=8, learning_rate=1e-3)
    return config.resolved()


def test_training_and_loading_from_the_run_folder(config: TextConfig, tmp_path: Path) -> None:
    run = RunFolder(tmp_path / "run")
    check(config, run)
    train(config, run)
    last = run.history()[-1]
    assert last["test_error"] < 20
    assert "model_digest" in run.signature()
    model = TrainedTextModel(run)
    assert model.evaluate(model.test_texts()).error == pytest.approx(last["test_error"])
    assert (run.path / "encoder" / "config.json").is_file()
    model.keep_temperature(1.5)
    export_model(model, "hf", tmp_path / "hf")
    assert_transformers_gives_the_logits(tmp_path / "hf", model)


def test_resumed_equals_uninterrupted(config: TextConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With dropout inside the encoder, which transformers loads in evaluation mode."""
    assert_resumed_equals_uninterrupted(replace(config, epochs=3), tmp_path, monkeypatch)


def test_training_starts_with_dropout(config: TextConfig) -> None:
    data = load(config.data_options)
    task = TextTask(config, data)
    settings = FitSettings(epochs=1, seed=0, optimizer=config.optimizer_settings)
    state = TrainState.prepare(task, settings, make_accelerator("fp32", "cpu", "none", Path()))
    assert all(module.training for module in state.parallel.model.modules())


def assert_transformers_gives_the_logits(folder: Path, model: TrainedTextModel) -> None:
    """In a process without this library; texts of different lengths, with the temperature of the run."""
    lines = ["a pear is here", "the hammer " * 40]
    code = (
        "import sys, torch, transformers as t\n"
        "model, problems = t.AutoModelForSequenceClassification.from_pretrained(\n"
        "    sys.argv[1], trust_remote_code=True, output_loading_info=True)\n"
        "assert not any(problems.values()), problems\n"
        "inputs = t.AutoTokenizer.from_pretrained(sys.argv[1], trust_remote_code=True)(\n"
        "    sys.argv[3:], padding=True, truncation=True, return_tensors='pt')\n"
        "out = model.eval()(inputs['input_ids'], inputs['attention_mask'], labels=torch.tensor([0, 1]))\n"
        "assert out.loss > 0 and 'labelemb' not in sys.modules\n"
        "torch.save([out.logits.detach(), sorted(model.config.id2label.items())], sys.argv[2])\n"
    )
    found = folder.parent / "logits.pt"
    environment = os.environ | {"HF_MODULES_CACHE": str(folder.parent / "modules"), "PYTHONPATH": ""}
    command = [sys.executable, "-c", code, str(folder), str(found), *lines]
    subprocess.run(command, check=True, env=environment, cwd=folder.parent)
    logits, names = torch.load(found)
    torch.testing.assert_close(logits, model.logits(lines) / 1.5)
    assert names == list(enumerate(model.label_names))


def test_frozen_layers_do_not_change(config: TextConfig) -> None:
    model = build_model(replace(config, frozen_layers=1), 3)
    assert isinstance(model.encoder, PretrainedEncoder)
    trained = {name for name, p in model.encoder.encoder.named_parameters() if p.requires_grad}
    assert trained
    assert all(name.startswith("encoder.layer.1.") for name in trained)
    with pytest.raises(LabelembError, match="frozen_layers: expected 0 to 2, the layers of the encoder, got 3"):
        build_model(replace(config, frozen_layers=3), 3)


@pytest.mark.parametrize("pooling", ["mean", "cls", "pooler"])
def test_padding_does_not_change_the_output(config: TextConfig, pooling: str) -> None:
    model = build_model(replace(config, pooling=pooling), 3).eval()  # type: ignore[arg-type]
    tokenizer = PretrainedTokenizer(config.model.removeprefix("hf:"))
    rows, truncated = tokenizer.encode(["a pear", "the pear is here " * 20], 32)
    assert truncated == 1
    assert [len(row) for row in rows] == [4, 32]
    encoded = EncodedTexts.of(rows)
    both, alone = model(*encoded.padded(np.arange(2), 0)), model(*encoded.padded(np.arange(1), 0))
    torch.testing.assert_close(both[:1], alone)


def test_gradient_checkpointing_gives_the_same_gradients(config: TextConfig) -> None:
    ids = torch.randint(5, 20, (4, 9), generator=torch.Generator().manual_seed(0))
    found = []
    for on in (False, True):
        torch.manual_seed(0)
        model = build_model(replace(config, gradient_checkpointing=on, dropout=0.0), 3).train()
        torch.manual_seed(1)
        model.head(model(ids, torch.ones_like(ids))).square().sum().backward()
        found.append([p.grad for p in model.parameters()])
    torch.testing.assert_close(*found)


def test_invalid_models(config: TextConfig, encoder: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "no_weights").mkdir()
    (tmp_path / "no_weights" / "config.json").write_text((encoder / "config.json").read_text())
    (tmp_path / "no_weights" / "tokenizer.json").write_text((encoder / "tokenizer.json").read_text())
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "config.json").write_text("{")
    cases = {
        f"hf:{tmp_path / 'empty'}": "a folder with config.json",
        f"hf:{tmp_path / 'nowhere'}": "no such folder",
        f"hf:{tmp_path / 'no_weights'}": "model: expected",
        f"hf:{tmp_path / 'damaged'}": "model: expected",
    }
    for model, says in cases.items():
        with pytest.raises(LabelembError) as caught:
            check(replace(config, model=model), RunFolder(tmp_path / "run"))
        assert says in str(caught.value)
        assert "\n" not in str(caught.value)
    model = build_model(config, 3)
    assert isinstance(model.encoder, PretrainedEncoder)
    with pytest.raises(LabelembError, match="a tokenizer with at most 25 tokens, as the encoder has, got 26"):
        model.encoder.check_tokenizer(range(26), 32)  # type: ignore[arg-type]
    with pytest.raises(LabelembError, match="max_length: expected at most 32, the positions of the encoder, got 33"):
        check(replace(config, max_length=33), RunFolder(tmp_path / "run"))
