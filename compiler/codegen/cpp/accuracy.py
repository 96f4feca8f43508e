"""What the scalar runtime of the C++ kernels (templates/cpp) promises: the largest error of each function, in ulp of the result.

In: nothing. Out: `ACCURACY`, read by reports. What holds: the tests measure every function against these bounds, and
docs/accuracy.md shows the same numbers and says how they were measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

_BOUNDS: dict[str, tuple[float, float]] = {
    "abs": (0.0, 0.0),
    "sign": (0.0, 0.0),
    "floor": (0.0, 0.0),
    "round": (0.0, 0.0),
    "min": (0.0, 0.0),
    "max": (0.0, 0.0),
    "clamp": (0.0, 0.0),
    "select": (0.0, 0.0),
    "sqrt": (0.51, 0.51),
    "rsqrt": (1.5, 1.5),
    "exp": (0.9, 1.0),
    "exp2": (1.1, 1.0),
    "expm1": (1.6, 1.0),
    "log": (0.9, 1.0),
    "log2": (1.2, 2.0),
    "log1p": (1.5, 1.0),
    "pow": (0.51, 1.0),
    "powi": (0.51, 1.0),
    "sin": (1.6, 1.0),
    "cos": (1.6, 1.0),
    "tan": (2.5, 1.0),
    "tanh": (1.5, 2.5),
    "sinh": (1.7, 2.5),
    "cosh": (1.4, 2.0),
    "asinh": (1.9, 2.0),
    "acosh": (2.5, 3.0),
    "atanh": (2.2, 2.0),
    "atan": (1.5, 1.0),
    "atan2": (1.6, 1.0),
    "hypot": (2.2, 2.2),
    "asin": (2.4, 1.0),
    "acos": (1.1, 1.0),
    "sigmoid": (2.0, 3.0),
    "softplus": (2.3, 2.0),
    "erf": (1.5, 1.0),
    "erfc": (4.0, 5.0),
    "lgamma": (0.51, 4.0),
    "digamma": (0.51, 5.0),
    "trigamma": (0.51, 5.0),
    "polygamma": (0.51, 10.0),
    "bspline": (6.0, 6.0),
}

ACCURACY: Mapping[str, Mapping[str, float]] = MappingProxyType(
    {name: MappingProxyType({"f32": single, "f64": double}) for name, (single, double) in _BOUNDS.items()}
)
