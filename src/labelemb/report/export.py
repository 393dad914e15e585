"""Export of a learned label embedding to formats that other programs read. V labels."""

import codecs
import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from labelemb.csv_cells import write_rows
from labelemb.errors import ConfigError
from labelemb.files import write_atomically, write_together
from labelemb.report.similarity import names_of
from labelemb.terms.embedding import LabelEmbedding

Format = Literal["safetensors", "csv", "npy", "tensorboard"]
BLOCK = 2**22  # numbers in memory at a time
LARGEST_THUMBNAIL, LARGEST_SPRITE = 64, 8192  # pixels; TensorBoard reads no larger sprite
_CONFIG = """embeddings {{
  tensor_name: "{title}"
  tensor_path: "tensors.tsv"
  metadata_path: "metadata.tsv"{sprite}
}}
"""
_SPRITE = """
  sprite {{
    image_path: "sprite.png"
    single_image_dim: {width}
    single_image_dim: {height}
  }}"""


def export_embedding(
    embedding: LabelEmbedding, to: str, out: Path | None = None, logits: bool = False, thumbnails: Tensor | None = None
) -> Path:
    """Write an embedding to a file or folder.

    A block of rows is computed at a time: a compressed embedding of many labels needs no (V, V) memory.

    Args:
        embedding: Embedding of V labels.
        to: ``"safetensors"`` (read by ``LabelEmbedding.load`` and ``--embedding``), ``"csv"`` (a row and a column per
            label, with names), ``"npy"`` (the same numbers, names in a ``.txt`` beside it) or ``"tensorboard"`` (a
            folder for its embedding projector).
        out: Path to write. None: ``labels.csv`` and so on in the current folder, or ``projector``.
        logits: For csv and npy: write E instead of the soft labels softmax(E).
        thumbnails: For tensorboard: an image per label, (V, C, H, W) uint8 with C of 1 or 3.

    Returns:
        The path that was written.

    Raises:
        ConfigError: Unknown format, or a path that fits none.
    """
    if to not in get_args(Format):
        raise ConfigError("to", " or ".join(get_args(Format)), repr(to))
    names = names_of(embedding)
    rows = partial(_rows, embedding, logits and to != "tensorboard")
    path = out or Path("projector" if to == "tensorboard" else f"labels.{to}")
    match to:
        case "safetensors":
            embedding.save(path)
        case "csv":
            write_atomically(path, lambda file: _write_csv(file, names, rows()))
        case "npy":
            if not path.name or path.suffix == ".txt":
                raise ConfigError("out", "a file name that does not end in .txt: names go there", repr(str(path)))
            listed = _encoded("".join(f"{_one_line(name)}\n" for name in names))
            matrix = partial(_write_npy, size=len(names), rows=rows())
            write_together({path.with_suffix(".txt"): listed, path: matrix})
        case _:
            _write_projector(path, names, rows(), thumbnails)
    return path


def _rows(embedding: LabelEmbedding, logits: bool) -> Iterator[NDArray[np.float32]]:
    """Yield the rows of E or of the soft labels, (V,) each."""
    labels = torch.arange(embedding.num_labels)
    for block in torch.split(labels, max(1, BLOCK // embedding.num_labels)):
        with torch.no_grad():
            values = embedding.rows(block).float()
        yield from (values if logits else values.softmax(dim=-1)).numpy()


def _write_npy(file: BinaryIO, size: int, rows: Iterable[NDArray[np.float32]]) -> None:
    """Write the file format of numpy.save row by row."""
    header = {"descr": "<f4", "fortran_order": False, "shape": (size, size)}
    np.lib.format.write_array_header_1_0(file, header)
    for row in rows:
        file.write(row.astype("<f4", copy=False).tobytes())


def _write_csv(file: BinaryIO, names: list[str], rows: Iterable[NDArray[np.float32]]) -> None:
    lines = ([name, *(f"{value:.7g}" for value in row)] for name, row in zip(names, rows, strict=True))
    write_rows(codecs.getwriter("utf-8")(file), itertools.chain([["label", *names]], lines))


def _write_projector(
    folder: Path, names: list[str], rows: Iterable[NDArray[np.float32]], thumbnails: Tensor | None
) -> None:
    """Write the files of TensorBoard's embedding projector: text, and one image with all thumbnails.

    TensorBoard finds them by the configuration, which comes last.
    """
    files: dict[str, Callable[[BinaryIO], object]] = {}
    sprite = ""
    if thumbnails is not None:
        sheet, height, width = sprite_sheet(thumbnails)
        files["sprite.png"] = partial(_write_png, pixels=sheet)
        sprite = _SPRITE.format(width=width, height=height)
    files["tensors.tsv"] = partial(_write_tsv, rows=rows)
    files["metadata.tsv"] = _encoded("".join(f"{_one_line(name)}\n" for name in names))
    files["projector_config.pbtxt"] = _encoded(_CONFIG.format(title="soft labels", sprite=sprite))
    write_together({folder / name: write for name, write in files.items()})


def _write_tsv(file: BinaryIO, rows: Iterable[NDArray[np.float32]]) -> None:
    for row in rows:
        file.write(("\t".join(f"{value:.7g}" for value in row) + "\n").encode())


def sprite_sheet(thumbnails: Tensor) -> tuple[Tensor, int, int]:
    """Arrange images on a square grid, row by row.

    Args:
        thumbnails: (V, C, H, W) uint8, C of 1 or 3; larger ones are shrunk.

    Returns:
        The grid, (rows * h, columns * w, 3), and h and w.
    """
    images = thumbnails.expand(-1, 3, -1, -1)
    columns = math.ceil(math.sqrt(len(images)))
    limit = min(LARGEST_THUMBNAIL, LARGEST_SPRITE // columns)
    scale = min(1.0, limit / max(images.shape[2:]))
    if scale < 1:
        size = [max(1, int(side * scale)) for side in images.shape[2:]]
        images = F.interpolate(images.float(), size=size, mode="area").round().to(torch.uint8)
    height, width = images.shape[2:]
    sheet = torch.zeros(columns**2, 3, height, width, dtype=torch.uint8)
    sheet[: len(images)] = images
    grid = sheet.view(columns, columns, 3, height, width).permute(0, 3, 1, 4, 2)
    return grid.reshape(columns * height, columns * width, 3), height, width


def _write_png(file: BinaryIO, pixels: Tensor) -> None:
    from PIL import Image

    Image.fromarray(pixels.numpy()).save(file, format="png")


def _one_line(name: str) -> str:
    return " ".join(name.split())


def _encoded(text: str) -> Callable[[BinaryIO], object]:
    return lambda file: file.write(text.encode("utf-8", "backslashreplace"))
