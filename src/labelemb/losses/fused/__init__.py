"""The row work of a slab as Triton kernels. Imports triton: load it only when it is asked for."""

from labelemb.losses.fused.row_work import TritonRowWork

__all__ = ["TritonRowWork"]
