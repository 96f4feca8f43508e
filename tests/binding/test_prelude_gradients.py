"""Gradients of the prelude's piecewise functions where the pieces meet, and at arguments that are not finite, against torch."""

from __future__ import annotations

import math
from collections.abc import Callable

import lamina
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu(x)": F.relu,
    "relu6(x)": F.relu6,
    "leaky_relu(x, 0.01)": F.leaky_relu,
    "elu(x)": F.elu,
    "celu(x, 2)": lambda x: F.celu(x, 2.0),
    "selu(x)": F.selu,
    "hardtanh(x)": F.hardtanh,
    "hardsigmoid(x)": F.hardsigmoid,
    "hardswish(x)": F.hardswish,
    "softshrink(x, 1)": lambda x: F.softshrink(x, 1.0),
    "hardshrink(x, 1)": lambda x: F.hardshrink(x, 1.0),
}
JOINTS = [-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 3.0, 6.0, -1e30, 1e30]


@pytest.mark.parametrize("call", FUNCTIONS)
def test_gradient_at_the_joints(call: str) -> None:
    layer = lamina.compile(f"layer piecewise {{ in x[B]  out y[B] = {call} }}")
    x = torch.tensor(JOINTS, requires_grad=True)
    ours, theirs = layer(x), FUNCTIONS[call](x)
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(torch.autograd.grad(ours.sum(), x), torch.autograd.grad(theirs.sum(), x))
    assert layer(torch.tensor([math.nan])).isnan().all()


def test_library_relu_of_infinities() -> None:
    x = torch.tensor([-math.inf, math.inf, math.nan, -0.0], requires_grad=True)
    layer = lamina.compile("relu")
    torch.testing.assert_close(layer(x), F.relu(x), equal_nan=True)
    torch.testing.assert_close(torch.autograd.grad(layer(x).sum(), x), torch.autograd.grad(F.relu(x).sum(), x))
