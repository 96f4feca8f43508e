"""Loading shared objects.

In: the path of a shared object, or source text to build one from. Out: `ctypes.CDLL`. Holds: one artefact is loaded once a
process; its symbols stay its own; its functions run without the GIL; torch's OpenMP runtime is there before it.
"""

from __future__ import annotations

import ctypes
import os
from functools import cache
from pathlib import Path

from ..errors import TargetError
from .build import build
from .openmp import openmp


def load(path: str | Path) -> ctypes.CDLL:
    """The library at `path`. Errors: TargetError if it is not there or was made for another machine."""
    return _load(os.path.realpath(path))


@cache
def _load(path: str) -> ctypes.CDLL:
    # The loader takes a needed library from those already loaded, by name: torch's OpenMP runtime must be the first.
    openmp()
    try:
        return ctypes.CDLL(path, mode=os.RTLD_NOW | os.RTLD_LOCAL)
    except OSError as error:
        raise TargetError(f"the kernel library {path} cannot be loaded: {error}.\n  do: build it again on this machine") from error


@cache
def library(source: str, name: str) -> ctypes.CDLL:
    """The library built from `source` (see `build`). Asked for again, the same source costs a dictionary lookup."""
    return load(build(source, name=name))
