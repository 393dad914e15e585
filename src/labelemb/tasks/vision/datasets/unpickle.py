"""Restricted unpickling: only byte arrays and plain containers are loaded; no other name is resolved."""

import io
import pickle
from typing import Any

import numpy as np
from numpy.typing import NDArray

from labelemb.errors import DataError


def unpickle_plain(content: bytes, name: str) -> Any:
    """Read a pickle of dicts, lists, tuples, numbers, strings, bytes and numpy arrays of bytes (uint8).

    Strings of Python 2 come out as bytes. No class and no function of any module is ever reached: the names by which
    numpy's arrays are pickled lead to the stand-ins below. ``name`` stands in the error.

    Raises DataError for anything else, and for what is no pickle.
    """
    try:
        return _Arrays().of(_PlainUnpickler(io.BytesIO(content), encoding="bytes").load())
    except DataError:
        raise
    except Exception as error:  # a damaged pickle can fail anywhere
        reason = " ".join(str(error).split()) or type(error).__name__
        raise DataError(name, "a pickle of plain values and arrays of bytes", reason) from error


class _PlainUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _STAND_INS:
            raise DataError("pickle", "numpy arrays and plain containers only", f"{module}.{name}")
        return _STAND_INS[module, name]


class _StandIn:
    """What a pickle gets instead of a numpy name. ``__setstate__`` is always there, so BUILD can set no attribute."""

    __slots__ = ()

    def __setstate__(self, state: Any) -> None:
        raise ValueError("a state where none belongs")


class _Array(_StandIn):
    """Placeholder for an array under construction."""

    __slots__ = ("value",)
    value: NDArray[np.uint8]

    def __setstate__(self, state: Any) -> None:
        _, shape, kind, fortran, raw = state
        if not isinstance(kind, _Kind) or not isinstance(raw, bytes):
            raise ValueError("an array of anything but bytes")
        self.value = np.frombuffer(raw, np.uint8).reshape(shape, order="F" if fortran else "C")


class _Kind(_StandIn):
    """The dtype uint8; no other is admitted."""

    __slots__ = ()

    def __new__(cls, code: Any = None, *_: Any) -> "_Kind":
        if code not in (b"u1", "u1"):
            raise ValueError(f"an array of {code!r} instead of bytes (u1)")
        return super().__new__(cls)

    def __setstate__(self, state: Any) -> None:
        """Byte order and the like mean nothing for bytes."""


class _Reconstruct(_StandIn):
    """numpy's function that makes an empty array, to be filled by its state."""

    __slots__ = ()

    def __new__(cls, *_: Any) -> Any:
        return _Array()


class _Encode(_StandIn):
    """How bytes are written in the pickles of Python 3 that Python 2 can read: text, as latin1."""

    __slots__ = ()

    def __new__(cls, text: str, encoding: str) -> Any:
        if not isinstance(text, str) or encoding not in ("latin1", b"latin1"):
            raise ValueError("text in another encoding than latin1")
        return text.encode("latin1")


_STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy._core.multiarray", "_reconstruct"): _Reconstruct,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Kind,
    ("_codecs", "encode"): _Encode,
}


class _Arrays:
    """Puts the arrays themselves in place of their stand-ins.

    Each container once: in a pickle of two hundred bytes one may be there a billion times.
    """

    def __init__(self) -> None:
        self._done: dict[int, tuple[Any, Any]] = {}  # with the original, so that no other gets its number

    def of(self, value: Any) -> Any:
        """Return the value with all arrays in it."""
        match value:
            case _Array():
                return value.value
            case dict() | list() | tuple():
                if id(value) not in self._done:
                    self._done[id(value)] = value, self._copy(value)
                return self._done[id(value)][1]
            case _StandIn() | type():
                raise ValueError("a class")
        return value

    def _copy(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {self.of(key): self.of(item) for key, item in value.items()}
        return type(value)(self.of(item) for item in value)
