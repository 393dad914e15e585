"""The verbs that only look: list, show, report, similar."""

from pathlib import Path

from rich.console import Console
from rich.table import Table

from labelemb.cli.arguments import Parser
from labelemb.presets import preset_names, read_preset


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
    chosen = parser.parse(arguments)
    from labelemb.report import make_report  # matplotlib takes a second to import

    labels = [label.strip() for label in chosen.labels.split(",")] if chosen.labels else None
    made = make_report([Path(folder) for folder in chosen.folders], Path(chosen.out), labels=labels, order=chosen.order)
    print(made.text)
    print(f"\nThe page: {made.page.resolve()}")
    return 0


def similar(arguments: list[str]) -> int:
    """labelemb similar FILE_OR_RUN LABEL."""
    parser = Parser(
        "labelemb similar",
        "Show the labels that a learned label embedding puts nearest to a label.",
        "a session:\n  $ labelemb similar demo/digits/emb/seed-0 3 --top 3",
    )
    parser.add_argument("source", type=str, help="a safetensors file, or a run folder with labels.safetensors in it")
    parser.add_argument("label", type=str, help="name of the label")
    parser.add_argument("--top", type=int, default=5, help="how many")
    chosen = parser.parse(arguments)
    from labelemb.errors import DataError
    from labelemb.losses.embedding import LabelEmbedding
    from labelemb.report import similar as nearest
    from labelemb.runs import RunFolder

    file = Path(chosen.source)
    if file.is_dir():
        file = RunFolder(file).labels_file
        if not file.is_file():
            hint = "One-hot runs learn none; take a seed-N folder below .../emb"
            raise DataError(str(file.parent), "a run with a label embedding", "none", hint)
    for name, probability in nearest(LabelEmbedding.load(file), chosen.label, chosen.top):
        print(f"{probability:.4f}  {name}")
    return 0
