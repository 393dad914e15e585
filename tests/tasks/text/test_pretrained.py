"""Pretrained encoders of transformers: trained, frozen, saved and loaded; invalid folders give a one-line error."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from labelemb.errors import LabelembError
from labelemb.runs import RunFolder
from labelemb.tasks.export import export_model
from labelemb.tasks.text.batch import EncodedTexts
from labelemb.tasks.text.config import TextConfig
from labelemb.tasks.text.model import build_model
from labelemb.tasks.text.pretrained import PretrainedEncoder, PretrainedTokenizer
from labelemb.tasks.text.recipe import check, train
from labelemb.tasks.text.trained import TrainedTextModel
from tests.tasks.text.conftest import WORDS, sentences, write_csv

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
    export_model(model, "hf", tmp_path / "hf")
    encoder = transformers.AutoModel.from_pretrained(tmp_path / "hf").eval()
    tokens = transformers.AutoTokenizer.from_pretrained(tmp_path / "hf")(["a pear is here"], return_tensors="pt")
    head = load_file(tmp_path / "hf" / "classifier.safetensors")
    hidden = encoder(**tokens).last_hidden_state.mean(1)
    torch.testing.assert_close(hidden @ head["weight"].T + head["bias"], model.logits(["a pear is here"]))


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
    with pytest.raises(LabelembError, match="max_length: expected at most 32, the positions of the encoder, got 33"):
        check(replace(config, max_length=33), RunFolder(tmp_path / "run"))
