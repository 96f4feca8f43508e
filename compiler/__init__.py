"""Lamina: a compiler for neural-network layers.

    layer = lamina.compile("group_rational")      # a path, a text, or the name of a library entry
    y = layer(x, a, b)                            # a torch operator, differentiable to any order
    module = layer.module(C=96)                   # a torch.nn.Module

Importing this package loads neither torch nor the compiler; the names below do, when first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from .errors import ArgumentError, Error, SpecError, TargetError

if TYPE_CHECKING:
    from .binding.compile import compile
    from .binding.layer import Layer
    from .binding.package import load
    from .binding.specification import library

__all__ = ["ArgumentError", "Error", "Layer", "SpecError", "TargetError", "compile", "library", "load"]

_HOMES = {"Layer": "layer", "compile": "compile", "load": "package", "library": "specification"}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f".binding.{home}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
