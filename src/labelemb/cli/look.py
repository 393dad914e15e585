"""The verbs that only look: list, show, report, similar, export."""

import os
from pathlib import Path

from rich.console import Console
from rich.table import Table

from labelemb.cli.arguments import Parser
from labelemb.errors import ConfigError, check_at_least_one
from labelemb.presets import preset_names, read_preset
from labelemb.tasks.seq2seq.vocab import SPECIAL


def list_presets(arguments: list[str]) -> int:
    """labelemb list."""
    parser = Parser("labelemb list", "List the presets.", "a session:\n  $ labelemb list")
    parser.parse(arguments)
    table = Table("preset", "what it trains", box=None)
    for name in preset_names():
        table.add_row(name, read_preset(name).summary)
    console = Console()
    console.print(table)
    console.print("See one: labelemb show PRESET. Train one: labelemb train PRESET", highlight=False)
    return 0


def show(arguments: list[str]) -> int:
    """labelemb show PRESET."""
    parser = Parser("labelemb show", "Print a preset, each key commented.", "a session:\n  $ labelemb show mnist-mlp")
    parser.add_argument("preset", type=str, help=f"one of {', '.join(preset_names())}")
    print(read_preset(parser.parse(arguments).preset).text, end="")
    return 0


def report(arguments: list[str]) -> int:
    """labelemb report DIR..."""
    parser = Parser(
        "labelemb report",
        "Make tables, curves, heat maps and one HTML page of all runs in some folders. Nothing is trained.",
        "a session:\n  $ labelemb report runs/mnist-mlp runs/mnist-cnn --out report\n  $ open report/report.html",
    )
    parser.add_argument("folders", type=str, nargs="+", help="folders with runs at or below them")
    parser.add_argument("--out", type=str, default="report", help="folder for the report")
    parser.add_argument("--labels", type=str, default=None, help="labels for the heat map, commas between; else all")
    parser.add_argument("--order", type=str, default="cluster", help="order of the labels: cluster or given")
    parser.add_argument(
        "--reference",
        type=str,
        default=None,
        help="method that the others are compared with; else baseline, or the first",
    )
    chosen = parser.parse(arguments)
    from labelemb.report import make_report  # matplotlib takes a second to import

    labels = [label.strip() for label in chosen.labels.split(",")] if chosen.labels else None
    folders = [Path(folder) for folder in chosen.folders]
    made = make_report(folders, Path(chosen.out), labels, chosen.order, chosen.reference)
    print(made.text)
    print(f"\nThe page: {made.page.resolve()}")
    return 0


def similar(arguments: list[str]) -> int:
    """labelemb similar FILE_OR_RUN LABEL."""
    parser = Parser(
        "labelemb similar",
        "Show the labels that a learned label embedding puts nearest to a label.",
        "a session:\n  $ labelemb similar demo/digits/label_embedding/seed-0 3 --top 3\n"
        "  $ labelemb similar runs/iwslt15-en-vi/label_embedding/seed-0 --frequent 20    # a vocabulary is by frequency",
    )
    parser.add_argument("source", type=str, help="a safetensors file, or a run folder with labels.safetensors in it")
    parser.add_argument("label", type=str, nargs="?", default=None, help="name of the label")
    parser.add_argument("--top", type=int, default=5, help="how many")
    frequent = "language runs: instead of a label this many frequent words, those of letters alone, a line each"
    parser.add_argument("--frequent", type=int, default=None, help=frequent)
    chosen = parser.parse(arguments)
    if (chosen.label is None) == (chosen.frequent is None):
        raise ConfigError("label", "a label, or --frequent N", "both" if chosen.label else "neither")
    if chosen.frequent is not None:
        check_at_least_one("frequent", chosen.frequent)
    from labelemb.report import similar as nearest
    from labelemb.runs import embedding_file
    from labelemb.terms.embedding import LabelEmbedding

    file = embedding_file(Path(chosen.source))
    embedding = LabelEmbedding.load(file)
    if chosen.frequent is None:
        for name, probability in nearest(embedding, chosen.label, chosen.top, SPECIAL):
            print(f"{probability:.4f}  {name}")
        return 0
    words = [name for name in embedding.label_names or [] if name.isalpha()][: chosen.frequent]  # in their order
    width = max(map(len, words), default=0)
    for word in words:
        print(f"{word:{width}}  {' '.join(name for name, _ in nearest(embedding, word, chosen.top, SPECIAL))}")
    return 0


def export(arguments: list[str]) -> int:
    """labelemb export FILE_OR_RUN."""
    parser = Parser(
        "labelemb export",
        "Write a learned label embedding in a form that other programs read.",
        "a session:\n  $ labelemb export demo/digits/label_embedding/seed-0 --to csv\n  labels.csv\n"
        "  $ labelemb export demo/digits/label_embedding/seed-0 --to tensorboard\n  projector, for tensorboard --logdir projector",
    )
    parser.add_argument("source", type=str, help="a run folder with labels.safetensors in it, or such a file")
    parser.add_argument("--to", type=str, default="csv", help="safetensors, csv, npy or tensorboard")
    parser.add_argument("--out", type=str, default=None, help="file to write; for tensorboard a folder")
    parser.add_argument(
        "--logits", action="store_true", help="csv, npy: E itself instead of the soft labels softmax(E)"
    )
    parser.add_argument("--data", type=str, default=None, help="tensorboard: folder with the data, else LABELEMB_DATA")
    chosen = parser.parse(arguments)
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
    print(f"{out}, for tensorboard --logdir {out}" if chosen.to == "tensorboard" else out)
    return 0
