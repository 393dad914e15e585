"""labelemb train --method frozen_embedding: a learned embedding teaches another architecture."""

from pathlib import Path

import pytest
import torch

from labelemb import DenseLabelEmbedding
from labelemb.cli.main import main
from labelemb.runs import RunFolder
from labelemb.training.checkpoint import load_checkpoint

SMALL = ["--epochs", "2", "--width", "8", "--batch_size", "200", "--device", "cpu"]


def test_soft_labels_of_a_run_train_another_architecture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = ["--out", str(tmp_path)]
    assert main(["train", "digits", *SMALL, *out]) == 0
    learned = RunFolder.of(tmp_path, "digits", "label_embedding", 0)
    reuse = ["train", "digits", "--method", "frozen_embedding", "--model", "cnn", *SMALL, *out, "--embedding"]
    assert main([*reuse, str(learned.path)]) == 0
    run = RunFolder.of(tmp_path, "digits", "frozen_embedding", 0)
    assert run.finished
    assert set(run.history()[-1]["terms"]) == {"hard", "soft"}
    assert len(run.signature()["embedding_digest"]) == 16
    assert not run.labels_file.exists(), "it has learned none"
    kept = load_checkpoint(run.last_checkpoint)["loss"]["embedding.weight"]
    assert torch.equal(kept, DenseLabelEmbedding.load(learned.labels_file).weight), "frozen"
    capsys.readouterr()
    assert main([*reuse, str(tmp_path / "nowhere.safetensors"), "--seed", "1"]) == 2
    assert "nowhere.safetensors: expected a safetensors file" in capsys.readouterr().err
    DenseLabelEmbedding(8).save(tmp_path / "part.safetensors", list("01234567"))
    assert main([*reuse, str(tmp_path / "part.safetensors"), "--seed", "1"]) == 2
    assert "all 10 labels (it has 8), got none for 8, 9" in capsys.readouterr().err
    assert main(["train", "digits", "--method", "frozen_embedding", *out]) == 2
    assert "embedding: expected a file or a run with a label embedding, for method frozen_embedding, got None" in (
        capsys.readouterr().err
    )


def test_frozen_soft_labels_do_not_affect_other_methods(tmp_path: Path) -> None:
    """So a baseline that was trained before is the same run."""
    DenseLabelEmbedding(11).save(tmp_path / "e.safetensors", ["more", *"9876543210"])
    command = ["train", "digits", *SMALL, "--out", str(tmp_path), "--method"]
    assert main([*command, "cross_entropy"]) == 0
    assert main([*command, "cross_entropy,frozen_embedding", "--embedding", str(tmp_path / "e.safetensors")]) == 0
    assert RunFolder.of(tmp_path, "digits", "cross_entropy", 0).config()["embedding"] is None
    assert RunFolder.of(tmp_path, "digits", "frozen_embedding", 0).finished
