"""Layers with complex tensors inside torch: gradients of any order, storage, modules, transforms, saved folders."""

from __future__ import annotations

from functools import cache

import lamina
import pytest
import torch
from lamina.binding.layer import Layer
from torch import Tensor

MIX = """layer mix { in x[B, I]: complex in s[I] param w[O, I]: complex = normal(1)
  out y[B, O] = sum[I](x * w * s) / (1 + abs(x[B, 0])) }"""


@cache
def mix() -> Layer:
    return lamina.compile(MIX)


def eager(x: Tensor, s: Tensor, w: Tensor) -> Tensor:
    return torch.einsum("bi,oi,i->bo", x, w, s.to(w.dtype)) / (1 + x[:, :1].abs())


def tensors(dtype: torch.dtype = torch.complex128) -> list[Tensor]:
    torch.manual_seed(0)
    real = torch.float64 if dtype == torch.complex128 else torch.float32
    return [torch.randn(3, 5, dtype=dtype), torch.randn(5, dtype=real), torch.randn(4, 5, dtype=dtype)]


def leaves(dtype: torch.dtype = torch.complex128) -> list[Tensor]:
    return [tensor.requires_grad_() for tensor in tensors(dtype)]


def test_gradients_of_both_orders() -> None:
    assert torch.autograd.gradcheck(mix(), leaves())
    assert torch.autograd.gradgradcheck(mix(), leaves())


@pytest.mark.parametrize("dtype", [torch.complex64, torch.complex128])
def test_values_and_gradients_are_torchs(dtype: torch.dtype) -> None:
    given = leaves(dtype)
    found, expected = mix()(*given), eager(*given)
    assert found.dtype == dtype
    torch.testing.assert_close(found, expected)
    cotangent = torch.randn_like(expected)
    torch.testing.assert_close(torch.autograd.grad(found, given, cotangent), torch.autograd.grad(expected, given, cotangent))


def test_layouts_and_pending_conjugations() -> None:
    """Slices, transposes, expanded values, and tensors that torch has only marked as conjugated or negated."""
    x, s, w = tensors()
    wide = torch.randn(3, 40, dtype=torch.complex128)
    for variant in (wide[:, :5], wide[:, 3:23:4], x.T.contiguous().T, x.conj(), x[:1].expand(3, 5), x[:1, :1].expand(3, 5)):
        torch.testing.assert_close(mix()(variant, s, w), eager(variant, s, w))
    torch.testing.assert_close(mix()(x, x.conj().imag[0], w), eager(x, x.conj().imag[0], w))
    rows = torch.randn(6, 64, dtype=torch.complex128)[::2, :40]
    double = lamina.compile("layer double { in z[B, N]: complex out y[B, N] = 2 * z * z }")
    torch.testing.assert_close(double(rows), 2 * rows * rows)
    given = x.clone().requires_grad_()
    cotangent = torch.randn(4, 3, dtype=torch.complex128).T.conj()
    found = torch.autograd.grad(mix()(given, s, w), given, cotangent)
    torch.testing.assert_close(found, torch.autograd.grad(eager(given, s, w), given, cotangent))


def test_operators_are_whole() -> None:
    layer = mix()
    x, s, w = tensors()
    derived = layer._root.derivative((True,) * 3, layer._root.differentiable)
    for grad in (False, True):
        given = [tensor.detach().clone().requires_grad_(grad) for tensor in (x, s, w)]
        torch.library.opcheck(layer._forward, tuple(given))
        cotangent = torch.randn(3, 4, dtype=torch.complex128, requires_grad=grad)
        torch.library.opcheck(layer._operators.backward, ([*given, cotangent], derived.path))


def test_compiled_and_batched() -> None:
    x, s, w = tensors()
    layer = mix()
    whole = torch.compile(lambda *given: layer(*given).abs().sum(), fullgraph=True, backend="aot_eager")
    given = leaves()
    torch.testing.assert_close(
        torch.autograd.grad(whole(*given), given), torch.autograd.grad(eager(*given).abs().sum(), given), check_dtype=True
    )
    batch = torch.randn(6, 3, 5, dtype=torch.complex128)
    torch.testing.assert_close(torch.vmap(mix(), (0, None, None))(batch, s, w), torch.stack([eager(each, s, w) for each in batch]))
    tangent = torch.randn_like(x)
    found = torch.func.jvp(lambda z: mix()(z, s, w), (x,), (tangent,))
    expected = torch.func.jvp(lambda z: eager(z, s, w), (x,), (tangent,))
    torch.testing.assert_close(found, expected)


def test_a_module_trains() -> None:
    """Complex parameters: drawn with the variance shared by both parts, as torch does; trained, saved, loaded."""
    torch.manual_seed(0)
    module = mix().module(O=4, I=50)
    assert module.w.dtype == torch.complex64
    large = mix().module(O=100, I=1000).w
    assert abs(float(large.real.detach().std()) - 2**-0.5) < 0.02 and abs(float(large.imag.detach().std()) - 2**-0.5) < 0.02
    x, s = torch.randn(8, 50, dtype=torch.complex64), torch.randn(50)
    target = torch.randn(8, 4, dtype=torch.complex64)
    optimizer = torch.optim.Adam(module.parameters(), 0.05)
    losses = []
    for _ in range(30):
        loss = (module(x, s) - target).abs().square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    other = mix().module(O=4, I=50)
    other.load_state_dict(module.state_dict())
    assert torch.equal(other(x, s), module(x, s))


def test_initial_values() -> None:
    """Lists and real expressions are real; a complex expression gives both parts; bounds are those of each part, as in torch."""
    layer = lamina.compile(
        """layer f { in x[N] param a[3]: complex = [1, 2, 3] param b[3]: complex = cis(1) buffer c[3]: complex = uniform(2, 3)
             out y[N] = x * re(sum[i < 3](a[i] * b[i] * c[i])) }"""
    )
    module = layer.module()
    torch.testing.assert_close(module.a.detach(), torch.tensor([1, 2, 3], dtype=torch.complex64))
    torch.testing.assert_close(module.b.detach(), torch.polar(torch.ones(3), torch.ones(3)))
    for part in (module.c.real, module.c.imag):
        assert bool(((part >= 2) & (part <= 3)).all())


def test_saved(tmp_path) -> None:
    given = leaves(torch.complex64)
    cotangent = torch.randn(3, 4, dtype=torch.complex64)
    expected = torch.autograd.grad(mix()(*given), given, cotangent)
    mix().save(tmp_path / "saved")
    loaded = lamina.load(tmp_path / "saved")
    torch.testing.assert_close(loaded(*given), mix()(*given))
    torch.testing.assert_close(torch.autograd.grad(loaded(*given), given, cotangent), expected)


def test_a_real_tensor_is_refused_where_a_complex_one_is_declared() -> None:
    x, s, w = tensors()
    with pytest.raises(lamina.ArgumentError, match=r"x: expected dtype torch.complex64 or torch.complex128, found torch.float64"):
        mix()(x.real.contiguous(), s, w)
