"""Layers that call layers that call layers: a length settled within the innermost reaches the outermost."""

from __future__ import annotations

import lamina
import pytest
import torch
import torch.nn.functional as F

LINEAR = "layer linear(O = 3) { in x[..., I]  param w[O, I] = normal(1)  param b[O] = 0  out y[..., O] = sum[I](x * w) + b }\n"
SHIFTED = "layer shifted { in x[..., I]  let z[..., K] = linear(x, O = 2)  out y[..., K] = z + 1 }\n"
OUTER = "layer outer { in x[B, C]  let p[B, M] = shifted(x)  out y[M, B] = p }"
SPECTRUM = "layer spectrum { in x[B, I]  let z = rfft[I -> F](x)  out y[B, F] = abs(z) }\n"
TOTAL = "layer total { in x[B, C]  let p[B, M] = spectrum(x)  out y[B, M] = p }"


def test_length_given_within_the_inner_call() -> None:
    module = lamina.compile(LINEAR + SHIFTED + OUTER, layer="outer").module(C=4)
    x = torch.randn(3, 4)
    torch.testing.assert_close(module(x), (F.linear(x, module.p_z_w, module.p_z_b) + 1).T)


@pytest.mark.parametrize("length", [5, 6])
def test_length_given_by_a_transform(length: int) -> None:
    layer = lamina.compile(SPECTRUM + TOTAL, layer="total", target="reference")
    x = torch.randn(3, length, dtype=torch.float64)
    torch.testing.assert_close(layer(x), torch.fft.rfft(x).abs())
