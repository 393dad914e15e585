"""Row kernels in Triton. Importing this package imports triton."""

from labelemb.ops.triton.row_kernels import TritonRowKernels

__all__ = ["TritonRowKernels"]
