"""Runs at URLs: complete there, resumed from there on another machine, and mistakes in one line."""

import shutil
from pathlib import Path
from typing import Any

import fsspec
import pytest

from labelemb.cli.main import main
from labelemb.errors import DataError
from labelemb.runs import RunFolder
from labelemb.runs.remote import StagedRun, download

TRAIN = [
    "train",
    "digits",
    "--epochs",
    "3",
    "--batch_size",
    "100",
    "--width",
    "16",
    "--device",
    "cpu",
    "--threads",
    "1",
]
TIMINGS = {"seconds", "images_per_second"}


def metrics(run: RunFolder) -> list[dict[str, Any]]:
    return [{key: value for key, value in line.items() if key not in TIMINGS} for line in run.history()]


def test_a_run_at_a_url_goes_on_where_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    url = f"memory://{tmp_path.name}"
    publish = StagedRun.publish

    def publish_and_stop(run: StagedRun) -> None:
        publish(run)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StagedRun, "publish", publish_and_stop)
        assert main([*TRAIN, "--out", url]) == 130
    shutil.rmtree(tmp_path / "cache" / "labelemb" / "staging")  # another machine has no copy
    assert main([*TRAIN, "--out", url, "--resume"]) == 0
    assert f"Runs are in {url}/digits" in capsys.readouterr().out
    shutil.rmtree(tmp_path / "cache" / "labelemb" / "staging")
    assert main([*TRAIN, "--out", url]) == 0
    assert "1 of 1 runs were done before" in capsys.readouterr().out

    assert main([*TRAIN, "--out", str(tmp_path)]) == 0
    run = RunFolder.of(tmp_path, "digits", "label_embedding", 0)
    files = fsspec.filesystem("memory")
    kept = {Path(path).name for path in files.find(f"/{tmp_path.name}/digits/label_embedding/seed-0")}
    assert kept == {path.name for path in run.path.iterdir() if not path.name.startswith(".")}
    (tmp_path / "there").mkdir()
    files.get(f"/{tmp_path.name}/digits/label_embedding/seed-0/", f"{tmp_path}/there/", recursive=True)
    assert metrics(RunFolder(tmp_path / "there")) == metrics(run)


def test_urls_that_cannot_be_used(capsys: pytest.CaptureFixture[str]) -> None:
    for url, says in (
        ("nonesuch://a", "Protocol not known"),
        ("s3://bucket", "out: expected a URL that fsspec can use"),
    ):
        assert main([*TRAIN, "--out", url]) == 2
        assert says in capsys.readouterr().err


@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "..\\outside"])
def test_files_outside_of_the_folder_are_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Keys of an object store can be anything."""
    files = type(fsspec.filesystem("memory"))
    monkeypatch.setattr(files, "exists", lambda files, path: True)
    monkeypatch.setattr(files, "find", lambda files, root: [f"{root}/{name}"])
    monkeypatch.setattr(files, "cat_file", lambda files, path: b"content")
    with pytest.raises(DataError, match="names of files below it"):
        download("memory://hostile", tmp_path / "copy")
    assert not list(tmp_path.iterdir())
