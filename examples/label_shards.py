"""Translate with the target words split over processes: torchrun --nproc-per-node 2 label_shards.py [--steps 200]

Each process holds a part of the words of head, auxiliary head and label embedding, and a copy of the model below. All
see the same sentences. Any number of processes trains the same model, up to rounding.
"""

import argparse
import math
import os
from dataclasses import replace

import torch
import torch.distributed as dist
from torch import nn

from labelemb import CompressedLabelEmbedding, LabelEmbeddingLoss, LabelShard, Objective
from labelemb.tasks.seq2seq.batch import BatchPlan, PairBatch
from labelemb.tasks.seq2seq.config import Seq2SeqConfig
from labelemb.tasks.seq2seq.numbers import load_numbers
from labelemb.tasks.seq2seq.task import build_model
from labelemb.tasks.seq2seq.vocab import PAD

parser = argparse.ArgumentParser()
parser.add_argument("--steps", type=int, default=200)
parser.add_argument("--size", type=int, default=128)
args = parser.parse_args()
if "WORLD_SIZE" in os.environ and not dist.is_initialized():
    dist.init_process_group("gloo")

corpus = load_numbers()  # numbers in words, English to Vietnamese
num_words = len(corpus.tgt_vocab.words)
torch.manual_seed(0)  # the same model on every process
config = Seq2SeqConfig(embedding_size=args.size // 2, hidden_size=args.size, layers=1, dropout=0.0, batch_size=64)
model = build_model(config, corpus.tokenizer)
embedding = CompressedLabelEmbedding(num_words, args.size)
objective = replace(Objective.seq2seq(), soft_start=int(0.4 * args.steps))
criterion = LabelEmbeddingLoss(args.size, num_words, embedding, objective, PAD)

# Of what was made above, each process keeps its part.
shard = LabelShard.of(num_words)
full = criterion.state_dict()
criterion = LabelEmbeddingLoss(args.size, num_words, embedding, objective, PAD, shard=shard)
criterion.load_full_state_dict(full)
whole_head, model.head = model.head, nn.Linear(args.size, shard.size)
with torch.no_grad():
    model.head.weight.copy_(shard.part(whole_head.weight))
    model.head.bias.copy_(shard.part(whole_head.bias))

optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
criterion.attach(optimizer)
train, valid = corpus.splits["train"], corpus.splits["valid"]
plan = BatchPlan(train.src.lengths, train.tgt.lengths, config.batch_size)
batches = [
    PairBatch.from_rows(train, rows) for epoch in range(1 + args.steps // len(plan)) for rows in plan.epoch(epoch)
]
for batch in batches[: args.steps]:
    out = criterion(model(*batch.inputs), model.head, batch.targets)
    optimizer.zero_grad()
    out.loss.backward()
    optimizer.step()

model.eval()
criterion.eval()
with torch.no_grad():
    batch = PairBatch.from_rows(valid, range(len(valid.src.lengths)))
    out = criterion(model(*batch.inputs), model.head, batch.targets)
labels = criterion.embedding.gather()  # all words, on every process
if not dist.is_initialized() or dist.get_rank() == 0:
    print(f"{shard.size} of {num_words} words on process 0")
    print(f"perplexity {math.exp(out.terms['hard']):.3f}, wrong words {100 * (1 - out.correct / out.count):.2f} %")
    print(f"soft label of {corpus.tgt_vocab.words[5]}: {labels.soft_labels()[5].max():.3f} at most")
if dist.is_initialized() and "TORCHELASTIC_RUN_ID" in os.environ:
    dist.destroy_process_group()
