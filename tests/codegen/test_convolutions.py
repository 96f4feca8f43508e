"""Convolutions written as index maps against torch.nn.functional: value and gradients, compiled."""

from __future__ import annotations

import lamina
import pytest
import torch
from lamina import pipeline
from lamina.codegen.cpp.program import schedule
from lamina.lang.check import load
from lamina.passes.pipeline import finish
from lamina.schedule.program import InputSignature, Signature
from lamina.schedule.steps import ProductStep, WindowStep
from torch import Tensor
from torch.nn import functional

SPATIAL = {1: ("H",), 2: ("H", "W"), 3: ("D", "H", "W")}
TAPS, OUTPUTS = ("I", "J", "K"), ("P", "Q", "R")


def convolution(dimensions: int, stride: int, padding: int, dilation: int, groups: int) -> str:
    """The layer of functional.conv{n}d, as a text."""
    spatial, taps, outputs = SPATIAL[dimensions], TAPS[:dimensions], OUTPUTS[:dimensions]
    axes = " ".join(
        f"axis {p} = ({length} + {2 * padding} - {dilation}*({tap} - 1) - 1) / {stride} + 1"
        for p, length, tap in zip(outputs, spatial, taps, strict=True)
    )
    places = ", ".join(f"{stride}*{p} + {dilation}*{tap} - {padding}" for p, tap in zip(outputs, taps, strict=True))
    group = "G*" if groups > 1 else ""
    return f"""layer conv{f"(G = {groups})" if groups > 1 else ""} {{
      in x[B, {group}C, {", ".join(spatial)}]  param w[{group}O, C, {", ".join(taps)}] = 1  {axes}
      out y[B, {group}O, {", ".join(outputs)}] = sum[C, {", ".join(taps)}](w * zero(x)[B, {group}C, {places}]) }}"""


def transposed(stride: int, padding: int) -> str:
    """The layer of functional.conv_transpose1d: the sum over the inputs that reach an output, zeros between them."""
    return f"""layer up {{ in x[B, C, L]  param w[C, O, K] = 1  axis S = {stride}
      axis T = (L - 1) * {stride} - {2 * padding} + K  let s[B, C, L*S] = select(index(S) < 1, x, 0)
      out y[B, O, T] = sum[C, K](w * zero(s)[B, C, T - K + {padding}]) }}"""


def compare(layer, expected, x: Tensor, w: Tensor, tolerance: float) -> None:
    """Value and gradients of the compiled layer, against those of `expected` computed in float64."""
    exact = [x.double().requires_grad_(), w.double().requires_grad_()]
    y = expected(*exact)
    cotangent = torch.randn(y.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(x.dtype)
    wanted = (y.detach(), *torch.autograd.grad(y, exact, cotangent.double()))
    given = [x.clone().requires_grad_(), w.clone().requires_grad_()]
    value = layer(*given)
    for found, each in zip((value.detach(), *torch.autograd.grad(value, given, cotangent)), wanted, strict=True):
        assert found.shape == each.shape
        assert found.numel() == 0 or (found.double() - each).abs().max() <= tolerance * each.abs().max().clamp(min=1)


CASES = [
    # dimensions, stride, padding, dilation, groups, x, w
    (1, 1, 0, 1, 1, (2, 5, 13), (6, 5, 4)),
    (1, 3, 2, 2, 1, (2, 5, 17), (6, 5, 3)),
    (1, 1, 1, 1, 4, (3, 4, 70), (4, 1, 9)),
    (2, 1, 1, 1, 1, (2, 5, 7, 6), (8, 5, 3, 3)),
    (2, 2, 1, 1, 1, (1, 6, 9, 11), (5, 6, 3, 3)),
    (2, 1, 2, 2, 1, (2, 4, 9, 8), (7, 4, 3, 3)),
    (2, 1, 3, 1, 3, (2, 3, 5, 18), (3, 1, 7, 7)),
    (2, 2, 1, 1, 3, (2, 3, 8, 19), (3, 1, 3, 3)),
    (2, 1, 0, 1, 2, (2, 10, 6, 7), (12, 5, 2, 3)),
    (2, 1, 1, 1, 3, (2, 3, 6, 9), (6, 1, 3, 3)),
    (2, 1, 0, 1, 1, (1, 1, 1, 1), (1, 1, 1, 1)),
    (2, 1, 1, 1, 1, (0, 5, 7, 6), (8, 5, 3, 3)),
    (3, 1, 1, 1, 1, (2, 4, 5, 4, 6), (5, 4, 3, 3, 3)),
    (3, 2, 1, 1, 1, (1, 4, 5, 7, 6), (5, 4, 3, 2, 3)),
]


@pytest.mark.parametrize(("dimensions", "stride", "padding", "dilation", "groups", "x", "w"), CASES)
def test_convolution(dimensions, stride, padding, dilation, groups, x, w) -> None:
    layer = lamina.compile(convolution(dimensions, stride, padding, dilation, groups))
    generator = torch.Generator().manual_seed(0)
    given, weight = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in (x, w))

    def expected(x: Tensor, w: Tensor) -> Tensor:
        return getattr(functional, f"conv{dimensions}d")(x, w, None, stride, padding, dilation, groups)

    compare(layer, expected, given, weight, 1e-13)
    compare(layer, expected, given.float(), weight.float(), 1e-5)
    if dimensions == 2:
        compare(layer, expected, given.bfloat16(), weight.bfloat16(), 2**-8)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), (2, 1), (3, 2)])
def test_transposed_convolution(stride, padding) -> None:
    generator = torch.Generator().manual_seed(0)
    x, w = (torch.randn(shape, generator=generator, dtype=torch.float64) for shape in ((2, 5, 7), (5, 6, 4)))
    expected = lambda x, w: functional.conv_transpose1d(x, w, None, stride, padding)  # noqa: E731
    compare(lamina.compile(transposed(stride, padding)), expected, x, w, 1e-13)


def steps_of(text: str, backward: bool = False) -> list[type]:
    graph = pipeline.forward_graph(load(text))
    if backward:
        graph = pipeline.backward_graph(graph, ("x", "w"))
    signature = Signature(tuple(InputSignature(spec.name, "f32") for spec in graph.inputs), "f32")
    return [type(step) for step in schedule(finish(graph), signature).steps]


DENSE = """layer conv(O = 64, I = 3, J = 3) { in x[B, C, H, W] param w[O, C, I, J] = 1
  out y[B, O, H, W] = sum[C, I, J](w * zero(x)[B, C, H + I - 1, W + J - 1]) }"""
DEPTHWISE = """layer conv(I = 3, J = 3) { in x[B, C, H, W] param w[C, I, J] = 1
  out y[B, C, H, W] = sum[I, J](w * zero(x)[B, C, H + I - 1, W + J - 1]) }"""


@pytest.mark.parametrize(("text", "kind"), [(DENSE, ProductStep), (DEPTHWISE, WindowStep)])
def test_what_computes_a_convolution(text: str, kind: type) -> None:
    """One step, or two for the gradients, and the padded copies: nothing is laid out window by window."""
    assert sorted(step.__name__ for step in steps_of(text)) == sorted(["KernelStep", kind.__name__])
    backward = sorted(step.__name__ for step in steps_of(text, backward=True))
    assert backward.count(kind.__name__) == 2
    assert set(backward) == {"KernelStep", kind.__name__}
