"""Row kernels in C, compiled on first use where there is a C compiler.

library.py      compiles row_kernels.c, keeps the result in the cache directory and loads it
kernels.py      ``NativeRowKernels``: calls it
row_kernels.c   the kernels
"""

from labelemb.ops.chunked.native.kernels import NativeRowKernels

__all__ = ["NativeRowKernels"]
