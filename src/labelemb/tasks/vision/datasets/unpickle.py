"""Restricted unpickling of plain containers and uint8 arrays, which cannot execute code."""

import io
import pickle
import pickletools
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError


def unpickle_plain(content: bytes, name: str) -> Any:
    """Load a pickle of dicts, lists, tuples, numbers, strings, bytes and uint8 NumPy arrays.

    No class or function of any module is imported: the names that NumPy uses in pickles of arrays are resolved to
    placeholders in this module. Strings pickled by Python 2 are returned as bytes.

    Args:
        content: The pickle.
        name: Name of the file for error messages.

    Returns:
        The object.

    Raises:
        DataError: If the content is not a pickle, or contains anything else.
    """
    try:
        _check_memo(content)
        return _ArrayResolver().resolve(_PlainUnpickler(io.BytesIO(content), encoding="bytes").load())
    except DataError:
        raise
    except Exception as error:  # the unpickler raises many types for damaged pickles
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(name, "a pickle of plain values and uint8 arrays", reason) from error


def _check_memo(content: bytes) -> None:
    """Raise ValueError for objects that are not numbered one after another.

    The unpickler makes room for as many objects as the largest number: gigabytes for a pickle of a few bytes.
    """
    numbers: list[Any] = [argument for opcode, argument, _ in pickletools.genops(content) if "PUT" in opcode.name]
    for stored, number in enumerate(numbers, start=1):  # Python 2 begins with 1
        if not 0 <= number <= stored:
            raise ValueError(f"object {number} after {stored - 1} others")


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _PLACEHOLDERS:
            raise DataError("pickle", "numpy arrays and plain containers only", f"{module}.{name}")
        return _PLACEHOLDERS[module, name]


class _Placeholder:
    """Base of the placeholders. ``__setstate__`` is defined so that the opcode BUILD cannot set attributes."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise ValueError("unexpected object state")


class _Array(_Placeholder):
    """Placeholder for an array under construction."""

    __slots__ = ("value",)
    value: NDArray[np.uint8]

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, raw = state
        if not isinstance(dtype, _Dtype) or not isinstance(raw, bytes):
            raise ValueError("an array that is not uint8")
        self.value = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Dtype(_Placeholder):
    """Placeholder for the dtype uint8; others are refused."""

    __slots__ = ()

    def __new__(cls, code: Any = None, *_: Any) -> "_Dtype":
        if code not in (b"u1", "u1"):
            raise ValueError(f"an array of dtype {code!r} instead of u1")
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Ignore byte order and alignment, which have no meaning for uint8."""


class _Reconstruct(_Placeholder):
    """Placeholder for the function of NumPy that creates an empty array, filled by ``__setstate__``."""

    __slots__ = ()

    def __new__(cls, *_: Any) -> Any:
        return _Array()


class _Encode(_Placeholder):
    """Placeholder for ``codecs.encode``: Python 3 pickles bytes as latin1 text under protocols up to 2."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> Any:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise ValueError("an encoding other than latin1")
        return text.encode("latin1")


_PLACEHOLDERS = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _Encode,
}


class _ArrayResolver:
    """Replaces placeholders by arrays in nested containers.

    Each container is visited once: a pickle of 200 bytes can refer to the same one a billion times.
    """

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Any]] = {}  # keeps the original alive so that its id stays unique

    def resolve(self, value: Any) -> Any:
        """Return ``value`` with arrays in place of placeholders."""
        match value:
            case _Array():
                return value.value
            case dict() | list() | tuple():
                if id(value) not in self._done:
                    self._done[id(value)] = value, self._copy(value)
                return self._done[id(value)][1]
            case _Placeholder() | type():
                raise ValueError("a class or an unfinished object")
        return value

    def _copy(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.resolve(key): self.resolve(item) for key, item in value.items()}
        return type(value)(self.resolve(item) for item in value)
