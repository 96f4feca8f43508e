"""Layers as modules: first values, lazy lengths, copies, names, and saved state."""

from __future__ import annotations

import copy
import io
import pickle

import lamina
import pytest
import torch
from specs import EXAMPLES, arguments, layer_of

STARTS = """layer starts {
  in    x[..., C]
  param normal[C, M] = normal(1/sqrt(M))
  param uniform[M, C] = uniform(-2/C, 2/C)
  param list[2, 3] = [1, 2.5, -3]
  param ramp[C] = index(C) / C
  buffer ones[M]: f64 = 1
  axis M = 400
  out y[..., C] = x + sum[M](normal * uniform) * ramp * list[0, 0] + sum[M](ones)
}"""


def test_first_values() -> None:
    torch.manual_seed(0)
    module = lamina.compile(STARTS, target="reference").module(C=50)
    assert [name for name, _ in module.named_parameters()] == ["normal", "uniform", "list", "ramp"]
    assert [name for name, _ in module.named_buffers()] == ["ones"]
    assert module.normal.shape == (50, 400) and abs(float(module.normal.detach().std()) - 1 / 20) < 1e-3
    assert abs(float(module.normal.detach().mean())) < 1e-3
    assert float(module.uniform.detach().min()) >= -0.04 and float(module.uniform.detach().max()) <= 0.04
    assert float(module.uniform.detach().max()) > 0.0399 and float(module.uniform.detach().min()) < -0.0399
    assert torch.equal(module.list, torch.tensor([[1, 2.5, -3], [1, 2.5, -3]]))
    torch.testing.assert_close(module.ramp.detach(), torch.arange(50) / 50)
    assert module.ones.dtype == torch.float64 and torch.equal(module.ones, torch.ones(400, dtype=torch.float64))
    first = module.normal.detach().clone()
    module.reset_parameters()
    assert not torch.equal(first, module.normal)
    torch.manual_seed(0)
    again = lamina.compile(STARTS, target="reference").module(C=50)
    assert torch.equal(again.normal, first)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_dtype(dtype: torch.dtype) -> None:
    module = layer_of("row norm").module(C=5, dtype=dtype)
    assert module.g.dtype == dtype
    assert module(torch.randn(2, 5, dtype=dtype)).dtype == dtype
    assert module.to(torch.float32)(torch.randn(2, 5)).dtype == torch.float32


def test_device() -> None:
    assert layer_of("row norm").module(C=5, device="meta").g.is_meta


def test_lengths_are_taken_at_the_first_call() -> None:
    module = layer_of("matrix product").module(O=4)
    assert repr(module) == "LazyLayerModule(affine, O=4)"
    optimiser_refused = torch.nn.parameter.is_lazy(module.w)
    assert optimiser_refused
    x = torch.randn(3, 5)
    y = module(x)
    assert repr(module) == "LayerModule(affine, O=4, I=5)"
    torch.testing.assert_close(y, x @ module.w.t() + module.b)
    assert module.w.abs().max() <= 1 / 5**0.5
    with pytest.raises(lamina.ArgumentError, match=r"w: dimension 1|x: dimension 1"):
        module(torch.randn(3, 6))


def test_a_length_that_no_input_tells_is_asked_for() -> None:
    with pytest.raises(lamina.ArgumentError, match="the length O cannot be told"):
        layer_of("matrix product").module()(torch.randn(3, 5))


def test_names_of_lengths_are_checked() -> None:
    layer = layer_of("matrix product")
    with pytest.raises(lamina.ArgumentError, match="affine: no axis or size is called Q; there are O, I"):
        layer.module(Q=3)
    with pytest.raises(lamina.ArgumentError, match="I: expected an integer of 0 or more, found -1"):
        layer.module(I=-1)


def test_state_of_a_lazy_module_can_be_loaded_before_the_first_call() -> None:
    trained = layer_of("matrix product").module(I=5, O=4)
    fresh = layer_of("matrix product").module(O=4)
    fresh.load_state_dict(trained.state_dict())
    x = torch.randn(3, 5)
    assert torch.equal(fresh(x), trained(x))


@pytest.mark.parametrize("lazy", [False, True])
def test_copies_and_pickles(lazy: bool) -> None:
    module = layer_of("matrix product").module(O=4, **({} if lazy else {"I": 5}))
    clones = [copy.deepcopy(module), pickle.loads(pickle.dumps(module))]
    x = torch.randn(3, 5)
    for clone in clones:
        if lazy:
            clone(x)
            clone.load_state_dict(module.state_dict() if not torch.nn.parameter.is_lazy(module.w) else clone.state_dict())
        else:
            assert torch.equal(clone(x), module(x))
        assert type(clone) is not type(layer_of("matrix product").module(O=4))
    y = module(x)
    clone = copy.deepcopy(module)
    with torch.no_grad():
        module.w.add_(1)
    assert torch.equal(clone(x), y) and not torch.equal(module(x), y)


def test_a_whole_module_saved_by_torch() -> None:
    module = layer_of("row norm").module(C=5)
    stored = io.BytesIO()
    torch.save(module, stored)
    loaded = torch.load(io.BytesIO(stored.getvalue()), weights_only=False)
    x = torch.randn(2, 5)
    assert torch.equal(loaded(x), module(x))


def test_nested_and_taken_names() -> None:
    module = layer_of("layer call").module(C=5, D=4)
    assert [name for name, _ in module.named_parameters()] == ["a", "h_w"]
    text = "layer f { in x[C]  param forward[C] = 1  param lambda[C] = 2  out y[C] = x * forward * lambda }"
    module = lamina.compile(text, target="reference").module(C=3)
    assert [name for name, _ in module.named_parameters()] == ["forward_", "lambda"]
    assert torch.equal(module(torch.ones(3)), torch.full((3,), 2.0))


def test_inputs_by_name_and_wrong_counts() -> None:
    module = layer_of("several outs").module()
    x, u, _ = arguments("several outs", torch.float32)
    for one, other in zip(module(x, u=u), module(x, u), strict=True):
        assert torch.equal(one, other)
    with pytest.raises(lamina.ArgumentError, match="missing: u"):
        module(x)
    with pytest.raises(lamina.ArgumentError, match="expected x, u, found 3 tensors"):
        module(x, u, u)


def test_training_reaches_every_parameter() -> None:
    module = layer_of("layer call").module(C=5, D=4)
    optimiser = torch.optim.SGD(module.parameters(), 0.1)
    x = torch.randn(8, 5)
    losses = []
    for _ in range(20):
        optimiser.zero_grad()
        loss = (module(x) - 1).square().mean()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


def test_inputs_come_first_whatever_the_order_declared() -> None:
    layer = lamina.compile("layer f { param a[C] = 2  in x[..., C]  out y[..., C] = x - a }", target="reference")
    x, a = torch.randn(3, 4), torch.randn(4)
    torch.testing.assert_close(layer(x, a), x - a)
    assert layer.inputs == ("x",) and layer.parameters == ("a",)


def test_every_example_has_a_module() -> None:
    for name in EXAMPLES:
        inputs = len(layer_of(name).inputs)
        lengths = {axis: 4 for axis in ("O", "D") if axis in layer_of(name).sizes}
        module = layer_of(name).module(**lengths)
        module(*arguments(name, torch.float32)[:inputs])
        assert not module.lengths or all(isinstance(length, int) for length in module.lengths.values())


LISTS = """
layer inner { in x[B]  param k[K] = [1, 2, 3]  out y[B] = sum[i < K](k[i] * x^i) }
layer outer { in x[B]  let h[B] = inner(x)  out y[B] = h }
layer along { in x[B, C]  param a[C] = [1, 2]  out y[B, C] = a * x }
"""


@pytest.mark.parametrize("name", ["inner", "outer"])
def test_a_list_of_initial_values_tells_the_length(name: str) -> None:
    module = lamina.compile(LISTS, layer=name, target="reference").module()
    assert [tuple(each.shape) for each in module.parameters()] == [(3,)]
    x = torch.randn(4)
    torch.testing.assert_close(module(x), 1 + 2 * x + 3 * x**2)


def test_a_list_and_another_length() -> None:
    layer = lamina.compile(LISTS, layer="along", target="reference")
    assert layer.module().a.tolist() == [1.0, 2.0]
    with pytest.raises(lamina.ArgumentError, match="a: its list of initial values has 2 numbers, so C = 2; found 5"):
        layer.module(C=5)
    with pytest.raises(lamina.ArgumentError, match=r"dimension 1 must be C = 2, found 5|dimension 0 must be C = 5, found 2"):
        layer.module()(torch.randn(3, 5))
