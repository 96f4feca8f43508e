"""Calls that need no dispatcher: plain CPU tensors, outside of every transform and mode.

In: a function and tensors. Out: its results, recorded for autograd where a gradient is wanted. Holds: the same results and
gradients as through the operators (`operators.py`), which serve whatever is not plain; a training step of the layer itself
keeps what its gradients would otherwise have to compute again.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, cast

import torch
from torch import Tensor
from torch.autograd import forward_ad

from .batching import batch
from .functions import Function
from .operators import Operators

_dispatch_keys = torch._C._dispatch_keys
_dispatch_modes = torch._C._len_torch_dispatch_stack
_function_modes = torch._C._len_torch_function_stack
_transform = torch._C._functorch.peek_interpreter_stack
_tracing = torch._C._get_tracing_state
_profiling = torch._C._autograd._profiler_enabled
_grad_enabled = torch.is_grad_enabled
# Other subclasses may mean something else by a call (__torch_function__).
_PLAIN_TYPES = (Tensor, torch.nn.Parameter)


@lru_cache(maxsize=1)
def _plain_keys() -> frozenset[int]:
    """The dispatch keys of a dense CPU tensor, recording or not; one more key (a negating view, a subclass) is not plain."""
    with torch.inference_mode(False):
        recording = torch.empty(0)
    with torch.inference_mode():
        not_recording = torch.empty(0)
    tensors = (recording, recording.to(torch.complex64), recording.to(torch.int64), not_recording)
    return frozenset(_dispatch_keys(tensor).raw_repr() for tensor in tensors)


def plain(tensors: Sequence[Any]) -> bool:
    """Whether the function may run on the tensors' memory at once."""
    if _dispatch_modes() or _function_modes() or _profiling() or _tracing() is not None or transformed():
        return False
    keys = _plain_keys()
    for tensor in tensors:  # noqa: SIM110 - a loop is twice as fast as all() over a generator
        if type(tensor) not in _PLAIN_TYPES or _dispatch_keys(tensor).raw_repr() not in keys:
            return False
    return True


def run(operators: Operators, function: Function, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The results for plain tensors. Errors: ArgumentError, TargetError."""
    if _grad_enabled():
        for tensor in tensors:
            if tensor.requires_grad:
                return list(_Recorded.apply(operators, function, *tensors))
    return function.call(tensors)


def transformed() -> bool:
    """Whether a transform of torch.func (grad, vmap, jvp, ...) or a level of forward-mode differentiation is in force."""
    return _transform() is not None or forward_ad._current_level >= 0


def functional(operators: Operators, function: Function, tensors: Sequence[Tensor]) -> list[Tensor]:
    """The results under the transforms of torch.func, whose autograd needs a function of its own kind."""
    return list(_Functional.apply(operators, function, *tensors))


class _Functional(torch.autograd.Function):
    """A function with gradients of any order and batching, for torch.func."""

    @staticmethod
    def forward(operators: Operators, function: Function, *tensors: Tensor) -> tuple[Tensor, ...]:
        return tuple(operators.apply(function, tensors))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        ctx.operators, ctx.function, *tensors = inputs
        ctx.save_for_backward(*tensors)
        ctx.save_for_forward(*tensors)
        ctx.set_materialize_grads(False)
        ctx.shapes = [(result.shape, result.dtype) for result in output]
        fixed = [result for result, can in zip(output, ctx.function.differentiable, strict=True) if not can]
        ctx.mark_non_differentiable(*fixed)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        function: Function = ctx.function
        tensors = ctx.saved_tensors
        given = tuple(cotangent is not None and can for cotangent, can in zip(cotangents, function.differentiable, strict=True))
        wanted = ctx.needs_input_grad[2:]
        if not any(given) or not any(wanted):
            return (None,) * (len(tensors) + 2)
        taken = [cast(Tensor, cotangent) for cotangent, is_given in zip(cotangents, given, strict=True) if is_given]
        derived = function.derivative(wanted, given)
        gradients = functional(ctx.operators, derived, [*tensors, *taken])
        return (None, None, *derived.placed(gradients, len(tensors)))

    @staticmethod
    def jvp(ctx: Any, _operators: None, _function: None, *tangents: Tensor | None) -> tuple[Tensor | None, ...]:
        """J v is the derivative of J' u in u, given v; it is the same at every u."""
        function: Function = ctx.function
        tensors = ctx.saved_tensors
        wanted = tuple(tangent is not None for tangent in tangents)
        transposed = function.derivative(wanted, function.differentiable)
        places = tuple(place >= len(tensors) for place in range(len(transposed.inputs)))
        forward = transposed.derivative(places, (True,) * len(transposed.outputs))
        anywhere = [
            torch.zeros(shape, dtype=dtype, device=tensors[0].device)
            for (shape, dtype), can in zip(ctx.shapes, function.differentiable, strict=True)
            if can
        ]
        given = [tangent for tangent in tangents if tangent is not None]
        found = iter(functional(ctx.operators, forward, [*tensors, *anywhere, *given]))
        return tuple(next(found) if can else None for can in function.differentiable)

    @staticmethod
    def vmap(info: Any, dimensions: tuple[Any, ...], operators: Operators, function: Function, *tensors: Tensor) -> Any:
        def apply(inner: Function, given: Sequence[Tensor]) -> list[Tensor]:
            return functional(operators, inner, given)

        results = batch(apply, function, list(tensors), list(dimensions[2:]), info.batch_size)
        return tuple(results), (0,) * len(results)


class _Recorded(torch.autograd.Function):
    """A function with its gradients, of any order."""

    @staticmethod
    def forward(ctx: Any, operators: Operators, function: Function, *tensors: Tensor) -> tuple[Tensor, ...]:
        wanted = ctx.needs_input_grad[2:]
        ctx.recording = recording = function.recording(wanted)
        ctx.operators, ctx.function, ctx.wanted = operators, function, wanted
        ctx.set_materialize_grads(False)
        if recording.pair is None:
            results = function.call(tensors)
            saved: list[Tensor] = []
        else:
            every = recording.pair[0].call(tensors)
            results, saved = every[: recording.count], every[recording.count :]
        if recording.absent:
            ctx.absent = [(tensors[k].shape, tensors[k].dtype) for k in recording.absent]
            ctx.device = tensors[0].device
            tensors = tuple(tensor for tensor, kept in zip(tensors, recording.kept, strict=True) if kept)
        ctx.save_for_backward(*tensors, *saved)
        if not recording.all_differentiable:
            fixed = [result for result, can in zip(results, function.differentiable, strict=True) if not can]
            ctx.mark_non_differentiable(*fixed)
        return tuple(results)

    @staticmethod
    def backward(ctx: Any, *cotangents: Tensor | None) -> tuple[Tensor | None, ...]:
        function: Function = ctx.function
        recording = ctx.recording
        count = len(function.inputs)
        tensors = list(ctx.saved_tensors)
        if recording.absent:
            # ascending, so that each goes in at its own place
            for place, (shape, dtype) in zip(recording.absent, ctx.absent, strict=True):
                tensors.insert(place, torch.zeros((), dtype=dtype, device=ctx.device).expand(shape))
        saved = tensors[count:]
        del tensors[count:]
        given = tuple(cotangent is not None and can for cotangent, can in zip(cotangents, function.differentiable, strict=True))
        if not any(given):
            return (None,) * (count + 2)
        taken = [cast(Tensor, cotangent) for cotangent, is_given in zip(cotangents, given, strict=True) if is_given]
        derived = function.derivative(ctx.wanted, given)
        every = [*tensors, *taken]
        if not plain(every):
            gradients = ctx.operators.apply(derived, every)
        elif _grad_enabled():
            gradients = run(ctx.operators, derived, every)
        elif recording.pair is not None and given == function.differentiable:
            gradients = recording.pair[1].call([*every, *saved])
        else:
            gradients = derived.call(every)
        return (None, None, *derived.placed(gradients, count))
