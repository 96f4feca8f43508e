"""The OpenMP runtime that kernels share with torch.

In: the torch of this process. Out: `OpenMP`. Holds: torch is imported by `openmp()`, not before.

Why: torch's wheels carry their own OpenMP library. A kernel linked with a plain `-fopenmp` can bring in the system's as well:
two thread pools, whose idle threads spin against each other. A kernel is therefore linked against the very file torch uses.
"""

from __future__ import annotations

import ctypes
import os
from dataclasses import dataclass
from functools import lru_cache


@dataclass(frozen=True)
class OpenMP:
    """The library that torch's parallel loops call: its path, and the compilers' entry points that it serves."""

    path: str
    serves_gcc: bool
    serves_clang: bool

    @property
    def name(self) -> str:
        """The file's name: what a kernel's needed-libraries entry comes from, the same wherever torch is installed."""
        return os.path.basename(self.path)


# The function that each compiler's parallel regions call.
_GCC_ENTRY = "GOMP_parallel"
_CLANG_ENTRY = "__kmpc_fork_call"


class _SymbolPlace(ctypes.Structure):
    """Dl_info of dladdr(3)."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("symbol", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


@lru_cache(maxsize=1)
def openmp() -> OpenMP | None:
    """The OpenMP runtime that torch has loaded, or None where it has none or the loader cannot say."""
    import torch

    # Looking a name up through a library searches that library and, breadth first, what it was linked to: the answer is the
    # runtime that torch itself is bound to, even where another package has loaded a second one.
    return bound_to(torch._C.__file__)


def bound_to(library: str) -> OpenMP | None:
    """The OpenMP runtime that `library`, a loaded shared object, is bound to."""
    try:
        handle = ctypes.CDLL(library)
        dladdr = ctypes.CDLL(None).dladdr
    except (OSError, AttributeError, TypeError):  # TypeError: CDLL(None) on Windows
        return None
    entries = {name: _address(handle, name) for name in (_GCC_ENTRY, _CLANG_ENTRY, "omp_get_max_threads")}
    address = entries["omp_get_max_threads"]
    place = _SymbolPlace()
    if address is None or not dladdr(ctypes.c_void_p(address), ctypes.byref(place)) or not place.file:
        return None
    path = os.path.abspath(os.fsdecode(place.file))
    return OpenMP(path, entries[_GCC_ENTRY] is not None, entries[_CLANG_ENTRY] is not None)


def _address(handle: ctypes.CDLL, name: str) -> int | None:
    try:
        return ctypes.cast(getattr(handle, name), ctypes.c_void_p).value
    except AttributeError:
        return None
