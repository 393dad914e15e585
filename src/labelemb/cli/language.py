"""The verbs that use a trained language model: translate, and evaluate where the run is a language run."""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from labelemb.cli.arguments import Parser
from labelemb.cli.plan import data_of
from labelemb.errors import ConfigError
from labelemb.files import write_text
from labelemb.runs import RunFolder
from labelemb.tasks.seq2seq.recipe import load_corpus
from labelemb.tasks.seq2seq.search import SearchSettings
from labelemb.tasks.seq2seq.sentences import Split
from labelemb.tasks.seq2seq.text_io import decoded, parallel
from labelemb.tasks.seq2seq.trained import AHEAD, TrainedTranslator

SEARCH = ("beam_size", "max_length", "length_penalty")
TEXT_OPTIONS = dict.fromkeys(("src", "tgt", "eval_metrics", "output", *SEARCH)) | {
    "split": "test"
}  # and their defaults


def translate(arguments: list[str]) -> int:
    """labelemb translate CHECKPOINT_OR_RUN < in.txt > out.txt."""
    parser = Parser(
        "labelemb translate",
        "Read lines, write a line for each, in their order; an empty one for an empty one. Text is UTF-8, cut as the "
        "model's training text was: for the Stanford files, tokenised.",
        "a session:\n  $ echo 'forty two thousand' | labelemb translate runs/numbers-en-vi/label_embedding/seed-0\n"
        "  bốn mươi hai nghìn\n"
        "  $ labelemb translate runs/iwslt15-en-vi/label_embedding/seed-0/best-bleu.pt --beam_size 10 < tst2013.en > out.vi",
    )
    parser.add_argument("run", type=str, help="a run folder, or a checkpoint in one")
    kinds = "of a run folder: last, best (lowest perplexity of the validation text) or a score, bleu say"
    parser.add_argument("--checkpoint", type=str, default="last", help=kinds)
    _add_search(parser)
    parser.add_argument("--unk", type=bool, default=None, help="copy unknown words from the source; else as the run")
    parser.add_argument("--batch_size", type=int, default=64, help="sentences side by side; changes nothing but time")
    chosen = parser.parse(arguments)
    model = _model(chosen)
    settings, lines = _settings(model, chosen), decoded(sys.stdin.buffer, "stdin")
    # A person at a terminal wants an answer per line.
    size, ahead = (1, 1) if sys.stdin.isatty() else (chosen.batch_size, AHEAD)
    for line in model.translate(lines, settings, size, chosen.unk, ahead):
        sys.stdout.buffer.write(f"{line}\n".encode())
        sys.stdout.buffer.flush()
    return 0


def is_language(source: Path) -> bool:
    """Say whether a run folder, or the folder of a checkpoint, is that of a language run."""
    run = RunFolder(source if source.is_dir() else source.parent)
    return run.config_file.is_file() and "corpus" in run.config()


def add_text_options(parser: Parser) -> None:
    """Add what evaluate takes for a language run."""
    group = parser.add_argument_group("language runs")
    group.add_argument("--src", type=str, default=None, help="source text, else the test text of the run's own corpus")
    group.add_argument("--tgt", type=str, default=None, help="its references")
    group.add_argument("--split", type=str, default=TEXT_OPTIONS["split"], help="of its own corpus: test or valid")
    group.add_argument("--eval_metrics", type=str, default=None, help="commas between; else those of the run")
    _add_search(group)
    group.add_argument("--output", type=str, default=None, help="file for the output lines")


def evaluate_text(chosen: Any) -> int:
    """Score a language run as the options say."""
    model = _model(chosen)
    config = replace(model.config, eval_metrics=chosen.eval_metrics) if chosen.eval_metrics else model.config
    found = model.evaluate(_split(model, chosen), config.score_names, _settings(model, chosen))
    if chosen.output:
        write_text(chosen.output, "".join(f"{line}\n" for line in found.outputs))
    if chosen.json:
        facts = {"sentences": found.sentences, "perplexity": found.perplexity}
        scores = {name: asdict(one) for name, one in found.scores.items()}
        print(json.dumps({**facts, "scores": scores}, ensure_ascii=False, indent=2))
        return 0
    print(f"{found.sentences} sentences  perplexity {found.perplexity:.4g}")
    for name, one in found.scores.items():
        part = "" if one.sentences == found.sentences else f" ({one.sentences} of the sentences)"
        print(f"{name} {one.value:.2f}  {one.signature}{part}")
    return 0


def _split(model: TrainedTranslator, chosen: Any) -> Split:
    if chosen.src or chosen.tgt:
        for name in ("src", "tgt"):
            if not getattr(chosen, name):
                raise ConfigError(name, "a text file, as the other side has one", "none")
        return model.split(parallel(chosen.src, chosen.tgt)())
    splits = load_corpus(model.config.corpus, data_of(chosen)).splits
    held_out = [name for name in splits if name != "train"]
    if chosen.split not in held_out:
        raise ConfigError("split", " or ".join(held_out), repr(chosen.split))
    return model.reread(splits[chosen.split])


def _model(chosen: Any) -> TrainedTranslator:
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return TrainedTranslator(Path(chosen.run), chosen.checkpoint, device)


def _add_search(parser: Any) -> None:
    parser.add_argument("--beam_size", type=int, default=None, help="1: greedy; else as in the run's config")
    parser.add_argument("--max_length", type=int, default=None, help="most tokens of an output; else as the config")
    penalty = "exponent of the length that scores are divided by; else as the config"
    parser.add_argument("--length_penalty", type=float, default=None, help=penalty)


def _settings(model: TrainedTranslator, chosen: Any) -> SearchSettings:
    given = {name: getattr(chosen, name) for name in SEARCH}
    return replace(model.config.search_settings, **{name: value for name, value in given.items() if value is not None})
