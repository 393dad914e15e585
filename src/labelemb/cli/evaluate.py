"""``labelemb evaluate``: evaluate a trained model on its test data, or on other data."""

import os
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.pipes import copy_pipes
from labelemb.cli.terminal import show, show_json
from labelemb.cli.trained_model import (
    SEARCH,
    add_checkpoint,
    add_groups,
    add_search,
    is_text_run,
    load_classifier,
    load_translator,
    search_settings,
)
from labelemb.errors import ConfigError
from labelemb.files import write_text

if TYPE_CHECKING:
    from torch import Tensor

    from labelemb.tasks.classification.evaluation import Severity
    from labelemb.tasks.seq2seq.sentences import Split
    from labelemb.tasks.seq2seq.trained import TrainedTranslator
    from labelemb.tasks.text.trained import TrainedTextModel
    from labelemb.tasks.vision.trained import TrainedModel

WORST = 5
DECISIONS = ("most_probable", "least_severe")
IMAGE_OPTIONS = {
    "dataset": None,
    "predictions": None,
    "calibrate": False,
    "groups": None,
    "decide": DECISIONS[0],
}  # option -> default
TEXT_OPTIONS = dict.fromkeys(("src", "tgt", "eval_metrics", "output", *SEARCH)) | {"split": "test"}


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Evaluate a trained model on its own test data, or on other data: classification error and calibration, or "
        "the scores of generated text.",
        "examples:\n  $ labelemb evaluate runs/digits/label_embedding/seed-0\n"
        "  359 images  error 1.11 %  top-5 error 0.00 %  nll 0.424  ECE 32.26 %\n"
        "  macro-F1 98.88 %  balanced accuracy 98.88 %\n"
        "  AURC 0.01 %  accuracy at 80 % coverage 100.00 %\n"
        "  most often wrong: 8 5.7 %, 4 2.8 %, 3 2.7 %\n"
        "  $ labelemb evaluate runs/numbers-en-vi/label_embedding/seed-0 --checkpoint bleu\n"
        "  500 sentences  perplexity 1.002\n  exact 99.60  nrefs:1|case:mixed|tok:none|whole lines\n  ...",
    )
    made.add_argument("run", type=str, help="a run folder; for a translation run also a checkpoint in it")
    data = (
        "folder with the data, or for a model of your own images a folder of images per label; default: LABELEMB_DATA"
    )
    made.add_argument("--data", type=str, help=data)
    add_checkpoint(made, "last, or best by validation data; of a translation run also best by a score, such as bleu")
    made.add_argument("--json", action="store_true", help="print JSON")
    images = made.add_argument_group("options of classification runs")
    images.add_argument(
        "--dataset",
        type=str,
        help="another data set, with the labels matched by name, such as imagefolder:PATH, hub:ID or csv:PATH",
    )
    calibrate = (
        "divide the logits by the temperature that minimizes the NLL of the validation data; the error stays, "
        "NLL and ECE (expected calibration error) change; predict and export use it from then on"
    )
    images.add_argument("--calibrate", action="store_true", help=calibrate)
    predictions = (
        "CSV file to write: index of the example, true label, the five most probable labels and their probabilities"
    )
    images.add_argument("--predictions", type=str, help=predictions)
    add_groups(images)
    decide = (
        "most_probable, or least_severe: also predict the labels of least expected cost, where labels that the run's "
        "label embedding finds alike are cheap to confuse; use it with --calibrate"
    )
    images.add_argument("--decide", type=str, default=DECISIONS[0], help=decide)
    text = made.add_argument_group("options of translation runs")
    text.add_argument("--src", type=str, help="source text; default: the test text of the run's own corpus")
    text.add_argument("--tgt", type=str, help="reference text")
    text.add_argument("--split", type=str, default=TEXT_OPTIONS["split"], help="of the run's own corpus: test or valid")
    text.add_argument("--eval_metrics", type=str, help="scores, separated by commas; default: those of the run")
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
    from labelemb.tasks.classification.evaluation import evaluate_logits, predictions_csv

    if chosen.decide not in DECISIONS:
        raise ConfigError("decide", " or ".join(DECISIONS), repr(chosen.decide))
    model = load_classifier(chosen)
    cost, groups = _cost_and_groups(model, chosen)
    logits, labels, unit = _test_logits(model, chosen)
    temperature = _fit_temperature(model, chosen) if chosen.calibrate else 1.0
    found = evaluate_logits(logits, labels, model.label_names, temperature)
    severity = _severity(logits / temperature, labels, cost, groups)
    if chosen.predictions:
        write_text(chosen.predictions, predictions_csv(logits / temperature, labels, model.label_names))
    if chosen.json:
        show_json(asdict(found) | {name: asdict(one) for name, one in severity.items()})
        return 0
    top5 = f"  top-5 error {found.error_top5:.2f} %" if len(found.errors_by_label) > 5 else ""
    show(f"{found.count} {unit}  error {found.error:.2f} %{top5}  nll {found.nll:.3f}  ECE {found.ece:.2f} %")
    if chosen.calibrate:
        before = evaluate_logits(logits, labels, model.label_names)
        show(f"temperature {temperature:.3f}; without it nll {before.nll:.3f}  ECE {before.ece:.2f} %")
        if pinned(temperature):
            show("the temperature is at its limit: the validation examples are all correct, or too often wrong")
    show(f"macro-F1 {found.macro_f1:.2f} %  balanced accuracy {found.balanced_accuracy:.2f} %")
    show(f"AURC {found.aurc:.2f} %  accuracy at 80 % coverage {found.accuracy_at_80:.2f} %")
    for name, one in severity.items():
        show(_severity_line(name, one))
    if worst := _worst(found.errors_by_label):
        show("most often wrong: " + ", ".join(f"{name} {error:.1f} %" for name, error in worst))
    return 0


def _worst(errors: Mapping[str, float]) -> list[tuple[str, float]]:
    """Return the labels with the largest errors, and those alone that have any.

    Example:
        >>> _worst({"cat": 0.0, "dog": 5.0, "owl": 20.0})
        [('owl', 20.0), ('dog', 5.0)]
    """
    wrong = {name: error for name, error in errors.items() if error}
    return sorted(wrong.items(), key=lambda pair: -pair[1])[:WORST]


def _test_logits(model: "TrainedModel | TrainedTextModel", chosen: Any) -> "tuple[Tensor, Tensor, str]":
    """Return logits and labels of the examples to evaluate on, and what they are."""
    from labelemb.tasks.text.trained import TrainedTextModel

    common = os.environ.get("LABELEMB_DATA")
    if isinstance(model, TrainedTextModel):
        texts = model.test_texts(chosen.dataset, _folder(chosen.data or common))
        return model.logits(texts.lines), texts.labels, "texts"
    name = chosen.dataset or str(model.config.get("dataset"))  # LABELEMB_DATA holds named data sets only
    images = model.test_images(chosen.dataset, _folder(chosen.data or (common if ":" not in name else None)))
    return model.logits(images.pixels), images.labels, "images"


def _fit_temperature(model: "TrainedModel | TrainedTextModel", chosen: Any) -> float:
    """Fit the temperature to the run's validation data, and keep it in the run folder."""
    from labelemb.tasks.text.trained import TrainedTextModel

    own = isinstance(model, TrainedTextModel) or ":" not in str(model.config.get("dataset"))
    temperature = model.fit_temperature(_folder(chosen.data or os.environ.get("LABELEMB_DATA")) if own else None)
    model.keep_temperature(temperature)
    return temperature


def _cost_and_groups(model: "TrainedModel | TrainedTextModel", chosen: Any) -> "tuple[Tensor | None, Tensor | None]":
    """Return the cost matrix of the run's label embedding where decisions need it, and the group of each label."""
    from labelemb.metrics.human import read_groups
    from labelemb.metrics.severity import embedding_cost, group_numbers
    from labelemb.runs import embedding_file
    from labelemb.terms.embedding import LabelEmbedding

    file = chosen.groups or model.config.get("groups")
    groups = group_numbers(read_groups(Path(file).expanduser(), model.label_names)) if file else None
    if chosen.decide == "most_probable":
        return None, groups
    embedding = LabelEmbedding.load(embedding_file(model.run.path))
    return embedding_cost(embedding.soft_labels()), groups


def _severity(
    logits: "Tensor", labels: "Tensor", cost: "Tensor | None", groups: "Tensor | None"
) -> "dict[str, Severity]":
    """Return how severe the errors of each kind of decision are; empty where neither cost nor groups are known."""
    from labelemb.tasks.classification.evaluation import severity_of_decisions

    if cost is None and groups is None:
        return {}
    kinds = DECISIONS if cost is not None else DECISIONS[:1]
    return {kind: severity_of_decisions(logits, labels, cost, groups, kind != DECISIONS[0]) for kind in kinds}


def _severity_line(name: str, found: "Severity") -> str:
    parts = [f"{name.replace('_', ' ')} labels: error {found.error:.2f} %"]
    if found.errors_in_group is not None:
        parts.append(f"errors in group {found.errors_in_group:.2f} %")
    if found.hierarchical_distance is not None:
        parts.append(f"hierarchical distance {found.hierarchical_distance:.4f}")
    if found.cost is not None:
        parts.append(f"mean cost {found.cost:.4f}")
    return "  ".join(parts)


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
        with ExitStack() as stack:
            copy_pipes(chosen, ("src", "tgt"), stack)
            return model.split(parallel(chosen.src, chosen.tgt)())
    splits = load_corpus(model.config.corpus, data_of(chosen)).splits
    held_out = [name for name in splits if name != "train"]
    if chosen.split not in held_out:
        raise ConfigError("split", " or ".join(held_out), repr(chosen.split))
    return model.retokenize(splits[chosen.split])


def _folder(name: str | None) -> Path | None:
    return Path(name) if name else None


COMMAND = Command(parser, run)
