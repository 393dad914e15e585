"""NativeRowKernels: calls the compiled kernels behind the interface ``RowKernels``.

n rows and u distinct labels at a time, V labels.
"""

import ctypes
from collections.abc import Collection
from ctypes import c_double, c_int64, c_void_p

import torch
from torch import Tensor

from labelemb.ops.chunked.native.library import load_library
from labelemb.ops.chunked.row_kernels import AuxiliaryTerms, HeadTerms, RowLabels, RowResults


class _Matrix(ctypes.Structure):
    """Matrix in row_kernels.c."""

    _fields_ = (
        ("logits", c_void_p), ("bf16", c_int64), ("n", c_int64), ("V", c_int64), ("scratch", c_void_p),
        ("columns", c_void_p),
    )  # fmt: skip


class _Labels(ctypes.Structure):
    """Labels in row_kernels.c."""

    _fields_ = tuple((name, c_void_p) for name in ("labels", "groups", "weights", "log_p", "correct"))


class NativeRowKernels:
    """See ``RowKernels``: fp32 and bf16 logits on a CPU, sums in fp32. Each call does all its rows on its thread."""

    def __init__(self, num_labels: int, dtype: torch.dtype, device: torch.device) -> None:
        """num_labels: V; dtype: of the sums, float32; device: a CPU."""
        library = load_library()
        assert library is not None
        assert (dtype, device.type) == (torch.float32, "cpu")
        self._library = library
        self._scratch = torch.empty(3, num_labels)

    @staticmethod
    def can_process(dtypes: Collection[torch.dtype], device: torch.device) -> bool:
        """Return whether there are compiled kernels for logits of these dtypes."""
        return (
            device.type == "cpu" and {torch.float32, torch.bfloat16}.issuperset(dtypes) and load_library() is not None
        )

    def auxiliary(
        self, z: Tensor, at: RowLabels, terms: AuxiliaryTerms, sums: Tensor | None, trains: bool, columns: Tensor | None
    ) -> RowResults:
        """See RowKernels."""
        results = _results(len(z))
        cap = 0.0 if terms.cap is None else float(terms.cap)
        self._library.labelemb_auxiliary(
            self._matrix(z, columns), _labels(at, results), c_double(terms.aux), c_double(cap), c_double(terms.alpha),
            c_int64(terms.absolute), c_double(terms.tau), _pointer(sums), c_int64(trains),
        )  # fmt: skip
        return results

    def head(
        self, z: Tensor, at: RowLabels, terms: HeadTerms, q: Tensor | None, trains: bool, columns: Tensor | None
    ) -> RowResults:
        """See RowKernels."""
        results = _results(len(z))
        if q is not None:
            results = results._replace(soft=torch.empty(len(z)))
        self._library.labelemb_head(
            self._matrix(z, columns), _labels(at, results), c_double(terms.hard),
            c_double(0.0 if q is None else terms.soft), c_double(1.0 if q is None else terms.temperature), _pointer(q),
            _pointer(results.soft), c_int64(trains),
        )  # fmt: skip
        return results

    def embedding(self, e: Tensor, sums: Tensor, counts: Tensor, rectified: bool, columns: Tensor | None) -> Tensor:
        """See RowKernels."""
        values = torch.empty_like(counts)
        self._library.labelemb_embedding(
            self._matrix(e, columns), _pointer(sums), _pointer(counts), c_int64(rectified), _pointer(values)
        )
        return values

    def _matrix(self, logits: Tensor, columns: Tensor | None) -> object:
        n, width = logits.shape
        bf16 = logits.dtype == torch.bfloat16
        return ctypes.byref(_Matrix(_pointer(logits), bf16, n, width, _pointer(self._scratch), _pointer(columns)))


def _labels(at: RowLabels, results: RowResults) -> object:
    pointers = map(_pointer, (at.labels, at.group, at.weights, results.log_p, results.correct))
    return ctypes.byref(_Labels(*pointers))


def _results(height: int) -> RowResults:
    return RowResults(torch.empty(height), torch.empty(height, dtype=torch.bool))


def _pointer(tensor: Tensor | None) -> c_void_p:
    """Return the address of a contiguous tensor, NULL for None."""
    assert tensor is None or tensor.is_contiguous()
    return c_void_p(None if tensor is None else tensor.data_ptr())
