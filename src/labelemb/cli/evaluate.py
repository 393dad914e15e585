"""``labelemb evaluate``: evaluate a trained model on its test data, or on other data."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.terminal import show, show_json
from labelemb.cli.trained_model import (
    SEARCH,
    add_checkpoint,
    add_search,
    is_text_run,
    load_classifier,
    load_translator,
    search_settings,
)
from labelemb.errors import ConfigError
from labelemb.files import write_text

if TYPE_CHECKING:
    from labelemb.tasks.seq2seq.sentences import Split
    from labelemb.tasks.seq2seq.trained import TrainedTranslator

WORST = 5
IMAGE_OPTIONS = {"dataset": None, "calibrate": False}  # option -> default
TEXT_OPTIONS = dict.fromkeys(("src", "tgt", "eval_metrics", "output", *SEARCH)) | {"split": "test"}


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Evaluate a trained model on its own test data, or on other data: classification error and calibration, or "
        "the scores of a text's outputs.",
        "examples:\n  $ labelemb evaluate runs/digits/label_embedding/seed-0\n"
        "  359 images  error 1.11 %  top-5 error 0.00 %  nll 0.423  ECE 32.19 %\n"
        "  most often wrong: 8 5.7 %, 4 2.8 %, 3 2.7 %, 0 0.0 %, 1 0.0 %\n"
        "  $ labelemb evaluate runs/numbers-en-vi/label_embedding/seed-0 --checkpoint bleu\n"
        "  500 sentences  perplexity 1.002\n  exact 99.60  nrefs:1|case:mixed|tok:none|whole lines\n  ...",
    )
    made.add_argument("run", type=str, help="a run folder; of a translation run also a checkpoint in one")
    data = "folder with the data; without it LABELEMB_DATA; for a model of own images a folder of images per label"
    made.add_argument("--data", type=str, help=data)
    add_checkpoint(made, "last, or best by validation data; of a translation run also best by a score, such as bleu")
    made.add_argument("--json", action="store_true", help="print JSON")
    images = made.add_argument_group("options of classification runs")
    images.add_argument(
        "--dataset", type=str, help="another data set; imagefolder:PATH, hub:ID and csv:PATH are allowed"
    )
    calibrate = (
        "divide the logits by the temperature that minimises the NLL of the validation data; the error stays, "
        "NLL and ECE (expected calibration error) change; predict and export use it from then on"
    )
    images.add_argument("--calibrate", action="store_true", help=calibrate)
    text = made.add_argument_group("options of translation runs")
    text.add_argument("--src", type=str, help="source text; without it the test text of the run's own corpus")
    text.add_argument("--tgt", type=str, help="reference text")
    text.add_argument("--split", type=str, default=TEXT_OPTIONS["split"], help="of the run's own corpus: test or valid")
    text.add_argument("--eval_metrics", type=str, help="scores, separated by commas; without it those of the run")
    add_search(text)
    text.add_argument("--output", type=str, help="file for the output lines")
    return made


def run(chosen: Any) -> int:
    """Evaluate the run and print the result."""
    if is_text_run(Path(chosen.run)):
        _refuse(chosen, IMAGE_OPTIONS, "classification runs")
        return _evaluate_text(chosen)
    _refuse(chosen, TEXT_OPTIONS, "translation runs")
    return _evaluate_classifier(chosen)


def _refuse(chosen: Any, options: Mapping[str, Any], owners: str) -> None:
    """Raise ConfigError for an option that was given although the run does not use it."""
    for name, default in options.items():
        if getattr(chosen, name) != default:
            raise ConfigError(name, f"nothing, since it is an option of {owners}", repr(getattr(chosen, name)))


def _evaluate_classifier(chosen: Any) -> int:
    from labelemb.metrics.calibration import pinned
    from labelemb.tasks.text.trained import TrainedTextModel

    model = load_classifier(chosen)
    own, other = str(model.config.get("dataset")), chosen.dataset
    common = os.environ.get("LABELEMB_DATA")
    temperature = 1.0
    if isinstance(model, TrainedTextModel):
        data = _folder(chosen.data or common)
        texts = model.test_texts(other, data)
        if chosen.calibrate:
            temperature = model.fit_temperature(data)
        evaluate, unit = partial(model.evaluate, texts), "texts"
    else:  # LABELEMB_DATA holds named data sets only
        images = model.test_images(other, _folder(chosen.data or (common if ":" not in (other or own) else None)))
        if chosen.calibrate:
            temperature = model.fit_temperature(_folder(chosen.data or common) if ":" not in own else None)
        evaluate, unit = partial(model.evaluate, images), "images"
    if chosen.calibrate:
        model.keep_temperature(temperature)
    found = evaluate(temperature)
    if chosen.json:
        show_json(asdict(found))
        return 0
    top5 = f"  top-5 error {found.error_top5:.2f} %" if len(found.errors_by_label) > 5 else ""
    show(f"{found.count} {unit}  error {found.error:.2f} %{top5}  nll {found.nll:.3f}  ECE {found.ece:.2f} %")
    if chosen.calibrate:
        before = evaluate(1.0)
        show(f"temperature {temperature:.3f}; without it nll {before.nll:.3f}  ECE {before.ece:.2f} %")
        if pinned(temperature):
            show("the temperature is at its limit: the validation examples are all correct, or too often wrong")
    worst = sorted(found.errors_by_label.items(), key=lambda pair: -pair[1])[:WORST]
    show("most often wrong: " + ", ".join(f"{name} {error:.1f} %" for name, error in worst))
    return 0


def _evaluate_text(chosen: Any) -> int:
    model = load_translator(chosen)
    config = replace(model.config, eval_metrics=chosen.eval_metrics) if chosen.eval_metrics else model.config
    found = model.evaluate(_split(model, chosen), config.score_names, search_settings(model, chosen))
    if chosen.output:
        write_text(chosen.output, "".join(f"{line}\n" for line in found.outputs))
    if chosen.json:
        facts = {"sentences": found.sentences, "perplexity": found.perplexity}
        scores = {name: one.facts() for name, one in found.scores.items()}
        show_json({**facts, "scores": scores})
        return 0
    show(f"{found.sentences} sentences  perplexity {found.perplexity:.4g}")
    for name, one in found.scores.items():
        part = "" if one.sentences == found.sentences else f" ({one.sentences} of the sentences)"
        show(f"{name} {one.value:.2f}  {one.signature}{part}")
    return 0


def _split(model: "TrainedTranslator", chosen: Any) -> "Split":
    """Return the text to score: given files, or a held-out split of the run's own corpus. Raises ConfigError."""
    from labelemb.cli.run_plan import data_of
    from labelemb.tasks.seq2seq.recipe import load_corpus
    from labelemb.tasks.seq2seq.text_io import parallel

    if chosen.src or chosen.tgt:
        for name in ("src", "tgt"):
            if not getattr(chosen, name):
                raise ConfigError(name, "a text file, since the other side is given", "none")
        return model.split(parallel(chosen.src, chosen.tgt)())
    splits = load_corpus(model.config.corpus, data_of(chosen)).splits
    held_out = [name for name in splits if name != "train"]
    if chosen.split not in held_out:
        raise ConfigError("split", " or ".join(held_out), repr(chosen.split))
    return model.reread(splits[chosen.split])


def _folder(name: str | None) -> Path | None:
    return Path(name) if name else None


COMMAND = Command(parser, run)
