"""``labelemb export``: write a learned label embedding, or a trained classifier, for other programs."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.terminal import show
from labelemb.cli.trained_model import add_checkpoint


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    run = "runs/digits/label_embedding/seed-0"
    made = Parser(
        "Write a learned label embedding, or the trained classifier itself, in a format that other programs read.",
        f"examples:\n  $ labelemb export {run} --to csv\n  labels.csv\n"
        f"  $ labelemb export {run} --to tensorboard\n  projector, for tensorboard --logdir projector",
    )
    made.add_argument("source", type=str, help="a run folder, or for a label embedding its file labels.safetensors")
    text = "label embedding: safetensors, csv, npy or tensorboard; classifier: onnx, torch (torch.export) or hf"
    made.add_argument("--to", type=str, default="csv", help=text)
    made.add_argument("--out", type=str, help="file to write, or for tensorboard and hf a folder")
    add_checkpoint(made, "of a classifier: last, or best on the validation data")
    made.add_argument("--logits", action="store_true", help="csv, npy: E itself instead of the soft labels softmax(E)")
    made.add_argument(
        "--data",
        type=str,
        help="tensorboard: folder with the data, for thumbnails; default: the environment variable LABELEMB_DATA",
    )
    return made


def run(chosen: Any) -> int:
    """Write the file or folder and print its path."""
    if chosen.to in ("onnx", "torch", "hf"):
        from labelemb.tasks.export import export_model
        from labelemb.tasks.loading import load_classifier

        show(
            export_model(load_classifier(chosen.source, chosen.checkpoint), chosen.to, chosen.out and Path(chosen.out))
        )
        return 0
    from labelemb.report.export import export_embedding
    from labelemb.runs import RunFolder, embedding_file
    from labelemb.terms.embedding import LabelEmbedding

    source = Path(chosen.source)
    embedding = LabelEmbedding.load(embedding_file(source))
    thumbnails = None
    if chosen.to == "tensorboard" and source.is_dir():
        from labelemb.tasks.vision.trained import thumbnails_of

        data = chosen.data or os.environ.get("LABELEMB_DATA")
        thumbnails = thumbnails_of(RunFolder(source), Path(data) if data else None)
    out = export_embedding(embedding, chosen.to, chosen.out and Path(chosen.out), chosen.logits, thumbnails)
    show(f"{out}, for tensorboard --logdir {out}" if chosen.to == "tensorboard" else out)
    return 0


COMMAND = Command(parser, run)
