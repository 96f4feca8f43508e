"""Functions of a layer under torch.vmap.

In: a function, tensors of which some have a batch dimension, and how to apply the function. Out: its results, the batch first.
Holds: where `...` stands in every batched tensor and every result, the batch becomes one of its dimensions and the function
runs once; elsewhere (a parameter is batched, or a parameter's gradient is asked for) it runs once for each sample.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..ir.tensors import leading_place
from .functions import Function

Apply = Callable[[Function, Sequence[Tensor]], list[Tensor]]


def batch(apply: Apply, function: Function, tensors: list[Tensor], dimensions: list[int | None], size: int) -> list[Tensor]:
    """The results for each sample, stacked in dimension 0; `dimensions`: where each tensor's batch is, None for none."""
    if _folds(function, dimensions):
        return _folded(apply, function, tensors, dimensions, size)
    if size == 0:
        shaped = _sample(tensors, dimensions, lambda tensor, place: tensor.new_zeros(_without(tensor.shape, place)))
        return [result.new_empty((0, *result.shape)) for result in apply(function, shaped)]
    samples = [
        apply(function, _sample(tensors, dimensions, lambda tensor, place, k=number: tensor.select(place, k)))  # type: ignore[misc]
        for number in range(size)
    ]
    return [torch.stack(results) for results in zip(*samples, strict=True)]


def _folds(function: Function, dimensions: Sequence[int | None]) -> bool:
    batched = all(
        leading_place(spec) is not None for spec, place in zip(function.inputs, dimensions, strict=True) if place is not None
    )
    return batched and all(leading_place(spec) is not None for spec in function.outputs)


def _folded(apply: Apply, function: Function, tensors: list[Tensor], dimensions: list[int | None], size: int) -> list[Tensor]:
    """The batch as the first of the dimensions of `...`; a tensor without it is the same for every sample."""
    fitted = []
    for spec, tensor, place in zip(function.inputs, tensors, dimensions, strict=True):
        start = leading_place(spec)
        if start is None:
            fitted.append(tensor)
        elif place is not None:
            fitted.append(tensor.movedim(place, start))
        else:
            widened = tensor.unsqueeze(start)
            fitted.append(widened.expand(*tensor.shape[:start], size, *tensor.shape[start:]))
    results = apply(function, fitted)
    starts = [leading_place(spec) or 0 for spec in function.outputs]
    return [result.movedim(start, 0) for result, start in zip(results, starts, strict=True)]


def _sample(tensors: Sequence[Tensor], dimensions: Sequence[int | None], take: Callable[[Tensor, int], Tensor]) -> list[Tensor]:
    return [tensor if place is None else take(tensor, place) for tensor, place in zip(tensors, dimensions, strict=True)]


def _without(shape: Sequence[int], place: int) -> list[int]:
    return [length for dimension, length in enumerate(shape) if dimension != place]
