"""``labelemb predict``: classify images or texts with a trained model."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.terminal import show, show_json
from labelemb.cli.trained_model import add_checkpoint, load_classifier
from labelemb.errors import ConfigError

if TYPE_CHECKING:
    from labelemb.tasks.text.trained import TrainedTextModel


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Classify images, or texts from standard input, with a trained model: print the most probable labels.",
        "example:\n  $ labelemb predict runs/cifar10-small/label_embedding/seed-0 cat.png ship.png\n"
        "  cat.png   cat 56.0 %  dog 30.9 %  frog 3.1 %\n  ship.png  ship 84.0 %  automobile 7.5 %  airplane 6.1 %\n"
        "  $ labelemb predict runs/intents/label_embedding/seed-0 < lines.txt",
    )
    made.add_argument("run", type=str, help="a run folder")
    made.add_argument(
        "images",
        type=str,
        nargs="*",
        default=[],
        help="image files, or folders of them; a text model reads one text per line from standard input",
    )
    made.add_argument("--top", type=int, default=3, help="labels per image or text")
    add_checkpoint(made, "last, or best: of the epoch with the lowest validation error")
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(chosen: Any) -> int:
    """Print the predictions."""
    from labelemb.tasks.text.trained import TrainedTextModel

    model = load_classifier(chosen)
    if isinstance(model, TrainedTextModel):
        return _predict_texts(model, chosen)
    from labelemb.tasks.vision.trained import find_images

    if not chosen.images:
        raise ConfigError("images", "image files, or folders of them", "none")
    files = find_images([Path(image) for image in chosen.images])
    predictions = model.predict(files, chosen.top)
    if chosen.json:
        _print_json("image", map(str, files), predictions)
        return 0
    width = max(len(str(file)) for file in files)
    for file, labels in zip(files, predictions, strict=True):
        show(f"{file!s:{width}}  {_spelled(labels)}")
    return 0


def _predict_texts(model: "TrainedTextModel", chosen: Any) -> int:
    """Print the labels of each line of the standard input."""
    from labelemb.tasks.text.files import read_stdin_lines

    if chosen.images:
        hint = f"labelemb predict {chosen.run} < {chosen.images[0]}"
        raise ConfigError("images", "none: a text model reads lines from the standard input", chosen.images[0], hint)
    lines = read_stdin_lines()
    predictions = model.predict(lines, chosen.top) if lines else []
    if chosen.json:
        _print_json("text", lines, predictions)
        return 0
    for labels in predictions:
        show(_spelled(labels))
    return 0


def _spelled(labels: Sequence[tuple[str, float]]) -> str:
    return "  ".join(f"{name} {100 * p:.1f} %" for name, p in labels)


def _print_json(kind: str, items: Iterable[str], predictions: Sequence[Sequence[tuple[str, float]]]) -> None:
    rows = [
        {kind: item, "labels": [{"label": name, "probability": p} for name, p in labels]}
        for item, labels in zip(items, predictions, strict=True)
    ]
    show_json(rows)


COMMAND = Command(parser, run)
