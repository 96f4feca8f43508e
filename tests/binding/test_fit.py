"""Parameters fitted to a function: as good as the best approximation, the same on every run, kept on disk."""

from __future__ import annotations

import lamina
import numpy
import pytest
import torch
from lamina.binding.minimax import minimise_largest
from lamina.binding.poles import Divisors, bound_divisors
from lamina.ir.build import build
from lamina.ir.interpret import interpret
from lamina.lang.check import load
from lamina.passes.pipeline import optimize

RATIONAL = """layer rational(G = 4) {{
  in    x[..., G*C]
  param a[G, 6] = fit({function}, -3, 3)
  param b[G, 4] = fit({function}, -3, 3)
  let   p = sum[i < 6](a[G, i] * x^i)
  let   q = 1 + abs(sum[j < 4](b[G, j] * x^(j+1)))
  out   y[..., G*C] = p / q
}}"""


@pytest.mark.parametrize(("function", "bound"), [("silu", 5e-7), ("gelu", 1e-3)])
def test_error_reached(function: str, bound: float) -> None:
    layer = lamina.compile(RATIONAL.format(function=function), target="reference")
    module = layer.module(C=2, dtype=torch.float64)
    assert module.a.shape == (4, 6) and torch.equal(module.a, module.a[:1].expand(4, 6))
    x = torch.linspace(-3, 3, 5001, dtype=torch.float64)
    module.requires_grad_(False)
    error = (module(x[:, None].expand(-1, 8)) - getattr(torch.nn.functional, function)(x)[:, None]).abs().max()
    assert float(error) <= bound
    assert "largest error found" in layer.report() and f"a, b: {function} on [-3, 3]" in layer.report()
    assert "no pole, divisors at least 1" in layer.report()


def test_remembered_and_the_same_again(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    text = "layer cubic { in x[...]  param c[4] = fit(tanh, -1, 1)  out y[...] = sum[k < 4](c[k] * x^k) }"
    first = lamina.compile(text, target="reference").module().c
    with monkeypatch.context() as patch:
        patch.setattr("lamina.binding.fit._Problem.solve", lambda self: pytest.fail("solved again"))
        assert torch.equal(lamina.compile(text, target="reference").module().c, first)
    monkeypatch.setenv("LAMINA_CACHE", str(tmp_path))
    assert torch.equal(lamina.compile(text, target="reference").module().c, first)


def test_a_layer_without_leading_dimensions() -> None:
    text = "layer f { in x[B, C]  param c[3, C] = fit(exp, 0, 1)  out y[B, C] = sum[k < 3](c[k, C] * x^k) }"
    module = lamina.compile(text, target="reference").module(C=2, dtype=torch.float64)
    module.requires_grad_(False)
    x = torch.linspace(0, 1, 101, dtype=torch.float64)
    error = (module(x[:, None].expand(-1, 2)) - x.exp()[:, None]).abs().max()
    # the best quadratic on [0, 1] errs by 0.00876
    assert float(error) == pytest.approx(0.008757, rel=1e-3)


def test_the_best_polynomial_is_found_exactly() -> None:
    """x^3 on [-1, 1] by quadratics: the error is that of the Chebyshev polynomial, 1/4."""
    points = numpy.cos(numpy.linspace(0, numpy.pi, 301))
    powers = numpy.stack([points**k for k in range(3)], 1)
    found = minimise_largest(lambda thetas: thetas @ powers.T - points**3, 3)
    numpy.testing.assert_allclose(found, [0, 0.75, 0], atol=1e-6)


def test_a_fit_that_cannot_be_posed_says_why() -> None:
    two = "layer f { in x[C]  in u[C]  param c[2] = fit(exp, 0, 1)  out y[C] = c[0] * x + c[1] * u }"
    with pytest.raises(lamina.ArgumentError, match="fit needs a layer of one `in` and one `out`, found 2 and 1"):
        lamina.compile(two, target="reference").module(C=3)


PADE = """layer pade {{ in x[...]  param a[{m}] = fit({function}, {low}, {high})  param b[{n}] = fit({function}, {low}, {high})
  let q = {q}  out y[...] = sum[i < {m}](a[i] * x^i) / q }}"""


def test_a_denominator_without_guard_is_proved_positive() -> None:
    q = "1 + sum[j < 2](b[j] * x^(j+1))"
    layer = lamina.compile(PADE.format(m=3, n=2, function="exp", low=-1, high=1, q=q), target="reference")
    module = layer.module(dtype=torch.float64)
    x = torch.linspace(-1, 1, 100001, dtype=torch.float64)
    sampled = (1 + module.b[0] * x + module.b[1] * x**2).abs().min()
    bound = float(layer.report().split("divisors at least ")[1].split()[0])
    assert 0.9 * float(sampled) <= bound <= 1.001 * float(sampled)


@pytest.mark.parametrize("place", [0.0, 1 / 3, 0.123456789, 1.0])
def test_a_pole_is_found_wherever_it_is(place: float) -> None:
    """A denominator that touches zero at one point only, which samples would miss."""
    text = f"layer f {{ in x[...]  param c[2] = fit(exp, 0, 1)  let q = (x - {place!r})^2  out y[...] = (c[0] + c[1] * x) / q }}"
    with pytest.raises(lamina.ArgumentError, match="divides by `q`, which cannot be shown to be other than zero near") as caught:
        lamina.compile(text, target="reference").module()
    assert float(str(caught.value).split("near ")[1].split(":")[0]) == pytest.approx(place, abs=1e-4)


def bounded(q: str, b: list[float], low: float, high: float) -> Divisors:
    graph = optimize(build(load(PADE.format(m=1, n=len(b), function="exp", low=low, high=high, q=q))))
    return bound_divisors(graph, "x", low, high, {"a": numpy.ones(1), "b": numpy.array(b)})


@pytest.mark.parametrize("gap", [1e-2, 1e-5])
def test_a_denominator_that_comes_close_to_zero(gap: float) -> None:
    """(x - 0.3)^2 + gap, multiplied out: positive, however little."""
    q = "1 + sum[j < 2](b[j] * x^(j+1))"
    scale = 0.09 + gap
    found = bounded(q, [-0.6 / scale, 1 / scale], 0, 1)
    assert found.pole is None and found.least is not None
    assert 0 < found.least <= gap / scale
    assert bounded(q, [-0.6 / 0.09, 1 / 0.09], 0, 1).pole is not None
    crossing = bounded(q, [-0.6 / (0.09 - gap), 1 / (0.09 - gap)], 0, 1)
    assert crossing.pole is not None and crossing.pole[0] == pytest.approx(0.3, abs=1.1 * gap**0.5 + 1e-4)


@pytest.mark.parametrize(
    "q", ["2 + sin(3*x) + b[0]", "exp(-x*x) + b[0]^2", "sqrt(1 + x^2) + b[0]", "sigmoid(x) + b[0]", "1/(1 + abs(x)) + b[0]"]
)
def test_divisors_of_functions(q: str) -> None:
    graph = build(load(f"layer q {{ in x[...] in b[1] out y[...] = {q} }}"))
    sampled = float(abs(interpret(graph, {"x": numpy.linspace(-2, 2, 4001), "b": numpy.array([0.25])})["y"]).min())
    found = bounded(q, [0.25], -2, 2)
    assert found.pole is None and found.least is not None
    assert 0.5 * sampled <= found.least <= sampled


def test_what_divides_by_nothing_that_varies() -> None:
    assert bounded("2 + b[0]", [0.5], -1, 1).least is None
