"""Every library entry, compiled: value and gradients in every dtype against the interpreter and the eager reference."""

import lamina
import pytest
import torch
from lamina.ops.references import REFERENCES
from library_cases import (
    CASE_NAMES,
    EVERY_CASE,
    assert_within,
    bound_scales,
    drawn,
    layer_of,
    requiring_grad,
    value_and_gradients,
)

every_case = pytest.mark.parametrize(("name", "number"), EVERY_CASE, ids=CASE_NAMES)
every_entry = pytest.mark.parametrize("name", REFERENCES)


def problem(name, number, dtype):
    """The case, its arguments in dtype, a cotangent in dtype, and the eager reference as a function of the arguments."""
    reference = REFERENCES[name]
    case = reference.cases[number]
    arguments = drawn(reference, case, dtype, seed=number)

    def eager(*tensors):
        return reference.evaluate(case, *tensors)

    shape = eager(*(argument.double() for argument in arguments)).shape
    cotangent = torch.randn(shape, generator=torch.Generator().manual_seed(100 + number), dtype=torch.float64).to(dtype)
    return case, arguments, cotangent, eager


def test_the_library_and_the_references_have_the_same_entries():
    assert sorted(lamina.library()) == sorted(REFERENCES)


@every_case
def test_float64_agrees_with_interpreter_and_eager(name, number):
    case, arguments, cotangent, eager = problem(name, number, torch.float64)
    layer = layer_of(name, case)
    expected = value_and_gradients(eager, arguments, cotangent)
    scales = bound_scales(eager, arguments, cotangent)
    eps = torch.finfo(torch.float64).eps
    interpreted = torch.as_tensor(layer.reference(*arguments))
    assert_within(interpreted, expected[0], 16 * eps * scales[0], "interpreter")
    for index, found in enumerate(value_and_gradients(layer, arguments, cotangent)):
        assert_within(found, expected[index], 16 * eps * scales[index], f"result {index} (0: value)")


@every_case
def test_float32_within_four_ulps_of_the_scale(name, number):
    case, arguments, cotangent, eager = problem(name, number, torch.float32)
    doubled = tuple(argument.double() for argument in arguments)
    expected = value_and_gradients(eager, doubled, cotangent.double())
    scales = bound_scales(eager, doubled, cotangent)
    for index, found in enumerate(value_and_gradients(layer_of(name, case), arguments, cotangent)):
        assert found.dtype == torch.float32
        assert_within(found, expected[index], 4 * torch.finfo(torch.float32).eps * scales[index], f"result {index} (0: value)")


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "f16"])
@every_entry
def test_half_precision_is_the_float32_result_rounded_once(name, dtype):
    case, arguments, cotangent, eager = problem(name, 0, dtype)
    doubled = tuple(argument.double() for argument in arguments)
    expected = value_and_gradients(eager, doubled, cotangent.double())
    scales = bound_scales(eager, doubled, cotangent)
    storage = torch.finfo(dtype)
    for index, found in enumerate(value_and_gradients(layer_of(name, case), arguments, cotangent)):
        assert found.dtype == dtype
        computed = 4 * torch.finfo(torch.float32).eps * scales[index]
        # Half a unit in the last place of the number stored, normal or subnormal, plus what the computation in float32 may err.
        rounded = (storage.eps / 2) * (expected[index].abs() + computed) + storage.smallest_normal * storage.eps / 2
        assert_within(found, expected[index], rounded + computed, f"result {index} (0: value)")


@every_entry
def test_gradcheck_of_both_orders(name):
    case, arguments, _, _ = problem(name, 0, torch.float64)
    layer = layer_of(name, case)
    assert torch.autograd.gradcheck(layer, requiring_grad(arguments))
    assert torch.autograd.gradgradcheck(layer, requiring_grad(arguments))


@every_entry
def test_layout_of_input_and_gradient_does_not_matter(name):
    case, arguments, cotangent, eager = problem(name, 0, torch.float64)
    layer = layer_of(name, case)
    expected = value_and_gradients(layer, arguments, cotangent)

    def assert_same(found, wanted):
        for one, other in zip(found, wanted, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-12)

    strided = tuple(torch.stack([argument, argument + 1], -1)[..., 0] for argument in arguments)
    transposed = tuple(argument.mT.contiguous().mT if argument.ndim > 1 else argument for argument in arguments)
    assert_same(value_and_gradients(layer, strided, cotangent), expected)
    assert_same(value_and_gradients(layer, transposed, cotangent), expected)
    every_other = torch.stack([cotangent, cotangent], -1)[..., 1]
    assert_same(value_and_gradients(layer, arguments, every_other), expected)
    # The gradient of a sum is one number with stride 0 everywhere.
    of_sum = value_and_gradients(layer, arguments, torch.ones((), dtype=torch.float64).expand(cotangent.shape))
    assert_same(of_sum, value_and_gradients(eager, arguments, torch.ones_like(cotangent)))


@every_entry
def test_empty_batch(name):
    case, arguments, cotangent, _ = problem(name, 0, torch.float64)
    count = REFERENCES[name].inputs
    inputs, parameters = tuple(x[:0] for x in arguments[:count]), arguments[count:]
    value, *gradients = value_and_gradients(layer_of(name, case), (*inputs, *parameters), cotangent[:0])
    assert value.shape == cotangent[:0].shape
    assert [gradient.shape for gradient in gradients[:count]] == [x.shape for x in inputs]
    for found, parameter in zip(gradients[count:], parameters, strict=True):
        assert torch.equal(found, torch.zeros_like(parameter))


@every_entry
def test_wrong_arguments_are_refused_by_name(name):
    case, arguments, _, _ = problem(name, 0, torch.float32)
    layer = layer_of(name, case)
    with pytest.raises(lamina.ArgumentError):
        layer()
    with pytest.raises(lamina.ArgumentError):
        layer(*arguments, arguments[0])
    if len(arguments) > 1:
        second = list(REFERENCES[name].draws(case))[1]
        with pytest.raises(lamina.ArgumentError, match=f"{second}: (expected|the dimensions of)"):
            layer(arguments[0], torch.randn(2, 3, 4, 5, 6), *arguments[2:])
