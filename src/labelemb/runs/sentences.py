"""Scores of single sentences of a seq2seq run, for paired tests of BLEU and ROUGE. N sentences, K statistics."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from labelemb.array_files import read_arrays, write_arrays
from labelemb.errors import DataError

SentenceScores = dict[str, NDArray[Any]]


def write_sentences(path: Path, sentences: Mapping[str, Mapping[str, NDArray[Any]]]) -> None:
    """Write the statistics of each sentence as a compressed NumPy archive.

    Args:
        path: File to write.
        sentences: ``CHECKPOINT/SPLIT`` -> name of a score -> (N,) scores of the sentences, whose mean is the score of
            the text, or (N, K) counts, of whose sums the score of the text is made.
    """
    write_arrays(
        path, {f"{name}/{score}": array for name, found in sentences.items() for score, array in found.items()}
    )


def read_sentences(path: Path) -> dict[str, SentenceScores]:
    """Read what ``write_sentences`` wrote; empty when there is no such file.

    Raises:
        DataError: The file is damaged.
    """
    found: dict[str, SentenceScores] = {}
    if not path.is_file():
        return found
    for key, array in read_arrays(path, "scores of the sentences of a run").items():
        name, _, score = key.rpartition("/")
        found.setdefault(name, {})[score] = array
    for name, scores in found.items():
        if (
            any(array.ndim not in (1, 2) or array.dtype.kind not in "uf" for array in scores.values())
            or len({len(a) for a in scores.values()}) > 1
        ):
            shapes = ", ".join(str(array.shape) for array in scores.values())
            raise DataError(f"{path}: {name}", "arrays (N,) or (N, K) of equally many sentences", shapes)
    return found
