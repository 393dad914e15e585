"""Train a sequence-to-sequence run from its configuration."""

from functools import lru_cache
from pathlib import Path

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
    """Load a corpus; the last one is kept in memory.

    Args:
        name: ``numbers-en-vi``, a name of IWSLT15, or the folder of a preprocessed corpus, absolute, relative to the
            working directory or below ``folder``.
        folder: Data folder; None: IWSLT15 is downloaded.

    Returns:
        The corpus.

    Raises:
        DataError: If the corpus does not exist or is damaged.
    """
    if name == numbers.NAME:
        return numbers.load_numbers()
    if name in iwslt15.NAMES:
        return iwslt15.load_iwslt15(name, folder)
    try:
        corpus_folder = find_corpus(Path(name).expanduser())
    except DataError:
        if folder is None or Path(name).is_absolute():
            raise
        corpus_folder = find_corpus(folder / name)
    return Corpus.open(corpus_folder)


def check(config: Seq2SeqConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Check that a run can start, without writing files or allocating the model.

    Args:
        config: Configuration of the run.
        run: Run folder.
        data_folder: Folder with data sets; None: download them.

    Raises:
        ConfigError: If options do not fit each other or the directory holds another run.
        DataError: If the corpus cannot be used.
    """
    corpus = load_corpus(config.corpus, data_folder)
    check_model_size("hidden_size", lambda: build_model(config, corpus.tokenizer))
    check_model_size("rank", lambda: _build(config, corpus).loss)
    check_run(config, run, corpus.digest)


def train(config: Seq2SeqConfig, run: RunFolder, data_folder: Path | None = None) -> None:
    """Train a run, or resume it from its last checkpoint; a finished run is left as it is.

    Args:
        config: Configuration of the run.
        run: Run folder.
        data_folder: Folder with data sets; None: download them.

    Raises:
        ConfigError: If options do not fit each other or the directory holds another run.
        DataError: If the corpus cannot be used.
    """
    corpus = load_corpus(config.corpus, data_folder)
    provenance = {"note": corpus.note} if corpus.note else {}
    train_run(_build(config, corpus), config, run, corpus.digest, provenance)


def _build(config: Seq2SeqConfig, corpus: Corpus) -> Seq2SeqTask:
    task = Seq2SeqTask(config, corpus)
    config.check_length(task)
    return task
