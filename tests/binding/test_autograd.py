"""Values and gradients of every order, by every road through torch."""

from __future__ import annotations

import lamina
import pytest
import torch
from specs import EXAMPLES, TARGETS, arguments, assert_same, gradients, layer_of, listed

every_example = pytest.mark.parametrize("name", EXAMPLES)
every_target = pytest.mark.parametrize("target", TARGETS)


@every_target
@every_example
def test_value_and_gradients_are_those_of_eager_torch(name: str, target: str) -> None:
    tensors = arguments(name)
    assert_same(gradients(layer_of(name, target), tensors), gradients(EXAMPLES[name].eager, tensors))


@every_example
def test_reference_is_float64(name: str) -> None:
    tensors = arguments(name, torch.float32)
    expected = listed(EXAMPLES[name].eager(*(tensor.double() for tensor in tensors)))
    assert_same(listed(layer_of(name).reference(*tensors)), expected)


@every_target
@every_example
def test_gradcheck_of_both_orders(name: str, target: str) -> None:
    tensors = arguments(name, grad=True)
    assert torch.autograd.gradcheck(layer_of(name, target), tensors)
    assert torch.autograd.gradgradcheck(layer_of(name, target), tensors)


def test_third_order() -> None:
    layer = layer_of("pointwise")

    def third(function: object) -> torch.Tensor:
        x, b = arguments("pointwise", grad=True)
        value = function(x, b).sum()  # type: ignore[operator]
        for _ in range(3):
            value = torch.autograd.grad(value, (x, b), create_graph=True)[0].sum()
        return value.detach()

    torch.testing.assert_close(third(layer), third(EXAMPLES["pointwise"].eager))


@every_target
def test_only_wanted_gradients_are_computed(target: str) -> None:
    layer = layer_of("matrix product", target)
    x, w, b = arguments("matrix product")
    w.requires_grad_()
    y = layer(x, w, b)
    (gradient,) = torch.autograd.grad(y.sum(), w)
    torch.testing.assert_close(gradient, x.sum((0, 1)).expand(4, 5))
    paths = {made.path for made in layer._functions.source.made}
    assert target == "reference" or any("/010:1" in path for path in paths)


@every_target
def test_an_out_that_is_not_used_needs_no_cotangent(target: str) -> None:
    x, u, a = arguments("several outs", grad=True)
    layer = layer_of("several outs", target)
    _, m = layer(x, u, a)
    assert_same(torch.autograd.grad(m.sum(), (x, u)), (u.detach(), x.detach()))
    s, _ = layer(x, u, a)
    assert_same(torch.autograd.grad(s.sum(), (x, a)), (torch.ones_like(x), u.detach().sum()))


@every_target
@every_example
def test_any_layout_of_inputs_and_cotangents(name: str, target: str) -> None:
    tensors = arguments(name)
    layer = layer_of(name, target)
    expected = gradients(layer, tensors)
    sliced = tuple(torch.stack([tensor, tensor + 1], -1)[..., 0] for tensor in tensors)
    padded = tuple(torch.cat([t, t], -1)[..., : t.shape[-1]] if t.dim() else t for t in tensors)
    transposed = tuple(tensor.mT.contiguous().mT if tensor.dim() > 1 else tensor for tensor in tensors)
    for changed in (sliced, padded, transposed):
        assert_same(listed(layer(*changed)), expected[: len(listed(layer(*tensors)))])
        leaves = tuple(tensor.detach().requires_grad_() for tensor in changed)
        results = listed(layer(*leaves))
        cotangents = [torch.ones((), dtype=result.dtype).expand(result.shape) for result in results]
        found = torch.autograd.grad(results, leaves, cotangents)
        eager_leaves = tuple(tensor.clone().requires_grad_() for tensor in tensors)
        eager = listed(EXAMPLES[name].eager(*eager_leaves))
        assert_same(found, torch.autograd.grad(eager, eager_leaves, [torch.ones_like(result) for result in eager]))
        other = [torch.stack([torch.ones_like(r), torch.zeros_like(r)], -1)[..., 0] for r in results]
        results = listed(layer(*leaves))
        assert_same(torch.autograd.grad(results, leaves, other), found)


@every_target
def test_empty_and_scalar_leading_shapes(target: str) -> None:
    layer = layer_of("matrix product", target)
    _, w, b = arguments("matrix product")
    for leading in ((), (0,), (2, 0, 3), (1, 1, 2)):
        x = torch.randn(*leading, 5, dtype=torch.float64)
        assert_same(gradients(layer, (x, w, b)), gradients(EXAMPLES["matrix product"].eager, (x, w, b)))


@every_target
def test_views_that_negate_and_inference_tensors(target: str) -> None:
    layer = layer_of("pointwise", target)
    _, b = arguments("pointwise")
    x = torch.randn(3, 4, dtype=torch.complex128).conj().imag
    assert x.is_neg()
    torch.testing.assert_close(layer(x, b), EXAMPLES["pointwise"].eager(x, b))
    with torch.inference_mode():
        x = torch.randn(3, 4, dtype=torch.float64)
        torch.testing.assert_close(layer(x, b), EXAMPLES["pointwise"].eager(x, b))


@every_target
def test_mixed_precision(target: str) -> None:
    """Outs follow the inputs, gradients the tensors they are of; all is computed in float32 and rounded once."""
    layer = layer_of("row norm", target)
    x, g = arguments("row norm", torch.bfloat16)
    g = g.float()
    y, x_gradient, g_gradient = gradients(layer, (x, g))
    assert (y.dtype, x_gradient.dtype, g_gradient.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    expected = gradients(lambda x, g: EXAMPLES["row norm"].eager(x, g).to(torch.bfloat16), (x.double(), g.double()))
    torch.testing.assert_close(y.double(), expected[0].double(), rtol=2**-8, atol=1e-6)
    assert g_gradient.ne(g_gradient.bfloat16().float()).any(), "a float32 gradient has more than bfloat16's digits"


@every_target
def test_autocast_leaves_the_dtype_of_the_inputs(target: str) -> None:
    layer = layer_of("matrix product", target)
    x, w, b = arguments("matrix product", torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        half = torch.mm(x[0], w.t())
        y = layer(half[:, [0, 1, 2, 3, 0]], w, b)
        assert half.dtype == torch.bfloat16 and y.dtype == torch.bfloat16
        assert layer(x, w, b).dtype == torch.float32


def test_saved_tensors_changed_in_place_are_noticed() -> None:
    x, b = arguments("pointwise", grad=True)
    inner = x * 2
    y = layer_of("pointwise")(inner, b)
    inner.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_what_no_gradient_reads_is_not_kept() -> None:
    """The bias of a matrix product may change between forward and backward."""
    x, w, b = arguments("matrix product", grad=True)
    inner = b * 2
    y = layer_of("matrix product")(x, w, inner)
    inner.add_(1)
    torch.autograd.grad(y.sum(), (x, w))


def test_an_op_without_derivative_says_so_when_the_gradient_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    from lamina import pipeline
    from lamina.passes.autodiff import NotDifferentiable

    def unknown(*_: object) -> None:
        raise NotDifferentiable("mystery")

    monkeypatch.setattr(pipeline, "backward_graph", unknown)
    monkeypatch.setattr(pipeline, "training_pair", unknown)
    layer = lamina.compile("layer f { in x[N]  out y[N] = 7 * x }", target="reference")
    y = layer(torch.rand(3, requires_grad=True))
    with pytest.raises(lamina.TargetError, match="the gradient of x needs the derivative of mystery, which is not known"):
        y.sum().backward()


def test_an_integer_out_has_no_gradient() -> None:
    text = "layer f { in x[..., C]  out y[..., C] = x * 2  out k[...] = sum[C](select(x > 0, 1, 0)) }"
    layer = lamina.compile(text, target="reference")
    x = torch.tensor([[1.0, -2.0, 3.0]], requires_grad=True)
    for function in (layer, torch.compile(lambda x: layer(x), fullgraph=True, backend="aot_eager")):
        y, k = function(x)
        assert k.tolist() == [2] and k.dtype == torch.int64 and not k.requires_grad
        assert torch.autograd.grad(y.sum(), x)[0].tolist() == [[2.0, 2.0, 2.0]]


def test_gradient_of_a_table_that_is_looked_up() -> None:
    layer = lamina.compile("layer f { in i[...]: i64  param t[V, D] = 0  out y[..., D] = t[i, D] }", target="reference")
    rows = torch.tensor([[0, 1], [4, 4]])
    table = torch.randn(5, 3, requires_grad=True)
    assert_same(gradients(lambda t: layer(rows, t), (table,)), gradients(lambda t: t[rows], (table,)))


def test_complex_tensors() -> None:
    layer = lamina.compile("layer f { in x[C]: complex  param w[C]: complex = 1  out y[C] = x * w }", target="reference")
    tensors = (torch.randn(3, dtype=torch.complex128), torch.randn(3, dtype=torch.complex128))
    assert torch.autograd.gradcheck(layer, tuple(tensor.requires_grad_() for tensor in tensors))
    assert layer(*(tensor.detach().to(torch.complex64) for tensor in tensors)).dtype == torch.complex64


def test_a_layer_without_tensors() -> None:
    layer = lamina.compile("layer f(N = 4) { out y[N] = index(N) * 2.0 }", target="reference")
    for function in (layer, layer.module(), torch.compile(lambda: layer(), fullgraph=True, backend="aot_eager")):
        assert function().tolist() == [0.0, 2.0, 4.0, 6.0]


def test_what_the_generator_cannot_do_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    from lamina import codegen
    from lamina.schedule.partition import NotLowered

    def generate(*_: object) -> None:
        raise NotLowered("mystery")

    monkeypatch.setattr(codegen, "generate", generate)
    layer = lamina.compile("layer f { in x[N]  out y[N] = 9 * x }")
    with pytest.raises(lamina.TargetError, match="layer f: the target cpp has no kernels yet for mystery"):
        layer(torch.ones(3))
