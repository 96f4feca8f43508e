"""The eager references against closed forms in numpy and scipy, written independently of them."""

import itertools

import numpy as np
import pytest
import torch
from lamina.ops.presets import rational
from lamina.ops.references import REFERENCES
from numpy.polynomial import chebyshev as chebyshev_series
from numpy.polynomial import legendre as legendre_series
from scipy import special, stats
from scipy.interpolate import BSpline


def grouped(form, maps=False):
    def evaluate(n, x, a, b):
        channel = 1 if maps else x.ndim - 1
        y = np.empty_like(x)
        width = x.shape[channel] // n["G"]
        for group in range(n["G"]):
            part = (slice(None),) * channel + (slice(group * width, (group + 1) * width),)
            y[part] = rational(form, a if a.ndim == 1 else a[group], b[group], x[part])
        return y

    return evaluate


def rms(z):
    return np.sqrt(np.mean(z * z, axis=-1, keepdims=True) + 1e-6)


def poly_norm(n, x, w, b):
    return sum(w[i] * x ** (i + 1) / rms(x ** (i + 1)) for i in range(n["M"])) + b


def evonorm_s0(n, x, v, g, b):
    y = np.empty_like(x)
    for sample, group in itertools.product(range(n["B"]), range(n["G"])):
        channels = range(group * n["C"], (group + 1) * n["C"])
        deviation = np.sqrt(np.var(x[sample, list(channels)]) + 1e-5)
        for c in channels:
            z = x[sample, c]
            y[sample, c] = z / (1 + np.exp(-v[c] * z)) / deviation * g[c] + b[c]
    return y


def evonorm_b0(n, x, v, g, b):
    y = np.empty_like(x)
    for sample, c in itertools.product(range(n["B"]), range(n["C"])):
        z = x[sample, c]
        batch, instance = np.sqrt(np.var(x[:, c]) + 1e-3), np.sqrt(np.var(z) + 1e-3)
        y[sample, c] = z / np.maximum(batch, v[c] * z + instance) * g[c] + b[c]
    return y


def attention(n, q, k, v):
    y = np.zeros((*q.shape[:-1], v.shape[-1]))
    for place in np.ndindex(q.shape[:-1]):
        *head, position = place
        seen = slice(None, position + 1 if n["CAUSAL"] else None)
        weights = special.softmax(k[tuple(head)][seen] @ q[place] / np.sqrt(n["D"]))
        y[place] = weights @ v[tuple(head)][seen]
    return y


def series(evaluate):
    """Sum over inputs i of evaluate(coefficients w[o, i], tanh(x[..., i]))."""
    return lambda n, x, w: np.stack([sum(evaluate(np.tanh(x[..., i]), w[o, i]) for i in range(n["I"])) for o in range(n["O"])], -1)


def spline_kan(n, x, w, s):
    # scipy gives a value only from knot P to the last but P: zero coefficients on either side cover the extended grid too.
    degree = n["P"]
    knots = -1 + 2 / n["G"] * np.arange(-2 * degree, n["G"] + 2 * degree + 1)
    splines = np.zeros((*x.shape[:-1], n["O"]))
    for o, i in itertools.product(range(n["O"]), range(n["I"])):
        spline = BSpline(knots, np.pad(w[o, i], degree), degree, extrapolate=False)
        splines[..., o] += np.nan_to_num(spline(x[..., i]))
    return splines + (x * special.expit(x)) @ s.T


def rbf_kan(n, x, w, s, b):
    centres = np.linspace(-2, 2, n["K"])
    width = centres[1] - centres[0]
    basis = np.exp(-(((x[..., None] - centres) / width) ** 2))
    return np.einsum("...ik,oik->...o", basis, w) + (x * special.expit(x)) @ s.T + b


def fourier_kan(n, x, w, v, b):
    return b + sum(np.cos((k + 1) * x) @ w[:, :, k].T + np.sin((k + 1) * x) @ v[:, :, k].T for k in range(n["G"]))


def correlated(x, w, stride):
    """x (B, C, ..), w (O, C, ..), as many zeros on either side as half a window: sums over windows, one output at a time."""
    window = w.shape[2:]
    x = np.pad(x, [(0, 0), (0, 0), *((length // 2, length // 2) for length in window)])
    outputs = [(length - taps) // stride + 1 for length, taps in zip(x.shape[2:], window, strict=True)]
    y = np.zeros((x.shape[0], w.shape[0], *outputs))
    for place in itertools.product(*map(range, outputs)):
        part = (slice(None), slice(None), *(slice(at * stride, at * stride + n) for at, n in zip(place, window, strict=True)))
        y[(slice(None), slice(None), *place)] = np.tensordot(x[part], w, (range(1, x.ndim), range(1, w.ndim)))
    return y


def conv1d(n, x, w, b):
    return correlated(x, w, n["S"]) + b[:, None]


def conv2d(n, x, w, b):
    return correlated(x, w, n["S"]) + b[:, None, None]


def depthwise_conv2d(n, x, w, b):
    return np.concatenate([correlated(x[:, [c]], w[[c], None], 1) + b[c] for c in range(n["C"])], 1)


def long_conv(n, x, k, d):
    y = np.empty_like(x)
    for sample, c in itertools.product(range(n["B"]), range(n["C"])):
        y[sample, c] = np.convolve(x[sample, c], k[c])[: n["L"]] + d[c] * x[sample, c]
    return y


CLOSED_FORMS = {
    "group_rational": grouped("B"),
    "group_rational_a": grouped("A"),
    "group_rational_b": grouped("B"),
    "group_rational_c": grouped("C"),
    "group_rational_n": grouped("N"),
    "group_rational_shared_a": grouped("A"),
    "group_rational_shared_b": grouped("B"),
    "group_rational_2d": grouped("B", maps=True),
    "linear": lambda n, x, w, b: x @ w.T + b,
    "relu": lambda n, x: np.maximum(x, 0),
    "leaky_relu": lambda n, x: np.maximum(x, 0.01 * x),
    "squared_relu": lambda n, x: np.where(x > 0, x * x, 0),
    "elu": lambda n, x: np.where(x > 0, x, np.exp(np.minimum(x, 0)) - 1),
    "gelu": lambda n, x: x * stats.norm.cdf(x),
    "gelu_tanh": lambda n, x: 0.5 * x * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "silu": lambda n, x: x / (1 + np.exp(-x)),
    "mish": lambda n, x: x * np.tanh(np.log1p(np.exp(x))),
    "poly_relu": lambda n, x, w, b: sum(w[i] * np.maximum(x, 0) ** (i + 1) for i in range(n["M"])) + b,
    "poly_norm": poly_norm,
    "softmax": lambda n, x: special.softmax(x, axis=-1),
    "log_softmax": lambda n, x: special.log_softmax(x, axis=-1),
    "logsumexp": lambda n, x: special.logsumexp(x, axis=-1),
    "layer_norm": lambda n, x, w, b: (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-5) * w + b,
    "rms_norm": lambda n, x, w: x / rms(x) * w,
    "attention": attention,
    "evonorm_s0": evonorm_s0,
    "evonorm_b0": evonorm_b0,
    "cheby_kan": series(chebyshev_series.chebval),
    "legendre_kan": series(legendre_series.legval),
    "spline_kan": spline_kan,
    "rbf_kan": rbf_kan,
    "fourier_kan": fourier_kan,
    "conv1d": conv1d,
    "conv2d": conv2d,
    "depthwise_conv2d": depthwise_conv2d,
    "long_conv": long_conv,
}


def test_every_reference_has_a_closed_form():
    assert list(CLOSED_FORMS) == list(REFERENCES)


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_equals_its_closed_form(name):
    reference = REFERENCES[name]
    for number, case in enumerate(reference.cases):
        arguments = reference.draw(case, torch.float64, torch.Generator().manual_seed(number))
        lengths = {**reference.defaults, **case.lengths, **case.sizes}
        expected = CLOSED_FORMS[name](lengths, *(argument.numpy() for argument in arguments))
        found = reference.evaluate(case, *arguments).numpy()
        assert found.shape == expected.shape
        np.testing.assert_allclose(found, expected, rtol=1e-11, atol=1e-12, err_msg=str(case))


@pytest.mark.parametrize("name", REFERENCES)
def test_reference_is_twice_differentiable(name):
    reference = REFERENCES[name]
    case = reference.cases[0]
    arguments = reference.draw(case, torch.float64, torch.Generator().manual_seed(0))
    arguments = tuple(argument.requires_grad_() for argument in arguments)
    assert torch.autograd.gradgradcheck(lambda *tensors: reference.evaluate(case, *tensors), arguments)
