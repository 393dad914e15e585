"""``labelemb similar``: list the labels that a learned label embedding finds nearest to a label."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from labelemb.cli.command import Command
from labelemb.cli.parser import Parser
from labelemb.cli.terminal import show
from labelemb.errors import ConfigError, check_at_least_one
from labelemb.tasks.seq2seq.vocab import SPECIAL


def parser(arguments: Sequence[str]) -> Parser:
    """Return the parser."""
    made = Parser(
        "List the labels with the largest probabilities in the learned soft label of a label.",
        "examples:\n  $ labelemb similar runs/digits/label_embedding/seed-0 3 --top 3\n"
        "  0.1406  2\n  0.1065  9\n  0.0630  8\n"
        "  $ labelemb similar runs/iwslt15-en-vi/label_embedding/seed-0 --frequent 20",
    )
    made.add_argument("source", type=str, help="a run folder, or its file labels.safetensors")
    made.add_argument("label", type=str, nargs="?", help="name of the label")
    made.add_argument("--top", type=int, default=5, help="number of labels to list")
    frequent = (
        "instead of a label, for a vocabulary: the labels nearest to each of the N most frequent words (letters only)"
    )
    made.add_argument("--frequent", type=int, help=frequent)
    return made


def run(chosen: Any) -> int:
    """Print the nearest labels."""
    if (chosen.label is None) == (chosen.frequent is None):
        raise ConfigError("label", "a label, or --frequent N", "both" if chosen.label else "neither")
    if chosen.frequent is not None:
        check_at_least_one("frequent", chosen.frequent)
    from labelemb.report import similar as nearest
    from labelemb.runs import embedding_file
    from labelemb.terms.embedding import LabelEmbedding

    embedding = LabelEmbedding.load(embedding_file(Path(chosen.source)))
    if chosen.frequent is None:
        for name, probability in nearest(embedding, chosen.label, chosen.top, SPECIAL):
            show(f"{probability:.4f}  {name}")
        return 0
    words = [name for name in embedding.label_names or [] if name.isalpha()][: chosen.frequent]  # by frequency
    width = max(map(len, words), default=0)
    for word in words:
        show(f"{word:{width}}  {' '.join(name for name, _ in nearest(embedding, word, chosen.top, SPECIAL))}")
    return 0


COMMAND = Command(parser, run)
