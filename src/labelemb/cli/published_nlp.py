"""The published language scripts train.py and predict.py, their options written with two dashes."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch

from labelemb.cli.execution import Execution
from labelemb.cli.parser import Parser
from labelemb.cli.published_config import read_config
from labelemb.cli.run_plan import main_console, run_plan
from labelemb.cli.terminal import notice, show
from labelemb.errors import ConfigError
from labelemb.files import write_text
from labelemb.runs import RunFolder
from labelemb.tasks.seq2seq import recipe
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.published import PublishedFolder
from labelemb.tasks.seq2seq.recipe import load_corpus
from labelemb.tasks.seq2seq.trained import TextEvaluation, TrainedTranslator
from labelemb.training.multirun import PlannedRun


def train(arguments: list[str]) -> int:
    """train.py: return the exit code."""
    parser = _parser("train.py", "Train as the published program does; the same command resumes an interrupted run.")
    parser.add_argument("--log", type=str, default="", help="name of the run: the outputs are in LOG/NAME")
    restore = "checkpoint to start from, or with -notrain to evaluate; the run's own checkpoint resumes it"
    parser.add_argument("--restore", type=str, default=None, help=restore)
    parser.add_argument("--limit", type=int, default=0, help="number of training pairs to use; 0: all")
    parser.add_argument("--notrain", action="store_true", help="only evaluate on the validation text")
    parser.add_argument("--seed", type=int, default=1234, help="seed of model, loss, data order and dropout")
    chosen = parser.parse_args(arguments)
    log, values = read_config(Path(chosen.config))
    _select_gpu(chosen.gpus)
    run = PublishedFolder(Path(log) / (chosen.log or "run"))
    if chosen.notrain:
        return _notrain(chosen, run)
    own = chosen.restore is not None and Path(chosen.restore).resolve() == run.last_checkpoint.resolve()
    given = {"method": _method(chosen), "unk": chosen.unk, "seed": chosen.seed, "limit": chosen.limit}
    config = Seq2SeqConfig(**{**values, **given, "restore": None if own else chosen.restore}).resolved()
    planned = PlannedRun(run, config.method, partial(recipe.check, config, run), partial(recipe.train, config, run))
    code = run_plan([planned], Execution(), main_console())
    show(f"Written to {run.path}")
    return code


def predict(arguments: list[str]) -> int:
    """predict.py: translate the test text with a checkpoint, and score it; return the exit code."""
    parser = _parser("predict.py", "Generate the outputs for the test text with a checkpoint, and score them.")
    parser.add_argument("--restore", type=str, default=None, help="the checkpoint")
    log = "name of the folder below the config's log for the outputs; else that of the checkpoint"
    parser.add_argument("--log", type=str, default="", help=log)
    chosen = parser.parse_args(arguments)
    log, values = read_config(Path(chosen.config))
    if not chosen.restore:
        raise ConfigError("restore", "a checkpoint", "none")
    _select_gpu(chosen.gpus)
    found = _evaluate(chosen, values, "test")
    folder = Path(log) / chosen.log if chosen.log else Path(chosen.restore).parent
    write_text(folder / "prediction.txt", "".join(f"{line}\n" for line in found.outputs))
    _print_scores(found)
    show(f"Written to {folder / 'prediction.txt'}")
    return 0


def _parser(program: str, what: str) -> Parser:
    session = f"example:\n  $ python3 {program} -gpus 0 -config lcsts.yaml -unk -score emb ..."
    parser = Parser(what, session, usage=f"{program} -config FILE [options]", prog=program)
    parser.add_argument("--config", type=str, required=True, help="YAML file with the published keys")
    parser.add_argument("--gpus", type=int, nargs="+", default=[], help="number of the GPU; default: the CPU")
    parser.add_argument("--unk", action="store_true", help="copy unknown words from the source, by attention")
    for name in ("score", "loss"):
        parser.add_argument(f"--{name}", type=str, default="", help="emb: label embedding; '': cross entropy")
    return parser


def _method(chosen: Any) -> Any:
    """Return the method that -score and -loss name together."""
    if (chosen.score, chosen.loss) not in (("emb", "emb"), ("", "")):
        got = f"-score {chosen.score!r} -loss {chosen.loss!r}"
        raise ConfigError("score, loss", "-score emb -loss emb, or neither for cross entropy", got)
    return "label_embedding" if chosen.loss else "cross_entropy"


def _select_gpu(gpus: list[int]) -> None:
    """Make the chosen GPU the only visible one, before CUDA is initialized; without one use the CPU."""
    if len(gpus) > 1:
        hint = "Several: accelerate launch -m labelemb train PRESET"
        raise ConfigError("gpus", "one number", " ".join(map(str, gpus)), hint)
    granted = os.environ.get("CUDA_VISIBLE_DEVICES")  # set by a scheduler; GPUs are numbered within it
    if granted is None:
        visible = [str(gpu) for gpu in gpus]
    else:
        visible = [device for number, device in enumerate(granted.split(",")) if number in gpus]
    os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(visible)
    if gpus and not torch.cuda.is_available():
        notice(f"WARNING: no GPU {gpus[0]} on this machine; using the CPU")


def _notrain(chosen: Any, run: RunFolder) -> int:
    """Score the validation text with the checkpoint to restore, or that of the run."""
    _, values = read_config(Path(chosen.config))
    chosen.restore = chosen.restore or str(run.last_checkpoint)
    _print_scores(_evaluate(chosen, values, "valid"))
    return 0


def _evaluate(chosen: Any, values: Mapping[str, Any], split: str) -> TextEvaluation:
    """Score a split of the config's corpus with a checkpoint: its model, the config's search."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model = TrainedTranslator(Path(chosen.restore), device=device)
    config = replace(Seq2SeqConfig(**values), unk=chosen.unk)
    splits = load_corpus(config.corpus, None).splits
    if split not in splits:
        raise ConfigError("data", f"a corpus with {split} text", f"{config.corpus}, which has {', '.join(splits)}")
    settings = config.search_settings
    text = model.retokenize(splits[split])
    return model.evaluate(text, config.score_names, settings, config.eval_batch_size, config.unk)


def _print_scores(found: TextEvaluation) -> None:
    show(f"{found.sentences} sentences  perplexity {found.perplexity:.4g}")
    for name, one in found.scores.items():
        show(f"{name} {one.value:.2f}  {one.signature}  ({one.sentences} sentences)")
