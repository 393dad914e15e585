"""What each process does that torchrun would start: the example, and the code of the document."""

import contextlib
import io
import re
import runpy
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

import labelemb
from labelemb.tasks.seq2seq import numbers

ROOT = Path(__file__).parents[2]


def run_example(folder: str) -> None:
    numbers.SPLITS.update(train=300, valid=40, test=2)
    sys.argv = ["label_shards.py", "--steps", "12", "--size", "16"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        runpy.run_path(str(ROOT / "examples" / "label_shards.py"), run_name="__main__")
    if dist.get_rank() == 0:
        Path(folder, f"{dist.get_world_size()}.txt").write_text(printed.getvalue())


def run_document(folder: str) -> None:
    text = (ROOT / "docs" / "large-vocabulary.md").read_text(encoding="utf-8")
    blocks = [block for block in re.findall(r"^```python\n(.*?)^```", text, flags=re.S | re.M) if "LabelShard" in block]
    names: dict[str, Any] = {name: getattr(labelemb, name) for name in labelemb.__all__} | {"nn": nn}
    names |= {"hidden": torch.randn(4, 16), "targets": torch.arange(4)}
    for block in blocks:
        block = block.replace('dist.init_process_group("gloo")', "").replace("32_003", "53").replace("512", "16")
        exec(block.replace("(2, 4)", "(1, 2)"), names)
    assert names["out"].logits.shape == (4, 27 if dist.get_rank() == 0 else 26)
    assert names["loss"].process_group is not None
