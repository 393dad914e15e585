"""Encoding of texts, kept in the cache directory so that a data set is tokenized once."""

import contextlib
import hashlib
from typing import Protocol

import torch
from safetensors import SafetensorError, safe_open

from labelemb.files import cache_folder
from labelemb.tasks.text.batch import EncodedTexts
from labelemb.tasks.text.data import Texts
from labelemb.tensor_files import write_tensors

FORMAT = "labelemb.texts.v1"
FEWEST = 1000  # fewer texts are not worth a file


class Tokenizer(Protocol):
    """Turns texts into token ids; ``identity`` changes whenever the ids of some text do."""

    pad_id: int
    identity: str

    def encode(self, texts: tuple[str, ...], max_length: int) -> tuple[list[list[int]], int]:
        """Return the ids of each text, and how many texts were truncated to ``max_length``."""
        ...


def encode_texts(texts: Texts, tokenizer: Tokenizer, max_length: int) -> EncodedTexts:
    """Return the token ids of a split, read from the cache where they are already there.

    Args:
        texts: The split.
        tokenizer: How to tokenize.
        max_length: Maximum number of tokens; longer texts are truncated and counted.
    """
    if len(texts) < FEWEST:
        return EncodedTexts.of(*tokenizer.encode(texts.lines, max_length))
    sha = hashlib.sha256(f"{FORMAT}\0{max_length}\0{tokenizer.identity}\0".encode())
    for line in texts.lines:
        sha.update(line.encode() + b"\0")
    file = cache_folder() / "texts" / f"{sha.hexdigest()[:24]}.safetensors"
    with contextlib.suppress(OSError, SafetensorError, KeyError, TypeError, ValueError):  # missing or damaged
        with safe_open(file, framework="np") as content:
            encoded = EncodedTexts(
                content.get_tensor("ids"), content.get_tensor("starts"), int(content.metadata()["truncated"])
            )
        if len(encoded) == len(texts):
            return encoded
    encoded = EncodedTexts.of(*tokenizer.encode(texts.lines, max_length))
    tensors = {"ids": torch.from_numpy(encoded.ids), "starts": torch.from_numpy(encoded.starts)}
    with contextlib.suppress(OSError):  # train all the same on a read-only or full disk
        write_tensors(file, tensors, {"truncated": str(encoded.truncated)})
    return encoded
