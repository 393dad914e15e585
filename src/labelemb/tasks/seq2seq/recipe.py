"""The language recipe: from a config to a finished run folder."""

from functools import lru_cache
from pathlib import Path

import torch

from labelemb.errors import DataError
from labelemb.runs import RunFolder
from labelemb.tasks.seq2seq import iwslt15, numbers
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus, find_corpus
from labelemb.tasks.seq2seq.task import Seq2SeqTask, build_model
from labelemb.training.model_size import check_model_size
from labelemb.training.runner import check_run, train_run


@lru_cache(maxsize=1)
def load_corpus(name: str, folder: Path | None) -> Corpus:
    """Return numbers-en-vi, IWSLT15, or the prepared corpus at ``name``, as it is or below ``folder``.

    It is read once per process. Raises DataError.
    """
    if name == numbers.NAME:
        return numbers.load_numbers()
    if name in iwslt15.NAMES:
        return iwslt15.load_iwslt15(name, folder)
    try:
        place = find_corpus(Path(name).expanduser())
    except DataError:
        if folder is None or Path(name).is_absolute():
            raise
        place = find_corpus(folder / name)
    return Corpus.open(place)


def check(config: Seq2SeqConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Make sure that a run can start; nothing is written, and the net takes no memory.

    Raises ConfigError (also when the folder holds another run), DataError.
    """
    corpus = load_corpus(config.corpus, data_folder)
    check_model_size("hidden_size", lambda: build_model(config, corpus.tokenizer))
    with torch.device("meta"):
        _build(config, corpus)
    check_run(config, run, corpus.digest)


def train(config: Seq2SeqConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Train one run to its end, from wherever a killed process left it; nothing happens when it is finished.

    Raises as ``check`` does.
    """
    corpus = load_corpus(config.corpus, data_folder)
    facts = {"note": corpus.note} if corpus.note else {}
    train_run(_build(config, corpus), config, run, corpus.digest, facts)


def _build(config: Seq2SeqConfig, corpus: Corpus) -> Seq2SeqTask:
    task = Seq2SeqTask(config, corpus)
    config.check_length(task)
    return task
