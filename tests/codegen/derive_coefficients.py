"""Derives the polynomial coefficients of templates/cpp/math_*.hpp and prints them as hex floats with the error reached.

Each polynomial is the minimax fit of its function on its interval, found by linear programming on a Chebyshev grid; for a float32
polynomial the coefficients are then rounded one by one from the lowest degree, the remaining ones being fitted anew after each
rounding, so that the printed error is that of the rounded polynomial. The error is relative to the final function
(weight = factor / function).

Run as `python derive_coefficients.py [NAME ...]`; reference values come from mpmath at 40 digits.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import mpmath
import numpy as np
from scipy.optimize import linprog

mpmath.mp.dps = 40
Real = mpmath.mpf


@dataclass(frozen=True)
class Fit:
    """P of the given degree in `variable(x)`, with `target(x) = P`, its error weighted by `weight(x)`, for x in [low, high]."""

    target: Callable[[Real], Real]
    weight: Callable[[Real], Real]
    low: float
    high: float
    degree: int
    variable: Callable[[Real], Real] = lambda x: x
    dtype: type = np.float32


def even(x: Real) -> Real:
    return x * x


def log_erfc(x: Real) -> Real:
    return mpmath.log(mpmath.erfc(x))


def scaled_erfc(t: Real) -> Real:
    """e^(a^2) erfc(a) (a + 4) for a = 4 (1 + t) / (1 - t)."""
    a = 4 * (1 + t) / (1 - t)
    return mpmath.erfc(a) * mpmath.exp(a * a) * (a + 4)


DIGAMMA_ROOT = mpmath.findroot(mpmath.digamma, 1.4616)


HALF_LN2 = 0.34657359 * 1.0001
SQRT2 = 2.0**0.5

FITS: dict[str, Fit] = {
    # e^r = 1 + (r + r^2 P(r)), exact enough for expm1 itself
    "exp": Fit(lambda r: (mpmath.expm1(r) - r) / r**2, lambda r: r**2 / mpmath.expm1(r), -HALF_LN2, HALF_LN2, 5),
    # 2^r = 1 + r P(r)
    "exp2": Fit(lambda r: mpmath.expm1(r * mpmath.log(2)) / r, lambda r: r / Real(2) ** r, -0.5, 0.5, 5),
    # log(1+f) = f - f^2/2 + f^3 P(f)
    "log": Fit(lambda f: (mpmath.log1p(f) - f + f * f / 2) / f**3, lambda f: f**3 / mpmath.log1p(f), SQRT2 / 2 - 1, SQRT2 - 1, 8),
    # sin r = r + r^3 P(r^2)
    "sin": Fit(lambda r: (mpmath.sin(r) - r) / r**3, lambda r: r**3 / mpmath.sin(r), 1e-2, 0.795, 2, even),
    # cos r = 1 - r^2/2 + r^4 P(r^2)
    "cos": Fit(lambda r: (mpmath.cos(r) - 1 + r * r / 2) / r**4, lambda r: r**4 / mpmath.cos(r), 1e-2, 0.795, 2, even),
    # tan r = r + r^3 P(r^2)
    "tan": Fit(lambda r: (mpmath.tan(r) - r) / r**3, lambda r: r**3 / mpmath.tan(r), 1e-2, 0.795, 6, even),
    # tanh x = x + x^3 P(x^2)
    "tanh": Fit(lambda x: (mpmath.tanh(x) - x) / x**3, lambda x: x**3 / mpmath.tanh(x), 1e-2, 0.55, 4, even),
    # sinh x = x + x^3 P(x^2)
    "sinh": Fit(lambda x: (mpmath.sinh(x) - x) / x**3, lambda x: x**3 / mpmath.sinh(x), 1e-2, 1.0, 3, even),
    # atan t = t + t^3 P(t^2)
    "atan": Fit(lambda t: (mpmath.atan(t) - t) / t**3, lambda t: t**3 / mpmath.atan(t), 1e-2, 1.0, 8, even),
    # asin x = x + x^3 P(x^2)
    "asin": Fit(lambda x: (mpmath.asin(x) - x) / x**3, lambda x: x**3 / mpmath.asin(x), 1e-2, 0.5, 5, even),
    # erf x = x + x P(x^2)
    "erf_small": Fit(lambda x: mpmath.erf(x) / x - 1, lambda x: x / mpmath.erf(x), 1e-2, 1.0, 6, even),
    # erf x = 1 - exp(P(x))
    "erf_large": Fit(log_erfc, lambda x: mpmath.erfc(x) / mpmath.erf(x), 1.0, 4.0, 6),
    # log1p t = t + t^2 P(t)
    "softplus": Fit(lambda t: (mpmath.log1p(t) - t) / t**2, lambda t: t**2 / mpmath.log1p(t), 1e-4, 1.0, 9),
    # erfc a = exp(-a^2) / (a + 4) P((a - 4)/(a + 4)), a <= 10.1
    "erfc": Fit(scaled_erfc, lambda t: 1 / scaled_erfc(t), -1.0, 6.1 / 14.1, 10),
    # log2 m = s P(s^2), s = (m - 1)/(m + 1)
    "pow_log2": Fit(
        lambda s: 2 * mpmath.atanh(s) / s / mpmath.log(2), lambda s: s / mpmath.atanh(s), 1e-3, 0.17158, 5, even, np.float64
    ),
    # 2^r = P(r)
    "pow_exp2": Fit(lambda r: Real(2) ** r, lambda r: Real(2) ** -r, -0.5, 0.5, 7, lambda x: x, np.float64),
}


def minimax(values: np.ndarray, weights: np.ndarray, variable: np.ndarray, degree: int) -> np.ndarray:
    """Coefficients c that minimise max |weights * (values - P(variable))| over the grid.

    A least squares fit first, then a linear programme for the correction in units of the error left, which keeps the solver's
    tolerance relative to that error.
    """
    reach = np.max(np.abs(variable))
    powers = (variable / reach)[:, None] ** np.arange(degree + 1)
    start = np.linalg.lstsq(weights[:, None] * powers, weights * values, rcond=None)[0]
    residual = weights * (values - powers @ start)
    unit = np.max(np.abs(residual))
    rows = weights[:, None] * powers
    norm = np.max(np.abs(rows))
    bound = -np.ones((len(values), 1))
    constraints = np.vstack([np.hstack([rows / norm, bound]), np.hstack([-rows / norm, bound])])
    limits = np.concatenate([residual, -residual]) / unit
    cost = np.r_[np.zeros(degree + 1), 1.0]
    answer = linprog(cost, constraints, limits, bounds=[(None, None)] * (degree + 1) + [(0, None)], method="highs")
    correction = answer.x[:-1] * unit / norm if answer.status == 0 else 0.0
    return (start + correction) / reach ** np.arange(degree + 1)


def derive(fit: Fit) -> tuple[list[float], float]:
    """The rounded coefficients, lowest degree first, and the largest weighted error on the grid."""
    angles = np.linspace(0, np.pi, 801)
    grid = [Real(float(x)) for x in (fit.low + fit.high) / 2 - (fit.high - fit.low) / 2 * np.cos(angles)]
    grid = [x for x in grid if abs(x) > 1e-9]
    values = np.array([float(fit.target(x)) for x in grid])
    weights = np.abs(np.array([float(fit.weight(x)) for x in grid]))
    variable = np.array([float(fit.variable(x)) for x in grid])
    powers = variable[:, None] ** np.arange(fit.degree + 1)
    fixed: list[float] = []
    while len(fixed) <= fit.degree:
        count = len(fixed)
        rest = values - powers[:, :count] @ np.array(fixed)
        # dividing by v^count keeps the system well scaled; the weight takes the factor back
        scale = powers[:, count]
        keep = np.abs(weights * scale) > 1e-6 * np.max(np.abs(weights * scale))
        coefficients = minimax(rest[keep] / scale[keep], weights[keep] * np.abs(scale[keep]), variable[keep], fit.degree - count)
        if fit.dtype is np.float64:
            fixed = coefficients.tolist()
            break
        fixed.append(float(fit.dtype(coefficients[0])))
    return fixed, float(np.max(weights * np.abs(values - powers @ np.array(fixed))))


def quarter_turns() -> list[tuple[str, str]]:
    """2/pi without the bits that give multiples of 4 quarter turns, as two doubles each: for x < 2^48 and for x in
    [2^s, 2^(s + 22)), s = 48, 70, 92, 114.

    A float32 x >= 2^s is a multiple of 2^(s - 23), so a bit of 2/pi worth 2^(25 - s) or more gives a multiple of 4.
    """
    pairs = []
    for unit in [Real(2), *(Real(2) ** (25 - s) for s in (48, 70, 92, 114))]:
        rest = mpmath.fmod(2 / mpmath.pi, unit)
        high = float(rest)
        pairs.append((high.hex(), float(rest - Real(high)).hex()))
    return pairs


def digamma_series() -> list[float]:
    """Coefficients of digamma(x) / (x - root) in powers of x - 3/2 on [1, 2], by Chebyshev interpolation (float64)."""

    def quotient(u: Real) -> Real:
        x = u + Real(3) / 2
        return mpmath.digamma(x) / (x - DIGAMMA_ROOT)

    highest_first, error = mpmath.chebyfit(quotient, [-Real(1) / 2, Real(1) / 2], 22, error=True)
    print(f"digamma: degree 21, error 2^{float(mpmath.log(error, 2)):.2f}, root {DIGAMMA_ROOT}")
    return [float(c) for c in reversed(highest_first)]


def main(names: list[str]) -> None:
    for name in names or list(FITS):
        coefficients, error = derive(FITS[name])
        print(f"{name}: degree {FITS[name].degree}, error 2^{np.log2(error):.2f}")
        print("   ", ", ".join(c.hex().replace("0000000p", "p") for c in coefficients))
    if not names:
        mpmath.mp.dps = 80
        print("quarter turns:", *quarter_turns(), sep="\n    ")
        root = float(DIGAMMA_ROOT)
        print("digamma root:", root.hex(), float(DIGAMMA_ROOT - Real(root)).hex())
        print("   ", ", ".join(c.hex() for c in digamma_series()))


if __name__ == "__main__":
    main(sys.argv[1:])
