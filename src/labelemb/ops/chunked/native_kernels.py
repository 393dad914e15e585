"""Row kernels in C: ``NativeRowKernels`` behind the interface ``RowKernels``, and ``add_rows``.

n rows and u distinct labels at a time, V labels.
"""

import ctypes
from collections.abc import Collection
from ctypes import c_double, c_int64, c_void_p

import torch
from torch import Tensor

from labelemb.ops.chunked.row_kernels import AuxiliaryTerms, HeadTerms, Logits, RowLabels, RowResults
from labelemb.ops.native.library import load_library, pointer


class _Matrix(ctypes.Structure):
    """Matrix in row_kernels.c."""

    _fields_ = (
        ("logits", c_void_p), ("bf16", c_int64), ("n", c_int64), ("V", c_int64),
        *((name, c_void_p) for name in ("scratch", "columns", "bias")),
    )  # fmt: skip


class _Labels(ctypes.Structure):
    """Labels in row_kernels.c."""

    _fields_ = tuple((name, c_void_p) for name in ("labels", "groups", "weights", "log_p", "correct"))


class NativeRowKernels:
    """See ``RowKernels``: fp32 and bf16 logits on a CPU, sums in fp32. Each call does all its rows on its thread."""

    adds_bias = True

    def __init__(self, num_labels: int, dtype: torch.dtype, device: torch.device) -> None:
        """num_labels: V; dtype: of the sums, float32; device: a CPU."""
        library = load_library()
        assert library is not None
        assert (dtype, device.type) == (torch.float32, "cpu")
        self._library = library
        self._scratch = _float32(3, num_labels)

    @staticmethod
    def can_process(dtypes: Collection[torch.dtype], device: torch.device) -> bool:
        """Return whether there are compiled kernels for logits of these dtypes."""
        return (
            device.type == "cpu" and {torch.float32, torch.bfloat16}.issuperset(dtypes) and load_library() is not None
        )

    def auxiliary(self, logits: Logits, at: RowLabels, terms: AuxiliaryTerms, sums: Tensor | None) -> RowResults:
        """See RowKernels."""
        results = _results(len(logits.values))
        cap = 0.0 if terms.cap is None else float(terms.cap)
        self._library.labelemb_auxiliary(
            self._matrix(logits), self._labels(at, results), c_double(terms.aux), c_double(cap), c_double(terms.alpha),
            c_int64(terms.absolute), c_double(terms.tau), pointer(sums), c_int64(logits.trains),
        )  # fmt: skip
        return results

    def head(self, logits: Logits, at: RowLabels, terms: HeadTerms, q: Tensor | None) -> RowResults:
        """See RowKernels."""
        results = _results(len(logits.values))
        if q is not None:
            results = results._replace(soft=_float32(len(logits.values)))
        self._library.labelemb_head(
            self._matrix(logits), self._labels(at, results), c_double(terms.hard),
            c_double(0.0 if q is None else terms.soft), c_double(1.0 if q is None else terms.temperature), pointer(q),
            pointer(results.soft), c_int64(logits.trains),
        )  # fmt: skip
        return results

    def embedding(self, logits: Logits, sums: Tensor, counts: Tensor, rectified: bool) -> Tensor:
        """See RowKernels."""
        values = torch.empty_like(counts)
        self._library.labelemb_embedding(
            self._matrix(logits), pointer(sums), pointer(counts), c_int64(rectified), pointer(values)
        )
        return values

    def _matrix(self, logits: Logits) -> object:
        n, width = logits.values.shape
        if width != self._scratch.shape[1]:  # C would write past the end
            raise ValueError(f"logits: expected {self._scratch.shape[1]} columns, got {width}")
        pointers = map(pointer, (self._scratch, logits.columns, logits.bias))
        return ctypes.byref(_Matrix(pointer(logits.values), logits.values.dtype == torch.bfloat16, n, width, *pointers))

    def _labels(self, at: RowLabels, results: RowResults) -> object:
        num_labels = self._scratch.shape[1]
        if len(at.labels) and not 0 <= int(at.labels.min()) <= int(at.labels.max()) < num_labels:
            raise IndexError(f"labels: expected 0 to {num_labels - 1}, got {at.labels.min()} to {at.labels.max()}")
        pointers = map(pointer, (at.labels, at.group, at.weights, results.log_p, results.correct))
        return ctypes.byref(_Labels(*pointers))


def add_rows(total: Tensor, rows: Tensor) -> None:
    """Add rows in bf16 to an fp32 matrix of the same shape, on the calling thread.

    torch converts the rows first, in a pass of its own, and so takes twice as long. It adds what has no compiled form.
    """
    library = load_library() if (total.dtype, rows.dtype) == (torch.float32, torch.bfloat16) else None
    if library is None or total.device.type != "cpu" or not (total.is_contiguous() and rows.is_contiguous()):
        total.add_(rows)
    else:
        library.labelemb_add(pointer(rows), pointer(total), c_int64(rows.numel()))


def _results(height: int) -> RowResults:
    log_p = _float32(height)
    return RowResults(log_p, torch.empty_like(log_p, dtype=torch.bool))


def _float32(*shape: int) -> Tensor:
    return torch.empty(*shape, dtype=torch.float32, device="cpu")  # whatever the user's defaults are
