"""Every library entry as a citizen of PyTorch: opcheck, torch.compile, torch.export, module, state_dict, copy and pickle."""

import copy
import io
import pickle

import pytest
import torch
from lamina.ops.references import REFERENCES
from library_cases import drawn, layer_of, module_of, requiring_grad, value_and_gradients
from torch.utils._python_dispatch import TorchDispatchMode

every_entry = pytest.mark.parametrize("name", REFERENCES)


class OperatorCalls(TorchDispatchMode):
    """Records the calls of Lamina's own operators."""

    def __init__(self):
        super().__init__()
        self.calls = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        if getattr(function, "namespace", None) == "lamina":
            self.calls.append((function, args, kwargs or {}))
        return function(*args, **(kwargs or {}))


@every_entry
def test_opcheck(name):
    reference = REFERENCES[name]
    case = reference.cases[0]
    arguments = requiring_grad(drawn(reference, case, torch.float32))
    with OperatorCalls() as recorded:
        layer_of(name, case)(*arguments).sum().backward()
    assert len(recorded.calls) >= 2, "expected a forward and a backward operator"
    for operator, args, kwargs in recorded.calls:
        plain = tuple(value.detach().clone() if isinstance(value, torch.Tensor) else value for value in args)
        torch.library.opcheck(operator, plain, kwargs)
        trained = tuple(
            value.clone().requires_grad_() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
            for value in plain
        )
        torch.library.opcheck(operator, trained, kwargs)


@pytest.mark.parametrize(
    ("name", "backend"),
    [*((name, "aot_eager") for name in REFERENCES), ("group_rational_b", "inductor"), ("spline_kan", "inductor")],
)
def test_torch_compile_without_graph_break(name, backend):
    reference = REFERENCES[name]
    case = reference.cases[0]
    layer = layer_of(name, case)
    arguments = drawn(reference, case, torch.float64)

    def surrounded(x, *parameters):
        return layer(x * 2, *parameters).sin()

    cotangent = torch.ones_like(surrounded(*arguments))
    expected = value_and_gradients(surrounded, arguments, cotangent)
    torch._dynamo.reset()
    found = value_and_gradients(torch.compile(surrounded, fullgraph=True, backend=backend), arguments, cotangent)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("dynamic", [False, True], ids=["static", "dynamic"])
@every_entry
def test_torch_export(name, dynamic):
    reference = REFERENCES[name]
    case = reference.cases[0]
    module = module_of(name, case, dtype=torch.float64)
    inputs = drawn(reference, case, torch.float64)[: reference.inputs]
    module(*inputs)
    shapes = torch.export.ShapesCollection()
    if dynamic:
        for x in inputs:
            shapes[x] = {0: torch.export.Dim.DYNAMIC}
    program = torch.export.export(module, inputs, dynamic_shapes=shapes if dynamic else None)
    others = [torch.cat([x, x * 0.5, x[:1] - 1]) if dynamic else x * 0.5 for x in inputs]
    torch.testing.assert_close(program.module()(*others), module(*others), rtol=0, atol=0)


@every_entry
def test_module_trains_and_survives_copy_pickle_and_state_dict(name):
    reference = REFERENCES[name]
    case = reference.cases[0]
    module = module_of(name, case)
    inputs = drawn(reference, case, torch.float32)[: reference.inputs]
    value = module(*inputs)
    declared = list(reference.draws(case))[reference.inputs :]
    assert [parameter for parameter, _ in module.named_parameters()] == declared
    assert [tuple(p.shape) for p in module.parameters()] == [reference.draws(case)[name].shape for name in declared]
    expected = reference.evaluate(case, *inputs, *(parameter.detach() for parameter in module.parameters()))
    torch.testing.assert_close(value.detach(), expected, rtol=1e-4, atol=1e-5)

    value.sum().backward() if declared else None
    assert all(parameter.grad is not None for parameter in module.parameters())
    clones = [copy.deepcopy(module), pickle.loads(pickle.dumps(module))]
    stored = io.BytesIO()
    torch.save(module.state_dict(), stored)
    fresh = module_of(name, case)
    fresh.load_state_dict(torch.load(io.BytesIO(stored.getvalue()), weights_only=True))
    for clone in (*clones, fresh):
        assert torch.equal(clone(*inputs), value)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(1)
    if declared:
        assert all(torch.equal(clone(*inputs), value) for clone in clones), "a copy shares parameters with its original"
