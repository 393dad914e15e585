"""Kernels in C, compiled on first use where there is a C compiler. Each has an equivalent of PyTorch operations.

library.py      compiles the C files, keeps the result in the cache directory and loads it
arithmetic.h    exp, and what else the kernels share
row_kernels.c   row operations of ``impl="chunked"``; called by ``labelemb.ops.chunked.native_kernels``
decoding.c      row operations of beam search; called by ``labelemb.tasks.seq2seq.kernels``
"""
