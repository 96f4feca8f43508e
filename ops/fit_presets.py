"""Writes rational_presets.json: the published coefficient sets with their measured errors, and fits of our own.

In: the tables below (from the publications named in each row). Out: the data file. Holds: each
error is measured in float64 on 100001 points of the interval under the record's own form. Run: python -m lamina.ops.fit_presets

Our own fits are best approximations P/Q with Q = 1 + b2 x^2 + b4 x^4 and b2, b4 >= 0, for which the forms A, B and N are one
function, and C too (with b0 = 0.9). Method: differential correction (Cheney, Loeb 1961; Barrodale, Powell, Roberts 1972), one
linear programme a step, which cannot end in a local minimum since Q stays positive.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from scipy.optimize import linprog
from scipy.special import erfc, expit

from .presets import rational

Array = NDArray[Any]
POINTS = 100001
INTERVAL = (-3.0, 3.0)
WIDE = (-8.0, 8.0)

KAT = "initial coefficients of the Kolmogorov-Arnold Transformer's code (arXiv:2409.10594)"
PAU = "table of the Pade activation units' code (arXiv:1907.06732)"
OWN = "best approximation with an even, non-negative denominator, by differential correction (fit_presets.py)"


def gelu(x: Array) -> Array:
    return x * erfc(-x / numpy.sqrt(2)) / 2


def softplus_of_erfc(x: Array) -> Array:
    return erfc(numpy.logaddexp(0, x)) ** 2


TARGETS: dict[str, Callable[[Array], Array]] = {
    "identity": lambda x: x,
    "silu": lambda x: x * expit(x),
    "gelu": gelu,
    "relu": lambda x: numpy.maximum(x, 0),
    "leaky_relu": lambda x: numpy.where(x > 0, x, 0.01 * x),
    "leaky_relu_0.1": lambda x: numpy.where(x > 0, x, 0.1 * x),
    "tanh": numpy.tanh,
    "sigmoid": expit,
    "x*gelu": lambda x: x * gelu(x),
    "x*silu": lambda x: x * x * expit(x),
    "erfc(softplus)^2": softplus_of_erfc,
}

IDENTITY = ((0.0, 1.0, 0.0, 0.0, 0.0, 0.0), (0.0, 0.0, 0.0, 0.0))
SIGMOID = (
    (0.4999992535, 0.2500215757, 0.1406192450, 0.0494204924, 0.0087671485, 0.0006442413),
    (2.1694506e-09, 0.2812276610, 1.01236207e-05, 0.0175319880),
)

# name, forms, target, source, (numerator, denominator)
PUBLISHED: tuple[tuple[str, str, str, str, tuple[tuple[float, ...], tuple[float, ...]]], ...] = (
    ("identity", "ABN", "identity", KAT, IDENTITY),
    ("identity", "C", "identity", KAT, (IDENTITY[0], (0.9, 0.0, 0.0, 0.0, 0.0))),
    (
        "swish",
        "A",
        "silu",
        KAT,
        (
            (3.054879741e-07, 0.5000007854, 0.2499978342, 0.0532662827, 0.0058030346, 0.0002751961),
            (-4.111554956e-06, 0.1065289934, -1.269000740e-06, 0.0005502331),
        ),
    ),
    (
        "swish",
        "B",
        "silu",
        PAU,
        (
            (3.2597007e-7, 0.50000001, 0.25001695, 0.053275196, 0.0058045806, 2.7529601e-4),
            (3.9172943e-5, 0.10653084, 3.7991514e-6, 5.5030521e-4),
        ),
    ),
    (
        "gelu",
        "B",
        "gelu",
        KAT,
        (
            (-0.00153969, 0.51692871, 0.44075827, 0.0972553, -0.00884418, -0.00378675),
            (-0.14171056, -0.06481231, -0.0444695, 0.01283776),
        ),
    ),
    (
        "gelu_old",
        "A",
        "gelu",
        KAT,
        (
            (-0.00124235945, 0.5080497063, 0.4158636318, 0.1302271869, 0.0243559001, 0.0029028395),
            (-0.0667501570, 0.1792764622, 0.0374668261, 1.656161e-10),
        ),
    ),
    (
        "gelu_pade",
        "B",
        "gelu",
        PAU,
        (
            (-4.2210715e-4, 0.49999956, 0.40270535, 0.073669769, -0.012954788, -0.0037414003),
            (4.9585381e-5, 0.14729774, 1.1645826e-5, -0.0074838715),
        ),
    ),
    (
        "relu",
        "A",
        "relu",
        KAT,
        (
            (0.0299638016, 0.6168978367, 2.3753475973, 3.0659900472, 1.5246831882, 0.2528070864),
            (-1.1915501219, 4.4080487697, 0.9110357114, 0.3488497795),
        ),
    ),
    (
        "relu",
        "B",
        "relu",
        PAU,
        ((0.033897, 0.499999, 1.670136, 1.990102, 0.941309, 0.150913), (-2.1e-5, 3.980248, -3.17e-5, 0.301834)),
    ),
    (
        "leaky_relu",
        "A",
        "leaky_relu",
        KAT,
        (
            (0.0297927787, 0.6183735265, 2.3233090625, 3.0519362373, 1.4854203264, 0.2510244961),
            (-1.1419548357, 4.3931599750, 0.8714712310, 0.3471966234),
        ),
    ),
    (
        "leaky_relu_0.1",
        "A",
        "leaky_relu_0.1",
        KAT,
        (
            (0.0280016233, 0.6356606449, 1.9230178392, 2.9675270077, 1.1911336844, 0.2392260706),
            (-0.7802079437, 4.2781906231, 0.5865922076, 0.3344702132),
        ),
    ),
    (
        "tanh",
        "A",
        "tanh",
        KAT,
        (
            (-1.0804622559e-08, 1.0003008044, -2.5878199375e-08, 0.0963212992, 3.4775841628e-09, 0.0004255709),
            (-0.0013027181, 0.4283490174, 1.4524304083e-09, 0.0107966481),
        ),
    ),
    (
        "tanh",
        "B",
        "tanh",
        PAU,
        ((2.1e-9, 0.99999425, 6.28e-7, 0.10770865, 2.95e-8, 8.7112437e-4), (6.38e-7, 0.44101418, 2.27e-7, 0.01458104)),
    ),
    ("sigmoid", "AB", "sigmoid", KAT, SIGMOID),
    (
        "sigmoid_pade",
        "B",
        "sigmoid",
        PAU,
        (
            (0.5, 0.25000397, 0.055444742, 0.0068884492, 4.8491392e-4, 1.5646015e-5),
            (7.96e-6, 0.11088551, 7.77e-7, 9.6976844e-4),
        ),
    ),
    (
        "geglu",
        "B",
        "x*gelu",
        KAT,
        (
            (0.00079642, -0.00602563, 0.49750578, 0.47691076, 0.15421425, 0.0168486),
            (-0.12619161, -0.20067464, -0.03005465, 0.0027335),
        ),
    ),
    (
        "swishglu",
        "B",
        "x*silu",
        KAT,
        (
            (-0.00111528, -0.00334562, 0.53107663, 0.27851476, 0.06044361, 0.00483468),
            (0.14408492, 0.02008671, 0.02944107, -0.00329516),
        ),
    ),
    (
        "erfc_Softplus_2",
        "B",
        "erfc(softplus)^2",
        KAT,
        (
            (0.10685354, -0.23290146, 0.19928975, -0.08317628, 0.01685602, -0.0013217),
            (-0.04596856, 0.4134001, 0.01430384, 0.03504373),
        ),
    ),
)

# name, target, interval
OWN_FITS: tuple[tuple[str, str, tuple[float, float]], ...] = (
    ("gelu_best", "gelu", INTERVAL),
    ("silu_best", "silu", INTERVAL),
    ("tanh_best", "tanh", INTERVAL),
    ("gelu_wide", "gelu", WIDE),
    ("silu_wide", "silu", WIDE),
)


def measured_error(
    form: str, numerator: tuple[float, ...], denominator: tuple[float, ...], target: str, interval: tuple[float, float]
) -> float:
    """The largest |rational(x) - target(x)| on POINTS equally spaced points of the interval, in float64."""
    x = numpy.linspace(*interval, POINTS)
    return float(numpy.max(numpy.abs(rational(form, numerator, denominator, x) - TARGETS[target](x))))


def best_even_fit(
    target: Callable[[Array], Array], interval: tuple[float, float], degree: int = 5, points: int = 1201
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Numerator (degree + 1) and denominator (0, b2, 0, b4) of the best approximation found on `points` Chebyshev nodes.

    Differential correction: given the error D of the current P/Q, minimise d subject to |f q - p| - D q <= d Q_current.
    Columns are scaled by powers of the half-width so that the linear programmes stay well conditioned; b is bounded there (a
    compact set of coefficients is what the method's convergence rests on) far above any fit's value.
    """
    half = (interval[1] - interval[0]) / 2
    t = numpy.cos(numpy.linspace(0, numpy.pi, points))
    x = half * t + (interval[0] + interval[1]) / 2
    f = target(x)
    powers = numpy.stack([t**i for i in range(degree + 1)], axis=1)
    even = numpy.stack([t**2, t**4], axis=1)
    a, b = numpy.zeros(degree + 1), numpy.zeros(2)
    error = float(numpy.max(numpy.abs(f)))
    for _ in range(60):
        q = 1 + even @ b
        # Unknowns: a, b, d. Rows: +-(f (1 + even b) - powers a) - error (1 + even b) - d q <= 0.
        upper = numpy.hstack([-powers, (f - error)[:, None] * even, -q[:, None]])
        lower = numpy.hstack([powers, (-f - error)[:, None] * even, -q[:, None]])
        solution = linprog(
            numpy.r_[numpy.zeros(degree + 3), 1.0],
            A_ub=numpy.vstack([upper, lower]),
            b_ub=numpy.r_[error - f, error + f],
            bounds=[(None, None)] * (degree + 1) + [(0, 100)] * 2 + [(None, None)],
            method="highs",
            options={"primal_feasibility_tolerance": 1e-10, "dual_feasibility_tolerance": 1e-10},
        )
        if solution.status != 0:
            break
        next_a, next_b = solution.x[: degree + 1], solution.x[degree + 1 : degree + 3]
        next_error = float(numpy.max(numpy.abs(f - powers @ next_a / (1 + even @ next_b))))
        if next_error >= error * (1 - 1e-6):
            break
        a, b, error = next_a, next_b, next_error
    numerator = tuple(float(value / half**i) for i, value in enumerate(a))
    return numerator, (0.0, float(b[0] / half**2), 0.0, float(b[1] / half**4))


def records() -> list[dict[str, Any]]:
    """The data file's contents: one record for each preset and form."""
    rows = [
        (name, form, target, source, INTERVAL, *coefficients)
        for name, forms, target, source, coefficients in PUBLISHED
        for form in forms
    ]
    for name, target, interval in OWN_FITS:
        numerator, denominator = best_even_fit(TARGETS[target], interval)
        # Nine significant digits: finer than the fit's own error, coarser than what the linear solver leaves undetermined.
        numerator = tuple(float(f"{value:.9g}") + 0.0 for value in numerator)
        denominator = tuple(float(f"{value:.9g}") for value in denominator)
        rows += [(name, form, target, OWN, interval, numerator, denominator) for form in "ABN"]
        rows.append((name, "C", target, OWN, interval, numerator, (0.9, *denominator)))
    return [
        {
            "name": name,
            "form": form,
            "target": target,
            "source": source,
            "interval": list(interval),
            "numerator": list(numerator),
            "denominator": list(denominator),
            "max_error": float(f"{measured_error(form, numerator, denominator, target, interval):.3e}"),
        }
        for name, form, target, source, interval, numerator, denominator in rows
    ]


def main() -> None:
    """Write rational_presets.json beside this file."""
    text = json.dumps(records(), indent=1)
    Path(__file__).with_name("rational_presets.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
