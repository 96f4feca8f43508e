"""Coefficients of rational activations, each bound to the denominator form it was fitted for.

In: a preset's name and a denominator form. Out: a `Preset`, the coefficients with their target, interval and error.
Holds: a preset is never handed out under another form, since the same numbers are another function there (the published
GELU of form B misses GELU by 1.5 under form A). The data are in rational_presets.json, written by fit_presets.py.

Forms, with numerator P(x) = sum of a[i] x^i:
- A: P / (1 + sum of |b[j]| |x|^(j+1))
- B: P / (1 + |sum of b[j] x^(j+1)|)
- C: P / (0.1 + |sum of b[j] x^j|), one coefficient more
- N: P / (1 + sum of b[j] x^(j+1))
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy
from numpy.typing import NDArray

from ..errors import ArgumentError

FORMS = ("A", "B", "C", "N")


@dataclass(frozen=True)
class Preset:
    """Coefficients a[M+1] (numerator) and b (denominator: N of them, N+1 under form C), in ascending powers.

    `max_error` is the largest absolute difference from `target` on `interval`, measured in float64 under `form`.
    """

    name: str
    form: str
    target: str
    source: str
    numerator: tuple[float, ...]
    denominator: tuple[float, ...]
    interval: tuple[float, float]
    max_error: float


def rational(form: str, numerator: Sequence[float], denominator: Sequence[float], x: NDArray[Any]) -> NDArray[Any]:
    """The rational function of the given form at each x, in x's own precision (plain sums of powers, no Horner scheme)."""
    p = sum((a * x**i for i, a in enumerate(numerator)), numpy.zeros_like(x))
    if form == "A":
        return p / (1 + sum((abs(b) * abs(x) ** (j + 1) for j, b in enumerate(denominator)), numpy.zeros_like(x)))
    if form == "C":
        return p / (0.1 + abs(sum((b * x**j for j, b in enumerate(denominator)), numpy.zeros_like(x))))
    t = sum((b * x ** (j + 1) for j, b in enumerate(denominator)), numpy.zeros_like(x))
    return p / (1 + (abs(t) if form == "B" else t))


@cache
def presets() -> tuple[Preset, ...]:
    """Every preset, in the order of the data file; a name occurs once for each form it may be used under."""
    records = json.loads((files(__package__) / "rational_presets.json").read_text(encoding="utf-8"))
    return tuple(
        Preset(
            name=record["name"],
            form=record["form"],
            target=record["target"],
            source=record["source"],
            numerator=tuple(record["numerator"]),
            denominator=tuple(record["denominator"]),
            interval=(record["interval"][0], record["interval"][1]),
            max_error=record["max_error"],
        )
        for record in records
    )


def preset(name: str, form: str) -> Preset:
    """The preset of that name fitted for denominator form `form` ("A", "B", "C" or "N").

    ArgumentError: no such form, no such name, or the name exists under other forms only (the message names them, and the
    presets of the same target that do exist under `form`).
    """
    if form not in FORMS:
        raise ArgumentError(f"preset: expected a denominator form, one of {', '.join(FORMS)}; found {form!r}")
    named = [candidate for candidate in presets() if candidate.name == name]
    if not named:
        names = ", ".join(dict.fromkeys(candidate.name for candidate in presets()))
        raise ArgumentError(f"preset: expected a preset's name, one of {names}; found {name!r}")
    for candidate in named:
        if candidate.form == form:
            return candidate
    available = ", ".join(candidate.form for candidate in named)
    others = [candidate.name for candidate in presets() if candidate.form == form and candidate.target == named[0].target]
    mend = f"; of the same function under form {form} there is {', '.join(others)}" if others else ""
    raise ArgumentError(
        f"preset {name!r}: expected a form it was fitted for ({available}), found form {form}, under which its coefficients are "
        f"another function{mend}"
    )
