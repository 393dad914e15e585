"""The row work of a chunk as Triton kernels. Imports triton: load it only when it is asked for."""

from labelemb.ops.triton.row_kernels import TritonRowKernels

__all__ = ["TritonRowKernels"]
