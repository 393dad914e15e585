"""Finding run folders on disk."""

from collections.abc import Iterable
from pathlib import Path

from labelemb.errors import DataError
from labelemb.runs.folder import RunFolder


def find_runs(folders: Iterable[Path | str]) -> list[RunFolder]:
    """Return the run folders at or below some directories, sorted by path.

    Raises:
        DataError: A directory is missing or holds no run.
    """
    found: set[Path] = set()
    for folder in map(Path, folders):
        below = {file.parent for file in folder.rglob("config.yaml") if (file.parent / "signature.json").is_file()}
        if not below:
            raise DataError(
                str(folder),
                "a folder with runs (config.yaml, history.jsonl) in it",
                "none" if folder.is_dir() else "no such folder",
                "labelemb train PRESET --out DIR makes some",
            )
        found |= below
    return [RunFolder(path) for path in sorted(found)]


def embedding_file(source: Path) -> Path:
    """Return the label embedding file of a run folder; any other path is returned as it is.

    Raises:
        DataError: The run folder has no label embedding.
    """
    if not source.is_dir():
        return source
    file = RunFolder(source).labels_file
    if not file.is_file():
        hint = "Cross-entropy runs learn none; take a seed-N folder below .../label_embedding"
        raise DataError(str(source), "a run with a label embedding", "none", hint)
    return file
