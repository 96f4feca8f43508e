"""The smallest largest residual of a nonlinear system.

In: a function that gives the residuals of many parameter vectors at once. Out: the best vector found. Holds: deterministic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

Array = Any
Residuals = Callable[[Array], Array]

_STARTS = 24
_KEPT = 4
_LEAST_SQUARES_STEPS = 120
_LINEAR_PROGRAMS = 80


def minimise_largest(residuals: Residuals, count: int, coarse: Residuals | None = None) -> Array:
    """The vector of `count` numbers that makes max |residual| smallest, as far as found.

    `residuals`: (vectors, count) -> (vectors, residuals); `coarse`, fewer of them, serves to find where to begin.
    """
    starts = _starts(count)
    found = _least_squares(coarse or residuals, starts)
    largest = numpy.abs(residuals(found)).max(axis=1)
    best: Array = None
    best_value = numpy.inf
    for number in numpy.argsort(largest, kind="stable")[:_KEPT]:
        theta, value = _linear_programs(residuals, found[number])
        if value < best_value * (1 - 1e-9):
            best, best_value = theta, value
    return best


def _starts(count: int) -> Array:
    """Seeded starts of three sizes, later coefficients smaller, as those of a power series are."""
    generator = numpy.random.default_rng(0)
    decay = 0.7 ** numpy.arange(count)
    drawn = generator.standard_normal((_STARTS, count)) * decay
    return drawn * numpy.geomspace(0.05, 1.0, _STARTS)[:, None]


def _jacobians(residuals: Residuals, thetas: Array) -> tuple[Array, Array]:
    """Residuals (vectors, m) and their Jacobians (vectors, m, count) by central differences."""
    vectors, count = thetas.shape
    steps = 6e-6 * numpy.maximum(numpy.abs(thetas), 1e-2)
    offsets = numpy.eye(count)[None] * steps[:, None, :]
    every = numpy.concatenate([thetas[:, None], thetas[:, None] + offsets, thetas[:, None] - offsets], axis=1)
    values = residuals(every.reshape(-1, count)).reshape(vectors, 2 * count + 1, -1)
    slopes = (values[:, 1 : count + 1] - values[:, count + 1 :]) / (2 * steps[:, :, None])
    return values[:, 0], slopes.transpose(0, 2, 1)


def _least_squares(residuals: Residuals, starts: Array) -> Array:
    """Levenberg-Marquardt from every start at once, with Marquardt's scaling; a start that has settled is left out."""
    found = starts.copy()
    active = numpy.arange(len(starts))
    thetas = starts.copy()
    damping = numpy.full(len(starts), 1e-2)
    values, slopes = _jacobians(residuals, thetas)
    costs = (values**2).sum(axis=1)
    for _ in range(_LEAST_SQUARES_STEPS):
        normal = numpy.einsum("vmi,vmj->vij", slopes, slopes)
        gradient = numpy.einsum("vmi,vm->vi", slopes, values)
        scale = numpy.einsum("vii->vi", normal).copy()
        scale = numpy.maximum(scale, 1e-12 * scale.max(axis=1, keepdims=True) + 1e-300)
        regular = normal + damping[:, None, None] * numpy.eye(thetas.shape[1]) * scale[:, None, :]
        step = numpy.stack([numpy.linalg.lstsq(a, -b, rcond=None)[0] for a, b in zip(regular, gradient, strict=True)])
        trial = thetas + step
        trial_costs = (residuals(trial) ** 2).sum(axis=1)
        better = trial_costs < costs
        settled = better & (costs - trial_costs <= 1e-6 * costs)
        thetas[better] = trial[better]
        costs[better] = trial_costs[better]
        damping = numpy.clip(numpy.where(better, damping / 4, damping * 5), 1e-14, None)
        found[active] = thetas
        going = ~settled & (damping < 1e8)
        if not going.any():
            break
        moved = better & going
        if moved.any():
            values[moved], slopes[moved] = _jacobians(residuals, thetas[moved])
        active, thetas, damping, costs = active[going], thetas[going], damping[going], costs[going]
        values, slopes = values[going], slopes[going]
    return found


def _linear_programs(residuals: Residuals, theta: Array) -> tuple[Array, float]:
    """Successive linear programs on the largest residual, in a box that grows while the prediction holds."""
    from scipy.optimize import linprog

    values, slopes = (each[0] for each in _jacobians(residuals, theta[None]))
    largest = float(numpy.abs(values).max())
    scale = 1 / numpy.maximum(numpy.linalg.norm(slopes, axis=0), 1e-9 * numpy.linalg.norm(slopes) + 1e-300)
    radius = largest * numpy.sqrt(len(values))
    for _ in range(_LINEAR_PROGRAMS):
        if largest == 0:
            break
        scaled = slopes * scale
        # in units of the present error, so that the solver's absolute tolerances mean something
        matrix = numpy.block([[scaled, -numpy.ones((len(values), 1))], [-scaled, -numpy.ones((len(values), 1))]])
        bound = numpy.concatenate([-values, values]) / largest
        box = [(-radius / largest, radius / largest)] * len(theta) + [(0, None)]
        solved = linprog([0.0] * len(theta) + [1.0], A_ub=matrix, b_ub=bound, bounds=box, method="highs")
        if solved.x is None or 1 - solved.x[-1] < 1e-6:
            break
        trial = theta + scale * solved.x[:-1] * largest
        trial_largest = float(numpy.abs(residuals(trial[None])).max())
        gained = (largest - trial_largest) / (largest * (1 - solved.x[-1]))
        if gained > 1e-3:
            theta, largest = trial, trial_largest
            values, slopes = (each[0] for each in _jacobians(residuals, theta[None]))
            radius = radius * 2 if gained > 0.7 else radius
        else:
            radius /= 4
            if radius < 1e-10 * largest:
                break
        radius = min(radius, 1e3)
    return theta, largest
