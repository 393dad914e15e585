"""The verbs that use a trained model and say how good it is: predict (images), evaluate (images and text)."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from labelemb.cli.arguments import Parser
from labelemb.cli.language import TEXT_OPTIONS, add_text_options, evaluate_text, is_language
from labelemb.errors import ConfigError
from labelemb.metrics.calibration import pinned
from labelemb.runs import RunFolder
from labelemb.tasks.classification.trained import Checkpoint
from labelemb.tasks.vision.trained import TrainedModel, find_images

WORST = 5


def predict(arguments: list[str]) -> int:
    """labelemb predict RUN IMAGE..."""
    parser = Parser(
        "labelemb predict",
        "Show what a trained model sees on images: the most probable labels.",
        "a session:\n  $ labelemb predict runs/cifar10-small/label_embedding/seed-0 cat.png ship.png\n"
        "  cat.png   cat 56.0 %  dog 30.9 %  frog 3.1 %\n  ship.png  ship 84.0 %  automobile 7.5 %  airplane 6.1 %",
    )
    parser.add_argument("run", type=str, help="a run folder")
    parser.add_argument("images", type=str, nargs="+", help="image files, and folders of them")
    parser.add_argument("--top", type=int, default=3, help="labels per image")
    _add_common(parser)
    chosen = parser.parse(arguments)
    model = _model(chosen.run, chosen.checkpoint)
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


def evaluate(arguments: list[str]) -> int:
    """labelemb evaluate RUN."""
    parser = Parser(
        "labelemb evaluate",
        "Say how good a trained model is on its own test data, or on others: how often it is wrong on images, how its "
        "output for a text scores.",
        "a session:\n  $ labelemb evaluate runs/cifar10-small/label_embedding/seed-0 --data ~/data\n"
        "  10000 images  error 22.13 %  top-5 error 1.06 %  nll 0.829  ECE 22.83 %\n"
        "  most often wrong: cat 41.0 %, bird 33.9 %, ...\n"
        "  $ labelemb evaluate runs/numbers-en-vi/label_embedding/seed-0 --checkpoint bleu\n"
        "  500 sentences  perplexity 1.002\n  exact 99.60  nrefs:1|case:mixed|tok:none|whole lines\n  ...",
    )
    parser.add_argument("run", type=str, help="a run folder; of a language run also a checkpoint in one")
    parser.add_argument(
        "--data",
        type=str,
        default=None,
        help="folder with the data set, else LABELEMB_DATA; for a model of own images a folder of images per label",
    )
    parser.add_argument("--dataset", type=str, default=None, help="another data set, imagefolder:PATH or hub:ID too")
    parser.add_argument(
        "--calibrate",
        action="store_true",
        help="divide the logits by the temperature that fits the run's validation images best: errors stay, "
        "nll and ECE (calibration error) are those of the new probabilities",
    )
    _add_common(parser)
    add_text_options(parser)
    chosen = parser.parse(arguments)
    if is_language(Path(chosen.run)):
        _refuse(chosen, {"dataset": None, "calibrate": False}, "a run of images")
        return evaluate_text(chosen)
    _refuse(chosen, TEXT_OPTIONS, "a language run")
    model = _model(chosen.run, chosen.checkpoint)
    own, other = str(model.config.get("dataset")), chosen.dataset
    common = os.environ.get("LABELEMB_DATA")  # names where named data sets are, and nothing else
    images = model.test_images(other, _folder(chosen.data or (common if ":" not in (other or own) else None)))
    temperature = 1.0
    if chosen.calibrate:
        temperature = model.temperature(_folder(chosen.data or common) if ":" not in own else None)
    found = model.evaluate(images, temperature)
    if chosen.json:
        print(json.dumps(asdict(found), ensure_ascii=False, indent=2))
        return 0
    top5 = f"  top-5 error {found.error_top5:.2f} %" if len(model.label_names) > 5 else ""
    print(f"{found.count} images  error {found.error:.2f} %{top5}  nll {found.nll:.3f}  ECE {found.ece:.2f} %")
    if chosen.calibrate:
        before = model.evaluate(images)
        print(f"temperature {temperature:.3f}; without it nll {before.nll:.3f}  ECE {before.ece:.2f} %")
        if pinned(temperature):
            print("the validation images set no limit to it: all of them are right, or too many wrong, to calibrate by")
    worst = sorted(found.errors_by_label.items(), key=lambda pair: -pair[1])[:WORST]
    print("most often wrong: " + ", ".join(f"{name} {error:.1f} %" for name, error in worst))
    return 0


def _refuse(chosen: Any, options: Mapping[str, Any], belongs_to: str) -> None:
    """Raise ConfigError for an option that was given though the run has no use for it. options: name -> default."""
    for name, default in options.items():
        if getattr(chosen, name) != default:
            raise ConfigError(name, f"nothing: it is for {belongs_to}", repr(getattr(chosen, name)))


def _folder(name: str | None) -> Path | None:
    return Path(name) if name else None


def _add_common(parser: Parser) -> None:
    kinds = "last, or best on the validation data; of a language run also a score, bleu say"
    parser.add_argument("--checkpoint", type=str, default="last", help=kinds)
    parser.add_argument("--json", action="store_true", help="print JSON")


def _model(folder: str, checkpoint: str) -> TrainedModel:
    if checkpoint not in get_args(Checkpoint):
        raise ConfigError("checkpoint", " or ".join(get_args(Checkpoint)), repr(checkpoint))
    import torch

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainedModel(RunFolder(Path(folder)), checkpoint, device)  # type: ignore[arg-type]
