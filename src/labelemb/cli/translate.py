"""``labelemb translate``: translate lines with a trained model."""

import sys
from collections.abc import Sequence
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.trained_model import add_checkpoint, add_search, load_translator, search_settings
from labelemb.errors import check_at_least_one, escape_control


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "Translate lines of UTF-8 text from stdin to stdout, one line for each, in order; an empty line stays empty. "
        "Tokenize the text like the training text.",
        "examples:\n  $ echo 'forty two thousand' | labelemb translate runs/numbers-en-vi/label_embedding/seed-0\n"
        "  bốn mươi hai nghìn\n"
        "  $ labelemb translate runs/iwslt15-en-vi/label_embedding/seed-0 --checkpoint bleu < tst2013.en > out.vi",
    )
    made.add_argument("run", type=str, help="a run folder, or a checkpoint in one")
    add_checkpoint(made, "of a run folder: last, best (lowest validation perplexity), or best by a score, such as bleu")
    add_search(made)
    made.add_argument("--unk", type=bool, help="copy unknown words from the source; default: as configured for the run")
    made.add_argument("--batch_size", type=int, default=64, help="sentences per batch; changes the speed alone")
    return made


def run(chosen: Any) -> int:
    """Translate stdin."""
    from labelemb.tasks.seq2seq.text_io import decoded
    from labelemb.tasks.seq2seq.trained import PREFETCH_BATCHES

    check_at_least_one("batch_size", chosen.batch_size)
    model = load_translator(chosen)
    settings, lines = search_settings(model, chosen), decoded(sys.stdin.buffer, "stdin")
    # At a terminal, answer each line at once.
    size, prefetch = (1, 1) if sys.stdin.isatty() else (chosen.batch_size, PREFETCH_BATCHES)
    for line in model.translate(lines, settings, size, chosen.unk, prefetch):
        shown = escape_control(line) if sys.stdout.isatty() else line  # words of a corpus may be anything
        sys.stdout.buffer.write(f"{shown}\n".encode())
        sys.stdout.buffer.flush()
    return 0


COMMAND = Command(parser, run)
