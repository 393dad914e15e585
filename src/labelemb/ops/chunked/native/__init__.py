"""Row kernels in C, compiled on first use where there is a C compiler.

library.py      compiles row_kernels.c, keeps the result in the cache directory and loads it
kernels.py      calls it: ``NativeRowKernels``, ``add_rows``
row_kernels.c   the kernels
"""

from labelemb.ops.chunked.native.kernels import NativeRowKernels, add_rows

__all__ = ["NativeRowKernels", "add_rows"]
