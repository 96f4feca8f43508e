"""Triton kernels, interpreted, against the interpreter of graphs."""

import pytest
import torch
from kernel_harness import signature_of
from lamina import pipeline
from lamina.ir.interpret import interpret
from lamina.lang.check import load
from lamina.runtime.execute import TORCH_DTYPES, to_array
from triton_harness import run

POINTWISE = {
    "gelu": ("layer f { in x[..., C]  out y[..., C] = gelu(x) }", {"x": (5, 7)}),
    "silu": ("layer f { in x[..., C]  out y[..., C] = silu(x) / (1 + x*x) }", {"x": (3, 700)}),
    "empty": ("layer f { in x[..., C]  out y[..., C] = silu(x) }", {"x": (0, 7)}),
    "group rational": (
        """layer f(G = 4, M = 5, N = 4) { in x[..., G*C]  param a[G, M+1] = 0  param b[G, N] = 0
             let p = sum[i < M+1](a[G, i] * x^i)  let q = 1 + abs(sum[j < N](b[G, j] * x^(j+1)))  out y[..., G*C] = p / q }""",
        {"x": (3, 5, 28), "a": (4, 6), "b": (4, 4)},
    ),
}


def agree(text, shapes, dtype="f32", backward=True, growth=64.0):
    """Forward and backward programs of a layer against the interpreter."""
    graph = pipeline.forward_graph(load(text))
    generator = torch.Generator().manual_seed(0)
    tensors = {name: torch.randn(shape, generator=generator, dtype=torch.float64) for name, shape in shapes.items()}
    graphs = [graph]
    if backward:
        graphs.append(pipeline.backward_graph(graph, [spec.name for spec in graph.inputs]))
    results = {}
    for each in graphs:
        signature = signature_of(each, dtype)
        for spec in each.inputs:
            if spec.name not in tensors:
                shape = results[spec.name.removeprefix("grad_")].shape
                tensors[spec.name] = torch.randn(shape, generator=generator, dtype=torch.float64)
        given = {spec.name: tensors[spec.name].to(TORCH_DTYPES[signature.input(spec.name).dtype]) for spec in each.inputs}
        results = run(each, signature, given)
        expected = interpret(each, {name: to_array(tensor) for name, tensor in given.items()})
        for name, result in results.items():
            exact = torch.from_numpy(expected[name])
            assert result.shape == exact.shape
            if exact.numel():
                error = (result.double() - exact).abs().max() / exact.abs().max().clamp(min=1.0)
                assert error <= growth * torch.finfo(result.dtype).eps, f"{each.name} {name}: {error}"


@pytest.mark.parametrize("name", POINTWISE)
def test_pointwise_layers_agree_with_the_reference(name):
    agree(*POINTWISE[name])


# the blocks of a gradient that is written phase by phase reach beyond the tensor's ends, where nothing is stored
POOLING = {
    "inside": "axis P = (H - 3)/2 + 1 axis Q = (W - 3)/2 + 1 out y[B, P, Q] = max[i < 3, j < 3](x[B, 2*P + i, 2*Q + j])",
    "clamp": "axis P = (H + 1)/2 axis Q = (W + 1)/2 out y[B, P, Q] = max[i < 3, j < 3](clamp(x)[B, 2*P + i - 1, 2*Q + j - 1])",
}


@pytest.mark.parametrize("name", POOLING)
def test_what_lies_beyond_the_ends_is_not_stored(name):
    agree(f"layer pool {{ in x[B, H, W] {POOLING[name]} }}", {"x": (2, 7, 12)})
