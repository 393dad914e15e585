"""Training and decoding speed of the LSTM encoder-decoder, compared with a token-by-token decoder.

    python -m benchmarks.sequences                     random text with the sentence lengths of talks
    python -m benchmarks.sequences --corpus FOLDER     a corpus written by labelemb preprocess

Targets on a CPU: at least 2.5 times as many words per second in training (whole target in one call, batches of similar
lengths with at most 1.07 times the tokens, compared with one cell call per token and batches in random order); decoding
at least 2 times as fast in greedy search and 3 times with a beam of 10, compared with one Python object per beam and
batches in text order that run until their last sentence is finished. Both must agree: hidden states and gradients in
float64, output tokens exactly. The matmul limit is the time of the matrix products of training alone at the rate
measured in the same run; the matrix products of both decoders are timed by themselves. With one thread CPU time is
measured.
"""

import argparse
from pathlib import Path

import torch

from benchmarks.sequences.decoding import decoding
from benchmarks.sequences.text import BATCH, random_corpus
from benchmarks.sequences.training import training
from benchmarks.tables import show, write
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.corpus import Corpus

RESULTS = Path(__file__).parent.parent / "results" / "sequences.csv"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpus", help="corpus directory of labelemb preprocess; default: random text")
    parser.add_argument("--rounds", type=int, default=5, help="measured rounds")
    parser.add_argument("--threads", type=int, default=2, help="torch threads")
    parser.add_argument("--batches", type=int, default=1, help="training batches per round")
    parser.add_argument("--sentences", type=int, default=128, help="test sentences to decode per round")
    parser.add_argument("--width", type=int, default=512, help="size of embeddings and hidden states")
    parser.add_argument("--only", choices=["training", "decoding"], help="run only this part")
    parser.add_argument("--beam_sizes", type=int, nargs="+", default=[1, 10], help="beam sizes; 1: greedy search")
    parser.add_argument("--out", type=Path, default=RESULTS, help="file of results")
    parser.add_argument("--keep", action="store_true", help="add to the file of results instead of replacing it")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    corpus = Corpus.open(args.corpus) if args.corpus else random_corpus()
    config = Seq2SeqConfig(embedding_size=args.width, hidden_size=args.width, batch_size=BATCH, device="cpu")
    tables = []
    if args.only != "decoding":
        tables.append(training(config, corpus, args.rounds, args.batches))
    if args.only != "training":
        tables += decoding(config, corpus, args.rounds, args.sentences, args.beam_sizes)
    words = f"{len(corpus.src_vocab)} and {len(corpus.tgt_vocab)} words"
    text = f"corpus {corpus.digest}" if args.corpus else "random text"
    note = f"{text}, {words}, 2 layers of {args.width}, batches of {BATCH}"
    if args.threads == 1:
        note += "; CPU time"
    show(*tables, note=note)
    write(args.out, *tables, note=note, keep=args.keep)


if __name__ == "__main__":
    main()
