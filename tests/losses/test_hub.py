"""Label embeddings in a folder or a repository of the Hub. The Hub itself is replaced: nothing here needs a network."""

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from labelemb import CompressedLabelEmbedding, DenseLabelEmbedding, LabelEmbedding
from labelemb.errors import DataError
from labelemb.terms import hub


@pytest.mark.parametrize(
    "embedding", [DenseLabelEmbedding(3), CompressedLabelEmbedding(3, 2)], ids=["dense", "compressed"]
)
def test_a_folder_gives_back_what_was_saved(embedding: LabelEmbedding, tmp_path: Path) -> None:
    embedding.label_names = ["cat", "dog", "a | b"]
    embedding.save_pretrained(tmp_path, data="pets", test_error=1.5)
    again = LabelEmbedding.from_pretrained(tmp_path)
    assert torch.equal(again.matrix(), embedding.matrix())
    assert again.label_names == embedding.label_names
    card = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "| data | pets |" in card
    assert "| test_error | 1.5 |" in card
    assert "a \\| b" in card


def test_a_repository_gives_back_what_was_pushed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def upload_folder(repo_id: str, folder_path: str) -> str:
        shutil.copytree(folder_path, tmp_path / repo_id)
        return f"https://hub/{repo_id}"

    def download(repo_id: str, name: str) -> str:
        return str(tmp_path / repo_id / name)

    fake = SimpleNamespace(create_repo=lambda *_, **__: None, upload_folder=upload_folder, hf_hub_download=download)
    monkeypatch.setattr(hub, "_hub", lambda: fake)
    embedding = DenseLabelEmbedding(4)
    assert embedding.push_to_hub("me/labels", data="digits") == "https://hub/me/labels"
    assert torch.equal(DenseLabelEmbedding.from_pretrained("me/labels").weight, embedding.weight)


def test_what_holds_no_embedding(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(DataError, match="a folder with label_embedding.safetensors, got none"):
        LabelEmbedding.from_pretrained(tmp_path)

    def refuse(*arguments: object) -> str:
        raise OSError("no network")

    monkeypatch.setattr(hub, "_hub", lambda: SimpleNamespace(hf_hub_download=refuse))
    with pytest.raises(DataError, match="no network"):
        LabelEmbedding.from_pretrained("me/nothing")
