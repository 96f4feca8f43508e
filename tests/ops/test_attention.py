"""Attention of the layer library beside torch's operator: causal or not, in value and gradients, at odd lengths."""

from __future__ import annotations

import pytest
import torch
from library_cases import compiled, value_and_gradients
from torch.nn import functional

SHAPES = [
    ((2, 3), 37, 37, 5, 7),
    ((2, 3), 1, 13, 5, 7),
    ((1, 2), 13, 1, 5, 7),
    ((2,), 19, 11, 4, 3),
    ((), 23, 29, 1, 1),
    ((2, 2), 0, 5, 3, 3),
    ((0, 2), 5, 5, 3, 3),
    ((1, 2), 300, 257, 16, 16),  # several tiles
]


def layer(causal: bool):
    return compiled("attention", (("CAUSAL", int(causal)),))


def tensors(leading, rows, columns, d, e, dtype):
    generator = torch.Generator().manual_seed(0)
    shapes = ((*leading, rows, d), (*leading, columns, d), (*leading, columns, e))
    return tuple(torch.randn(shape, generator=generator, dtype=torch.float64).to(dtype) for shape in shapes)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_as_torch(shape, causal):
    for dtype, tolerance in ((torch.float64, 1e-12), (torch.float32, 2e-5), (torch.bfloat16, 5e-2)):
        arguments = tensors(*shape, dtype)
        doubled = tuple(argument.double() for argument in arguments)
        weight = torch.randn((*arguments[0].shape[:-1], shape[-1]), dtype=torch.float64).to(dtype)
        found = value_and_gradients(layer(causal), arguments, weight)

        def expected_of(q, k, v):
            return functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

        for one, other in zip(found, value_and_gradients(expected_of, doubled, weight.double()), strict=True):
            assert one.dtype == dtype
            torch.testing.assert_close(one.double(), other, rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize("causal", [False, True], ids=["full", "causal"])
def test_gradients_of_gradients(causal):
    arguments = tuple(tensor.requires_grad_() for tensor in tensors((2,), 4, 3, 2, 3, torch.float64))
    assert torch.autograd.gradcheck(layer(causal), arguments)
    assert torch.autograd.gradgradcheck(layer(causal), arguments)


@pytest.mark.parametrize("threads", [1, 2, 3])
def test_the_same_again(threads):
    arguments = tensors((3,), 301, 127, 8, 8, torch.float32)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        weight = torch.randn(arguments[0].shape)
        first = value_and_gradients(layer(True), arguments, weight)
        for _ in range(3):
            for one, other in zip(value_and_gradients(layer(True), arguments, weight), first, strict=True):
                assert torch.equal(one, other)
    finally:
        torch.set_num_threads(before)


def test_a_value_far_from_the_others_does_not_overflow():
    q, k, v = tensors((2,), 9, 17, 4, 3, torch.float32)
    weight = torch.ones(2, 9, 3)
    found = value_and_gradients(layer(False), (q * 1e3, k * 1e3, v), weight)
    doubled = (q.double() * 1e3, k.double() * 1e3, v.double())
    expected = value_and_gradients(functional.scaled_dot_product_attention, doubled, weight.double())
    assert all(bool(each.isfinite().all()) for each in found)
    torch.testing.assert_close(found[0].double(), expected[0], rtol=1e-4, atol=1e-4)
