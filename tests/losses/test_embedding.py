"""Label embeddings: what they start as, what they hold, and files that come back as they were."""

import pickle
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from labelemb import CompressedLabelEmbedding, DenseLabelEmbedding
from labelemb.errors import ConfigError, DataError
from labelemb.terms.embedding import LabelEmbedding

NAMES = ["chó", "mèo", 'a "quoted" one', "<b>"]


def test_dense_starts_as_identity() -> None:
    embedding = DenseLabelEmbedding(3)
    assert torch.equal(embedding.weight, torch.eye(3))
    assert torch.equal(embedding.rows(torch.tensor([2, 0])), torch.eye(3)[[2, 0]])


def test_compressed_rows() -> None:
    embedding = CompressedLabelEmbedding(6, 2)
    labels = torch.tensor([5, 1, 1])
    want = (embedding.codes.weight[labels] @ embedding.decoder.weight.T + embedding.decoder.bias).relu()
    torch.testing.assert_close(embedding.rows(labels), want)
    assert embedding.matrix().shape == (6, 6)
    assert sum(p.numel() for p in embedding.parameters()) == 2 * 6 * 2 + 6
    torch.testing.assert_close(embedding.soft_labels().sum(1), torch.ones(6))


@pytest.mark.parametrize("make", [lambda: DenseLabelEmbedding(4), lambda: CompressedLabelEmbedding(4, 3)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_save_and_load(make: object, dtype: torch.dtype, tmp_path: Path) -> None:
    embedding = make().to(dtype)
    file = tmp_path / "labels.safetensors"
    embedding.save(file, NAMES)
    for kind in (type(embedding), LabelEmbedding):
        loaded = kind.load(file)
        assert type(loaded) is type(embedding)
        assert loaded.label_names == NAMES
        assert all(torch.equal(a, b) for a, b in zip(loaded.parameters(), embedding.parameters(), strict=True))
    assert [path.name for path in tmp_path.iterdir()] == [file.name], "nothing half-written is left"


def test_tensor_names_in_the_file(tmp_path: Path) -> None:
    DenseLabelEmbedding(2).save(tmp_path / "dense")
    CompressedLabelEmbedding(2, 1).save(tmp_path / "compressed")
    with safe_open(tmp_path / "dense", "pt") as file:
        assert set(file.keys()) == {"weight"}
        assert file.metadata()["kind"] == "dense"
    with safe_open(tmp_path / "compressed", "pt") as file:
        assert set(file.keys()) == {"codes.weight", "decoder.weight", "decoder.bias"}
    assert DenseLabelEmbedding.load(tmp_path / "dense").label_names is None


def test_refusals(tmp_path: Path) -> None:
    file = tmp_path / "labels.safetensors"
    with pytest.raises(ConfigError, match="label_names: expected 2 names, one per label, got 4"):
        DenseLabelEmbedding(2).save(file, NAMES)
    with pytest.raises(DataError, match="no such file"):
        DenseLabelEmbedding.load(file)
    CompressedLabelEmbedding(4, 3).save(file)
    with pytest.raises(DataError, match="expected a dense label embedding, got .*compressed"):
        DenseLabelEmbedding.load(file)
    file.write_bytes(pickle.dumps({"weight": 1}))
    with pytest.raises(DataError, match="expected a safetensors file"):
        DenseLabelEmbedding.load(file)
    save_file({"weight": torch.eye(2)}, file)
    with pytest.raises(DataError, match="expected a dense label embedding, got format None"):
        DenseLabelEmbedding.load(file)
    save_file({"weights": torch.eye(2)}, file, {"format": "labelemb.embedding.v1", "kind": "dense"})
    with pytest.raises(DataError, match="expected the tensors of a dense label embedding"):
        DenseLabelEmbedding.load(file)
