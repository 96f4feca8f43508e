"""Python texts of lengths as functions, of integers and of torch's symbolic integers alike.

In: text over `n`, the dictionary of lengths by name, as `expressions.python_text` writes it. Out: functions of `n`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any


def _reduce(name: str) -> Callable[..., Any]:
    def apply(*values: Any) -> Any:
        if all(isinstance(value, int) for value in values):
            return max(values) if name == "sym_max" else min(values)
        import torch

        return functools.reduce(getattr(torch, name), values)

    return apply


_NAMES: dict[str, Any] = {"__builtins__": {}, "largest": _reduce("sym_max"), "smallest": _reduce("sym_min")}


@functools.cache
def function(text: str) -> Callable[[Mapping[str, Any]], Any]:
    """The function of `n` that the text is."""
    result: Callable[[Mapping[str, Any]], Any] = eval(f"lambda n: {text}", _NAMES)
    return result
