"""Tensors that are not contiguous: which layout each is read in, and that results and gradients are those of contiguous ones."""

from __future__ import annotations

import lamina
import pytest
import torch
from lamina.binding.arguments import layout_of
from specs import assert_same
from torch import Tensor

# (stored as, the layout expected): every tensor has the shape (..., 24).
LAYOUTS = {
    "sliced rows": (lambda t: torch.cat([t, t.sin()], -1)[..., :24], "rows"),
    "rows from the middle": (lambda t: torch.cat([t.sin(), t, t.sin()], -1)[..., 24:48], "rows"),
    "every other row": (lambda t: torch.stack([t, t.sin()], -2)[..., 0, :], "rows"),
    "one row for all": (lambda t: t[:1].expand(t.shape), "rows"),
    "expanded": (lambda t: t.flatten()[0].expand(t.shape), "expanded"),
    "column": (lambda t: t[..., :1].expand(t.shape), None),
    "transposed": (lambda t: t.movedim(-1, 0).contiguous().movedim(0, -1), None),
    "every other element": (lambda t: torch.stack([t, t.sin()], -1)[..., 0], None),
}
LAYERS = {
    "pointwise": ("layer l { in x[B, C] in u[B, C] param a[C] = 1 out y[B, C] = sin(x) * u + a * x }", [(7, 24)] * 2 + [(24,)]),
    "leading": ("layer l { in x[..., C] in u[..., C] param a[C] = 1 out y[..., C] = sin(x) * u + a * x }", [(7, 24)] * 2 + [(24,)]),
    "split": (
        "layer l { in x[..., G*C] in u[..., G*C] param a[G] = 1 axis G = 4 out y[..., G*C] = x / (1 + abs(a * u)) }",
        [(7, 24)] * 2 + [(4,)],
    ),
    "row norm": (
        "layer l { in x[..., C] in u[..., C] param a[C] = 1 out y[..., C] = x * rsqrt(mean[C](x * u + 9)) * a }",
        [(7, 24)] * 2 + [(24,)],
    ),
    "column sum": (
        "layer l { in x[B, C] in u[B, C] param a[C] = 1 let m = mean[B](x * u) out y[B, C] = (x - m) * a }",
        [(7, 24)] * 2 + [(24,)],
    ),
    "product": (
        "layer l(O = 24) { in x[..., I] in u[..., O] param w[O, I] = 1 out y[..., O] = u * sum[I](x * w) }",
        [(7, 24)] * 2 + [(24, 24)],
    ),
    "basis": (
        "layer l(O = 24) { in x[..., I] in u[..., O] param w[O, I, 4] = 1"
        " out y[..., O] = u * u + sum[I, d < 4](w[O, I, d] * chebyshev(d, tanh(x))) }",
        [(7, 24)] * 2 + [(24, 24, 4)],
    ),
}


@pytest.mark.parametrize("stored", LAYOUTS)
@pytest.mark.parametrize("name", LAYERS)
def test_results_and_gradients_do_not_depend_on_the_layout(name: str, stored: str) -> None:
    text, shapes = LAYERS[name]
    change, expected = LAYOUTS[stored]
    layer = lamina.compile(text)
    generator = torch.Generator().manual_seed(1)
    x, u, parameter = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in shapes)
    x, u, cotangent = (change(tensor) for tensor in (x, u, u.cos()))
    if parameter.dim() == 2:
        parameter = change(parameter)
    specs = layer._interface.inputs
    assert [layout_of(spec, tensor) for spec, tensor in zip(specs[:2], (x, u), strict=True)] == [expected] * 2

    def results(*tensors: Tensor, cotangent: Tensor) -> list[Tensor]:
        leaves = [tensor.detach().requires_grad_() for tensor in tensors]
        y = layer(*leaves)
        gradients = torch.autograd.grad(y, leaves, cotangent.detach(), create_graph=True)
        further = torch.autograd.grad([gradient.sum() for gradient in gradients], leaves)
        return [y.detach(), *(gradient.detach() for gradient in gradients), *further]

    found = results(x, u, parameter, cotangent=cotangent)
    contiguous = [tensor.contiguous() for tensor in (x, u, parameter)]
    assert_same(tuple(found), tuple(results(*contiguous, cotangent=cotangent.contiguous())))
    assert_same((found[0],), (layer.reference(*contiguous),))


def test_what_is_read_where_it_is_is_not_copied() -> None:
    layer = lamina.compile(LAYERS["leading"][0])
    x, u, a = torch.randn(2, 7, 48)[..., 24:], torch.randn(()).expand(2, 7, 24), torch.randn(24)
    _, _, arranged, copied, _ = layer._root.resolve([x, u, a])
    assert not copied
    assert [tensor.data_ptr() for tensor in arranged] == [x.data_ptr(), u.data_ptr(), a.data_ptr()]


def test_one_program_serves_every_distance_of_rows() -> None:
    layer = lamina.compile("layer apart { in x[..., C] out y[..., C] = exp(x) - 1 }")
    for width in (30, 31, 64):
        x = torch.randn(5, width)[:, :24]
        torch.testing.assert_close(layer(x), x.exp() - 1)
    assert [[entry.layout for entry in made.signature.inputs] for made in layer._functions.source.made] == [["rows"]]


@pytest.mark.parametrize(
    ("tensor", "expected"),
    [
        (torch.empty(3, 4), "contiguous"),
        (torch.empty(()), "contiguous"),
        (torch.empty(0, 4).t(), "contiguous"),
        (torch.empty(4, 6, 32).transpose(0, 1), None),  # `...` is not one dimension
        (torch.empty(2, 6, 32)[:, :3], None),
        (torch.empty(6, 8)[::2], "rows"),
        (torch.empty(6, 8)[:, :3], "rows"),
        (torch.empty(6, 1, 8)[:, :, :3], "rows"),
        (torch.empty(1, 8)[:, ::2], None),
        (torch.empty(1, 3).expand(5, 3), None),  # rows too short to be read over and over
        (torch.empty(1, 32).expand(5, 32), "rows"),
        (torch.empty(1, 1).expand(5, 1), "expanded"),
        (torch.empty(1).expand(5), "expanded"),
    ],
)
def test_layouts(tensor: Tensor, expected: str | None) -> None:
    layer = lamina.compile(
        "layer one { in x[..., C] out y[..., C] = x }" if tensor.dim() else "layer one { in x[...] out y[...] = x }"
    )
    assert layout_of(layer._interface.inputs[0], tensor) == expected


def test_leading_dimensions_alone() -> None:
    layer = lamina.compile("layer alone { in x[...] out y[...] = sin(x) }")
    for x in (torch.randn(3, 4, 10)[..., :5], torch.randn(3, 10)[:, :5], torch.randn(3, 6, 1)[:, ::2], torch.randn(3, 8, 1)[:, :5]):
        torch.testing.assert_close(layer(x), x.sin())
