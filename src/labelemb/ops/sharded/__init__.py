"""The losses over labels split by process: the sums of ``labelemb.ops.eager`` by parts, all rows at once or in chunks.

All processes of the shard's group see the same N rows. A sum over labels is a sum over local labels and an all-reduce,
so every term is the same number on every process. N rows, C local labels (columns), V labels, D hidden size.

Reading order: ``driver`` (one batch from end to end), ``row_sums`` (the terms), ``local_logits`` (softmaxes over all
labels), ``columns`` (the labels of this process).
"""

from labelemb.ops.sharded.driver import rows_per_chunk, sharded_loss

__all__ = ["rows_per_chunk", "sharded_loss"]
