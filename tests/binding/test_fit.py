"""Parameters fitted to a function: as good as the best approximation, the same on every run, kept on disk."""

from __future__ import annotations

import lamina
import numpy
import pytest
import torch
from lamina.binding.minimax import minimise_largest

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
