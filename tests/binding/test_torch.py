"""Layers inside torch's machinery: opcheck, compile, export, vmap, func."""

from __future__ import annotations

from typing import Any

import lamina
import pytest
import torch
from specs import EXAMPLES, arguments, assert_same, gradients, layer_of, listed

every_example = pytest.mark.parametrize("name", EXAMPLES)


@pytest.mark.parametrize("name", ["row norm", "several outs", "layer call"])
def test_opcheck_of_forward_and_every_order(name: str) -> None:
    layer = layer_of(name)
    tensors = arguments(name)
    root = layer._root
    cotangents = [torch.randn_like(result) for result in listed(layer(*tensors))]
    derived = root.derivative((True,) * len(tensors), root.differentiable)
    every = [*tensors, *cotangents]
    some = (True, *(False,) * (len(derived.inputs) - 2), True)
    second = derived.derivative(some, (True, *(False,) * (len(derived.outputs) - 1)))
    for grad in (False, True):

        def ready(values: Any, grad: bool = grad) -> list[torch.Tensor]:
            return [value.detach().clone().requires_grad_(grad) for value in values]

        torch.library.opcheck(layer._forward, tuple(ready(tensors)))
        torch.library.opcheck(layer._operators.backward, (ready(every), derived.path))
        torch.library.opcheck(layer._operators.backward, (ready([*every, tensors[0]]), second.path))


@every_example
def test_compiled_whole(name: str) -> None:
    layer = layer_of(name)
    tensors = arguments(name)

    def surrounded(first: torch.Tensor, *rest: torch.Tensor) -> Any:
        results = listed(layer(first * 2, *rest))
        return tuple(result.sin() for result in results)

    expected = gradients(surrounded, tensors)
    torch._dynamo.reset()
    assert_same(gradients(torch.compile(surrounded, fullgraph=True, backend="aot_eager"), tensors), expected)


def test_compiled_module_for_any_batch_without_recompilation() -> None:
    module = layer_of("matrix product").module(I=5, O=4, dtype=torch.float64)
    torch._dynamo.reset()
    count = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(module, fullgraph=True, dynamic=True, backend=count)
    for batch in (3, 7, 11):
        x = torch.randn(batch, 5, dtype=torch.float64)
        torch.testing.assert_close(compiled(x), module(x))
    assert count.frame_count == 1


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@pytest.mark.parametrize("name", ["row norm", "matrix product", "layer call"])
def test_exported(name: str, dynamic: bool) -> None:
    x = arguments(name)[0]
    lengths = {"row norm": {"C": 5}, "matrix product": {"I": 5, "O": 4}, "layer call": {"C": 5, "D": 4}}[name]
    module = layer_of(name).module(**lengths, dtype=torch.float64)
    shapes = ({0: torch.export.Dim.DYNAMIC},) if dynamic else None
    program = torch.export.export(module, (x,), dynamic_shapes=shapes)
    other = torch.cat([x, x * 0.5, x[:1] - 1]) if dynamic else x * 0.5
    torch.testing.assert_close(program.module()(other), module(other), rtol=0, atol=0)


@every_example
@pytest.mark.parametrize("place", [0, 1])
def test_vmap_over_inputs_folds(name: str, place: int) -> None:
    layer = layer_of(name)
    tensors = arguments(name)
    inputs = len(layer.inputs)
    batched = [torch.stack([tensor, tensor * 2, tensor - 1], place) for tensor in tensors[:inputs]]
    dimensions = (*([place] * inputs), *([None] * (len(tensors) - inputs)))
    found = listed(torch.vmap(layer, dimensions)(*batched, *tensors[inputs:]))
    assert_same(found, listed(torch.vmap(EXAMPLES[name].eager, dimensions)(*batched, *tensors[inputs:])))


@every_example
def test_vmap_over_parameters_and_gradients(name: str) -> None:
    """Per-sample gradients: the batch over everything, through grad."""
    layer = layer_of(name)
    batched = tuple(torch.stack([tensor, tensor * 2, tensor - 1]) for tensor in arguments(name))

    def loss(function: Any) -> Any:
        return lambda *tensors: sum(result.square().sum() for result in listed(function(*tensors)))

    def per_sample(function: Any) -> tuple[torch.Tensor, ...]:
        return torch.vmap(torch.func.grad(loss(function), tuple(range(len(batched)))))(*batched)

    assert_same(per_sample(layer), per_sample(EXAMPLES[name].eager))


def test_vmap_over_one_input_of_two_and_an_empty_batch() -> None:
    layer, eager = layer_of("several outs"), EXAMPLES["several outs"].eager
    x, u, a = arguments("several outs")
    batched = torch.stack([x, x + 1])
    assert_same(torch.vmap(layer, (0, None, None))(batched, u, a), torch.vmap(eager, (0, None, None))(batched, u, a))
    weights = torch.randn(2, dtype=torch.float64)
    assert_same(torch.vmap(layer, (None, None, 0))(x, u, weights), torch.vmap(eager, (None, None, 0))(x, u, weights))
    s, m = torch.vmap(layer, (None, None, 0))(x, u, weights[:0])
    assert s.shape == (0, 3, 4) and m.shape == (0, 3)


@pytest.mark.parametrize("name", ["row norm", "several outs"])
def test_functional_transforms(name: str) -> None:
    layer, eager = layer_of(name), EXAMPLES[name].eager
    tensors = arguments(name)

    def hessian(function: Any) -> Any:
        def loss(x: torch.Tensor) -> torch.Tensor:
            return sum(result.pow(3).sum() for result in listed(function(x, *tensors[1:])))

        return torch.func.jacrev(torch.func.jacrev(loss))(tensors[0])

    torch.testing.assert_close(hessian(layer), hessian(eager))


def test_saved_tensor_hooks_and_checkpointing() -> None:
    layer = layer_of("row norm")
    tensors = arguments("row norm")
    expected = gradients(layer, tensors)
    from torch.utils.checkpoint import checkpoint

    assert_same(gradients(lambda *given: checkpoint(layer, *given, use_reentrant=False), tensors), expected)
    with torch.autograd.graph.save_on_cpu():
        assert_same(gradients(layer, tensors), expected)


def test_modes_see_the_operators() -> None:
    from torch.utils._python_dispatch import TorchDispatchMode

    seen: list[str] = []

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            if function.namespace == "lamina":
                seen.append(function._schema.name)
            return function(*args, **(kwargs or {}))

    layer = layer_of("pointwise")
    with Watch():
        layer(*arguments("pointwise", grad=True)).sum().backward()
    name = layer._operators.name
    assert seen == [f"lamina::{name}_fwd", f"lamina::{name}_bwd"]


def test_subclasses_have_their_say() -> None:
    class Named(torch.Tensor):
        pass

    layer = layer_of("pointwise")
    x, b = arguments("pointwise")
    found = layer(x.as_subclass(Named), b)
    assert type(found) is Named and torch.equal(found.as_subclass(torch.Tensor), layer(x, b))


def test_split_dimensions_may_be_dynamic() -> None:
    text = "layer f { in x[..., G*C]  param a[G] = 1  out y[..., G*C] = x * a }"
    layer = lamina.compile(text, target="reference")
    torch._dynamo.reset()
    count = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")
    compiled = torch.compile(lambda x, a: layer(x, a) + 1, fullgraph=True, dynamic=True, backend=count)
    a = torch.randn(4)
    for batch, channels in ((3, 8), (5, 12), (7, 16)):
        x = torch.randn(batch, channels)
        torch.testing.assert_close(compiled(x, a), layer(x, a) + 1)
    assert count.frame_count == 1
    with pytest.raises(Exception, match="x: dimension 1 must be"):
        compiled(torch.randn(3, 10), a)


@pytest.mark.parametrize("name", ["row norm", "several outs", "matrix product"])
def test_forward_mode(name: str) -> None:
    layer, eager = layer_of(name), EXAMPLES[name].eager
    tensors, tangents = arguments(name), arguments(name, seed=3)
    for one, other in zip(torch.func.jvp(layer, tensors, tangents), torch.func.jvp(eager, tensors, tangents), strict=True):
        assert_same(listed(one), listed(other))
    assert torch.autograd.gradcheck(layer, arguments(name, grad=True), check_forward_ad=True)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_scripted_trace_keeps_the_operator() -> None:
    layer = layer_of("pointwise")
    x, b = arguments("pointwise")
    traced = torch.jit.trace(lambda x: layer(x, b), x, check_trace=False)
    torch.testing.assert_close(traced(x * 2), layer(x * 2, b))
