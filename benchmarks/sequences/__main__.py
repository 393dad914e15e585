"""Training and decoding of the LSTM encoder-decoder, against a decoder that goes token by token.

    python -m benchmarks.sequences                     on text with the lengths of talks, made on the spot
    python -m benchmarks.sequences --corpus FOLDER     on text that labelemb preprocess wrote

Aims on a CPU: at least 2.5 times as many words per second in training (whole target in one call, batches of like
lengths with at most 1.07 times the tokens, against a cell per token and batches in random order); at least 3 times as
fast decoding, greedy and with a beam of 10, against one Python object per beam in batches in the order of the text,
each at work until its last sentence is done. Both must give the same: hidden states and gradients in float64, outputs
token for token. The floor is what the matrix products of the words alone take at the rate measured in the same run.
One thread: seconds of the processor, for a machine that others use.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.sequences.decoding import decoding
from benchmarks.sequences.text import BATCH, made_corpus
from benchmarks.sequences.training import training
from benchmarks.tables import show, write
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus

RESULTS = Path(__file__).parent.parent / "results" / "sequences.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", help="a folder that labelemb preprocess wrote; else text is made")
    parser.add_argument("--rounds", type=int, default=5, help="rounds of all peers that count")
    parser.add_argument("--threads", type=int, default=2, help="threads of torch")
    parser.add_argument("--batches", type=int, default=1, help="of training, a round")
    parser.add_argument("--sentences", type=int, default=128, help="of the test text to decode, a round")
    parser.add_argument("--width", type=int, default=512, help="of embeddings and hidden states")
    parser.add_argument("--only", choices=["training", "decoding"], help="one half")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results")
    parser.add_argument("--keep", action="store_true", help="add to the file of results instead of replacing it")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    corpus = Corpus.open(chosen.corpus) if chosen.corpus else made_corpus()
    config = Seq2SeqConfig(embedding_size=chosen.width, hidden_size=chosen.width, batch_size=BATCH, device="cpu")
    tables = []
    if chosen.only != "decoding":
        tables.append(training(config, corpus, chosen.rounds, chosen.batches))
    if chosen.only != "training":
        tables += decoding(config, corpus, chosen.rounds, chosen.sentences)
    words = f"{len(corpus.src_vocab)} and {len(corpus.tgt_vocab)} words"
    text = f"prepared text {corpus.digest}" if chosen.corpus else "made text"
    note = f"{text}, {words}, 2 layers of {chosen.width}, batches of {BATCH}"
    if chosen.threads == 1:
        note += "; seconds of the processor"
    show(*tables, note=note)
    write(chosen.out, *tables, note=note, keep=chosen.keep)


if __name__ == "__main__":
    main()
