"""Recurrences through torch: gradients of both orders against differences, and values against those of torch."""

from __future__ import annotations

import lamina
import pytest
import torch

LAYERS = {
    "linear": (
        "layer lti { in x[B, L, D] in a[D] in z[B, D] out h[B, L, D] = scan[L](s = z : a*s + x) }",
        [(2, 4, 3), (3,), (2, 3)],
    ),
    "gated": (
        "layer gated { in x[B, L] in g[B, L] let z = sigmoid(g) out y[B, L] = scan[L](h = 0 : (1 - z)*h + z*tanh(x)) }",
        [(2, 4), (2, 4)],
    ),
    "nonlinear": ("layer recurrent { in x[L, D] in a[D] out y[L, D] = scan[L](h = 0 : tanh(a*h + x)) }", [(4, 3), (3,)]),
    "normalised at each step": (
        "layer bounded { in x[L, D] in z[D] out y[L, D] = scan[L](h = z : (h + x) / sqrt(mean[D](h*h) + 1)) }",
        [(3, 3), (3,)],
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_gradients_of_both_orders(name: str) -> None:
    text, shapes = LAYERS[name]
    generator = torch.Generator().manual_seed(0)
    layer = lamina.compile(text)
    inputs = [torch.rand(shape, generator=generator, dtype=torch.float64).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(layer, inputs)
    assert torch.autograd.gradgradcheck(layer, inputs)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_a_running_value_keeps_its_bits_between_steps(dtype: torch.dtype) -> None:
    """In half precision a sum of 3000 ones would stop at 256 or 2048, were it rounded at every step."""
    layer = lamina.compile("layer total { in x[L, D] out y[L, D] = scan[L](s = 0 : s + x) }")
    found = layer(torch.ones(3000, 5, dtype=dtype))
    assert torch.equal(found, torch.arange(1, 3001).to(dtype)[:, None].expand(3000, 5))


@pytest.mark.parametrize("length", [0, 1, 2, 5000])
def test_against_torch(length: int) -> None:
    x = torch.rand(3, length, dtype=torch.float64) + 0.5
    for body, function in (("s + x", torch.cumsum), ("s * x / 0.99", None), ("max(s, x)", lambda x, d: torch.cummax(x, d).values)):
        layer = lamina.compile(f"layer each {{ in x[B, L] out y[B, L] = scan[L](s = {1 if function is None else 0} : {body}) }}")
        expected = torch.cumprod(x / 0.99, 1) if function is None else function(x, 1)
        torch.testing.assert_close(layer(x), expected)


def test_an_output_that_the_backward_pass_needs_is_kept_as_it_is() -> None:
    layer = lamina.compile("layer lti { in x[B, L, D] in a[D] out h[B, L, D] = scan[L](s = 0 : a*s + x) }")
    x, a = torch.rand(2, 5, 3, requires_grad=True), torch.rand(3, requires_grad=True)
    h = layer(x, a)
    kept = [tensor.data_ptr() for tensor in h.grad_fn.saved_tensors]
    assert len(kept) == 3
    assert kept[-1] == h.data_ptr()
    # one that is rounded when it is stored is not what the backward pass needs
    rounded = layer(x.bfloat16(), a.bfloat16())
    assert rounded.data_ptr() not in [tensor.data_ptr() for tensor in rounded.grad_fn.saved_tensors]
    with torch.no_grad():
        h += 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        h.sum().backward()
