"""Run folders: claimed once, refused to others, whole or not at all."""

import errno
from pathlib import Path
from typing import BinaryIO

import pytest

from labelemb.errors import ConfigError, DataError
from labelemb.files import write_atomically
from labelemb.runs import RunFolder, find_runs
from labelemb.runs.provenance import collect_provenance
from labelemb.training.engines.local import CONTEXT

SIGNATURE = {"data_digest": "abc"}


def test_open_is_idempotent_and_refuses_another_run(tmp_path: Path) -> None:
    run = RunFolder.of(tmp_path, "digits", "label_embedding", 3)
    assert run.path == tmp_path / "digits" / "label_embedding" / "seed-3"
    run.open({"epochs": 2, "tau": 2.0}, SIGNATURE)
    run.open({"epochs": 2, "tau": 2.0}, SIGNATURE)
    with pytest.raises(ConfigError, match="epochs 2 there, 3 here, tau 2.0 there, None here.*Choose another --out"):
        run.open({"epochs": 3}, SIGNATURE)
    with pytest.raises(ConfigError, match="data_digest 'abc' there, 'other' here"):
        run.open({"epochs": 2, "tau": 2.0}, {"data_digest": "other"})
    assert run.signature() == SIGNATURE


def test_a_key_that_is_newer_than_the_run_meant_its_default(tmp_path: Path) -> None:
    run = RunFolder.of(tmp_path, "digits", "label_embedding", 0)
    run.open({"epochs": 2}, SIGNATURE)
    run.open({"epochs": 2, "mixup": 0.0}, SIGNATURE, {"mixup": 0.0, "epochs": 15})
    with pytest.raises(ConfigError, match="mixup 0.0 there, 0.4 here"):
        run.check({"epochs": 2, "mixup": 0.4}, SIGNATURE, {"mixup": 0.0, "epochs": 15})


def test_where_a_run_went_on_is_added_to_its_signature(tmp_path: Path) -> None:
    run = RunFolder.of(tmp_path, "digits", "label_embedding", 0)
    first = SIGNATURE | {"torch": "1", "machine": "a"}
    for signature in (first, first, first | {"torch": "2"}, first | {"torch": "2"}, first):
        run.open({"epochs": 2}, signature)
    assert run.signature() == first | {"resumed": [{"torch": "2"}, {}]}
    run.finish({})
    run.open({"epochs": 2}, first | {"machine": "b"})
    assert run.signature() == first | {"resumed": [{"torch": "2"}, {}]}


def test_a_run_that_began_with_another_file_is_another_run(tmp_path: Path) -> None:
    run = RunFolder.of(tmp_path, "digits", "frozen_embedding", 0)
    run.open({}, SIGNATURE | {"embedding_digest": "1"})
    with pytest.raises(ConfigError, match="another data.*embedding_digest '1' there, '2' here"):
        run.open({}, SIGNATURE | {"embedding_digest": "2"})
    run.check({}, SIGNATURE | {"newer_digest": "3"})  # an older version did not write that one


def test_damaged_files_are_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    for content, says in (
        (b"\xff\xfe", "one JSON object per line"),
        (b"[1]\n", r"line 1: expected a valid dictionary, got \[1\]"),
    ):
        run.history_file.write_bytes(content)
        with pytest.raises(DataError, match=says):
            run.history()
    run.config_file.write_bytes(b"a: \xff")
    with pytest.raises(DataError, match=r"config.yaml: expected a file of a run folder in UTF-8, got .*position 3"):
        run.config()


def test_history_comes_back(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    assert run.history() == []
    lines = [{"epoch": 1, "terms": {"hard": 0.5}}, {"epoch": 2, "terms": {}}]
    run.write_history(lines)
    assert run.history() == lines
    run.history_file.write_text('{"epoch": 1}\n{"epo')
    with pytest.raises(DataError, match="one JSON object per line"):
        run.history()


def test_find_runs(tmp_path: Path) -> None:
    for seed in (1, 0):
        RunFolder.of(tmp_path, "p", "label_embedding", seed).open({"seed": seed}, SIGNATURE)
    assert [run.path.name for run in find_runs([tmp_path, tmp_path / "p"])] == ["seed-0", "seed-1"]
    with pytest.raises(DataError, match="no such file|no such folder"):
        find_runs([tmp_path / "nowhere"])


def hold(folder: str, locked: object, release: object) -> None:
    with RunFolder(Path(folder)).locked():
        locked.set()
        release.wait(600)


def test_a_folder_belongs_to_one_process(tmp_path: Path) -> None:
    locked, release = CONTEXT.Event(), CONTEXT.Event()
    holder = CONTEXT.Process(target=hold, args=(str(tmp_path), locked, release))
    holder.start()
    assert locked.wait(120)
    with pytest.raises(ConfigError, match="no other process is training"), RunFolder(tmp_path).locked(patience=0.1):
        pass
    holder.kill()
    holder.join()
    with RunFolder(tmp_path).locked():
        pass


def test_a_failed_write_leaves_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("old")

    def fail(content: BinaryIO) -> None:
        content.write(b"half")
        raise OSError(errno.ENOSPC, "disk full")

    with pytest.raises(OSError, match="disk full.*a.txt"):
        write_atomically(file, fail)
    assert file.read_text() == "old"
    assert list(tmp_path.iterdir()) == [file]


def test_signature_says_what_made_a_number() -> None:
    signature = collect_provenance(7, "abc", "cpu")
    assert signature["seed"] == 7
    assert {"labelemb", "git_commit", "torch", "machine", "threads", "data_digest"} <= set(signature)
