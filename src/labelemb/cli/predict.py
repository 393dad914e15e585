"""``labelemb predict``: classify images with a trained model."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.trained_model import add_checkpoint, load_classifier


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Classify images with a trained model: list the most probable labels of each.",
        "example:\n  $ labelemb predict runs/cifar10-small/label_embedding/seed-0 cat.png ship.png\n"
        "  cat.png   cat 56.0 %  dog 30.9 %  frog 3.1 %\n  ship.png  ship 84.0 %  automobile 7.5 %  airplane 6.1 %",
    )
    made.add_argument("run", type=str, help="a run folder")
    made.add_argument("images", type=str, nargs="+", help="image files, or folders of them")
    made.add_argument("--top", type=int, default=3, help="labels per image")
    add_checkpoint(made, "last, or best: of the epoch with the lowest validation error")
    made.add_argument("--json", action="store_true", help="print JSON")
    return made


def run(chosen: Any) -> int:
    """Print the predictions."""
    from labelemb.tasks.vision.trained import find_images

    model = load_classifier(chosen)
    files = find_images([Path(image) for image in chosen.images])
    predictions = model.predict(files, chosen.top)
    if chosen.json:
        rows = [
            {"image": str(file), "labels": [{"label": name, "probability": p} for name, p in labels]}
            for file, labels in zip(files, predictions, strict=True)
        ]
        print(json.dumps(rows, ensure_ascii=False, indent=2))
        return 0
    width = max(len(str(file)) for file in files)
    for file, labels in zip(files, predictions, strict=True):
        print(f"{file!s:{width}}  " + "  ".join(f"{name} {100 * p:.1f} %" for name, p in labels))
    return 0


COMMAND = Command(parser, run)
