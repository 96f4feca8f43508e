"""The language's operators by the interpreter, in value and gradient, against PyTorch and SciPy.

In: the tables of `operators`. Holds: values and gradients agree to a few roundings; an operator whose gradient has no rule yet
is in `WITHOUT_GRADIENT`, which is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy
import pytest
import torch
from lamina import pipeline
from lamina.ir.graph import Graph
from lamina.ir.interpret import interpret
from lamina.lang.check import load
from lamina.passes.autodiff import NotDifferentiable
from operators import Operator, all_operators
from torch import Tensor

OPERATORS = all_operators()
WITHOUT_GRADIENT: set[str] = set()


def written(operator: Operator) -> Graph:
    return pipeline.layer_graph(load(operator.text, "f"))


def arrays(tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def assert_close(found: Any, expected: Tensor, what: str) -> None:
    wanted = expected.detach().resolve_conj().numpy()
    assert found.shape == wanted.shape, what
    scale = float(numpy.abs(wanted).max(initial=0.0)) if wanted.dtype.kind in "fc" else 0.0
    numpy.testing.assert_allclose(found, wanted, rtol=1e-9, atol=1e-11 * max(scale, 1.0), err_msg=what)


@pytest.mark.parametrize("name", OPERATORS)
def test_values(name: str) -> None:
    operator = OPERATORS[name]
    tensors = operator.tensors()
    graph = written(operator)
    found = interpret(graph, arrays(tensors))
    expected = operator.expected(tensors)
    assert len(found) == len(expected)
    for output, wanted in zip(graph.outputs, expected, strict=True):
        assert_close(found[output.spec.name], wanted, output.spec.name)


def gradients(operator: Operator) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Cotangents by out, and torch's gradients by tensor."""
    tensors = operator.tensors()
    floating = {name: t.requires_grad_() for name, t in tensors.items() if t.is_floating_point() or t.is_complex()}
    results = operator.expected(tensors)
    outs = [out.name for out in load(operator.text, "f").outs]
    generator = torch.Generator().manual_seed(3)
    cotangents = {
        out: torch.randn(result.shape, dtype=result.dtype, generator=generator)
        for out, result in zip(outs, results, strict=True)
        if result.is_floating_point() or result.is_complex()
    }
    given = [(result, cotangents[out]) for out, result in zip(outs, results, strict=True) if out in cotangents]
    found = torch.autograd.grad([r for r, _ in given], list(floating.values()), [c for _, c in given], allow_unused=True)
    return cotangents, {
        name: torch.zeros_like(tensor) if gradient is None else gradient
        for (name, tensor), gradient in zip(floating.items(), found, strict=True)
    }


@pytest.mark.parametrize("name", [name for name, operator in OPERATORS.items() if operator.has_gradient])
def test_gradients(name: str) -> None:
    operator = OPERATORS[name]
    graph = pipeline.forward_graph(load(operator.text, "f"))
    cotangents, expected = gradients(operator)
    try:
        backward = pipeline.backward_graph(graph, list(expected))
    except NotDifferentiable:
        assert name in WITHOUT_GRADIENT
        return
    assert name not in WITHOUT_GRADIENT
    given = {**arrays(operator.tensors()), **{f"grad_{out}": tensor.numpy() for out, tensor in cotangents.items()}}
    found = interpret(backward, given)
    for tensor, wanted in expected.items():
        assert_close(found[f"grad_{tensor}"], wanted, tensor)


def test_there_are_many() -> None:
    assert len(OPERATORS) > 120
