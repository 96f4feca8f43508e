"""Layers with target="triton", interpreted on the CPU: calls, gradients of any order, modules, sources."""

import lamina
import pytest
import torch

NORM = "layer norm { in x[..., C]  param g[C] = 1  out y[..., C] = x * rsqrt(mean[C](x*x) + 1e-6) * g }"


@pytest.fixture(scope="module")
def layer():
    return lamina.compile(NORM, target="triton")


def test_values_and_gradients_of_both_orders(layer):
    x = torch.randn(3, 5, dtype=torch.float64, requires_grad=True)
    g = torch.randn(5, dtype=torch.float64, requires_grad=True)
    torch.testing.assert_close(layer(x, g), layer.reference(x.detach(), g.detach()), rtol=1e-14, atol=1e-14)
    assert torch.autograd.gradcheck(layer, (x, g))
    assert torch.autograd.gradgradcheck(layer, (x, g))


def test_a_module_trains_as_with_target_cpp(layer):
    module, other = layer.module(C=7), lamina.compile(NORM, target="cpp").module(C=7)
    x = torch.randn(4, 7)
    for each in (module, other):
        each(x).square().sum().backward()
    torch.testing.assert_close(module.g.grad, other.g.grad)


def test_the_source_of_a_target_can_be_asked_for(layer):
    assert "@triton.jit" in layer.source(direction="backward")
    assert "@triton.jit" in lamina.compile(NORM).source(target="triton")
    assert "lamina_run" in lamina.compile(NORM).source(target="cpp")


def test_strided_and_half_precision_tensors(layer):
    x, g = torch.randn(6, 40)[:, :20], torch.ones(20)
    torch.testing.assert_close(layer(x, g), layer.reference(x, g).float())
    half = layer(x.bfloat16(), g.bfloat16())
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half, layer.reference(x.bfloat16(), g).bfloat16())


def test_an_index_that_leaves_its_dimension_is_the_same_error_as_in_cpp():
    text = "layer pick { in t[N]  in k[M]: i64  out y[M] = t[k] }"
    messages = []
    for target in ("cpp", "triton"):
        with pytest.raises(lamina.ArgumentError) as error:
            lamina.compile(text, target=target)(torch.randn(3), torch.tensor([1, 3]))
        messages.append(str(error.value))
    assert messages[0] == messages[1]
