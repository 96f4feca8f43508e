"""The matrix products that programs call.

In: torch's own BLAS where its library exports it, else torch's operators. Out: the `services` array of a program: sgemm, dgemm.
Holds: both have the Fortran interface with 64-bit integers, column-major,

    void gemm(const char* transa, const char* transb, const int64_t* m, const int64_t* n, const int64_t* k,
              const T* alpha, const T* a, const int64_t* lda, const T* b, const int64_t* ldb,
              const T* beta, T* c, const int64_t* ldc);

C := alpha op(A) op(B) + beta C; they run on torch's threads; beta = 0 overwrites C whatever it holds. Nothing is looked up
before the first program is called.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import torch

# MKL and the ILP64 builds of OpenBLAS export the interface under one of these names, always with 64-bit integers.
_NAMES = {
    torch.float32: ("SGEMM_64", "sgemm_64_", "sgemm_64"),
    torch.float64: ("DGEMM_64", "dgemm_64_", "dgemm_64"),
}
_ORDER = (torch.float32, torch.float64)
_CTYPES: dict[torch.dtype, Any] = {torch.float32: ctypes.c_float, torch.float64: ctypes.c_double}
_POINTER = ctypes.c_void_p
_PROTOTYPE = ctypes.CFUNCTYPE(None, *([_POINTER] * 13))


class Services:
    """`address`: of the array of function pointers. The object keeps what they point to alive."""

    def __init__(self, functions: tuple[Any, ...]) -> None:
        self.functions = functions
        self.array = (ctypes.c_void_p * len(functions))(*(ctypes.cast(function, ctypes.c_void_p).value for function in functions))
        self.address = ctypes.addressof(self.array)


@lru_cache(maxsize=1)
def services() -> Services:
    """The array for this process: torch's BLAS where it is exported and gives the right product, torch's operators elsewhere."""
    library = _torch_library()
    found = []
    for dtype in _ORDER:
        function = _exported(library, _NAMES[dtype]) if library is not None else None
        found.append(function if function is not None and multiplies(function, dtype) else through_torch(dtype))
    return Services(tuple(found))


def _torch_library() -> ctypes.CDLL | None:
    folder = Path(torch.__file__).parent / "lib"
    for name in ("libtorch_cpu.so", "libtorch_cpu.dylib"):
        if (folder / name).exists():
            try:
                return ctypes.CDLL(str(folder / name))
            except OSError:
                return None
    return None


def _exported(library: ctypes.CDLL, names: tuple[str, ...]) -> Any | None:
    for name in names:
        try:
            return getattr(library, name)
        except AttributeError:
            continue
    return None


def call(function: Any, transposed: str, alpha: float, a: torch.Tensor, b: torch.Tensor, beta: float, c: torch.Tensor) -> None:
    """One product by the Fortran interface; a, b and c are column-major: tensors of strides (1, leading dimension).

    `transposed`: two letters, N or T, of a and b. op(a) (m, k), op(b) (k, n), c (m, n), all of one dtype.
    """
    number = _CTYPES[c.dtype]
    m, n = c.shape
    k = a.shape[1] if transposed[0] == "N" else a.shape[0]
    letters = [ctypes.create_string_buffer(letter.encode()) for letter in transposed]
    integers = [ctypes.c_int64(value) for value in (m, n, k, a.stride(1), b.stride(1), c.stride(1))]
    scalars = [number(alpha), number(beta)]
    pointers = [ctypes.addressof(each) for each in (*letters, *integers, *scalars)]
    transa, transb, rows, columns, inner, lda, ldb, ldc, first, second = pointers
    arguments = (transa, transb, rows, columns, inner, first, a.data_ptr(), lda, b.data_ptr(), ldb, second, c.data_ptr(), ldc)
    _PROTOTYPE(ctypes.cast(function, ctypes.c_void_p).value or 0)(*arguments)


def multiplies(function: Any, dtype: torch.dtype) -> bool:
    """Whether the function gives a small product right: that it is there does not say which interface it has."""

    def column_major(*rows: list[float]) -> torch.Tensor:
        return torch.tensor(rows, dtype=dtype).t().contiguous().t()

    a, b = column_major([1, 2, 3], [4, 5, 6]), column_major([1, 0, 2], [0, 1, 1])
    c = torch.full((2, 2), float("nan"), dtype=dtype).t()
    call(function, "NT", 2.0, a, b, 0.0, c)
    return bool(torch.equal(c, 2 * (a.contiguous() @ b.contiguous().t())))


def through_torch(dtype: torch.dtype) -> Callable[..., None]:
    """The interface as a callback that runs torch's operators on the memory it is given."""
    number = _CTYPES[dtype]

    def gemm(*pointers: int) -> None:
        transa, transb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc = pointers
        integers = (ctypes.c_int64.from_address(each).value for each in (m, n, k, lda, ldb, ldc))
        rows, columns, inner, stride_a, stride_b, stride_c = integers
        if rows == 0 or columns == 0:
            return
        factor, previous = number.from_address(alpha).value, number.from_address(beta).value

        def matrix(address: int, height: int, width: int, stride: int) -> torch.Tensor:
            """The column-major matrix at an address, as the row-major one that is its transpose's memory."""
            if height == 0 or width == 0:
                return torch.empty(height, width, dtype=dtype)
            memory = (number * (stride * (width - 1) + height)).from_address(address)
            return torch.frombuffer(memory, dtype=dtype).as_strided((height, width), (1, stride))

        def operand(letter: int, address: int, height: int, width: int, stride: int) -> torch.Tensor:
            if ctypes.c_char.from_address(letter).value in (b"N", b"n"):
                return matrix(address, height, width, stride)
            return matrix(address, width, height, stride).t()

        target = matrix(c, rows, columns, stride_c)
        with torch.no_grad():
            product = operand(transa, a, rows, inner, stride_a) @ operand(transb, b, inner, columns, stride_b)
            if previous == 0:  # what C holds may be NaN
                target.copy_(product.mul_(factor))
            else:
                target.mul_(previous).add_(product, alpha=factor)

    return _PROTOTYPE(gemm)
