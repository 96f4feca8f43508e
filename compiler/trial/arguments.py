"""The arguments of a comparison: the layer's tensors, and what its derivatives are multiplied with.

In: a layer, a problem, a dtype. Out: `Arguments`. Holds: the same on every run; `exact` has the very numbers that the layer gets.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from .draw import Problem, draw, storage

if TYPE_CHECKING:
    from ..binding.layer import Layer

Results = dict[str, Tensor]


@dataclass(frozen=True)
class Arguments:
    """The layer's tensors, a cotangent for each floating out, and one for each gradient."""

    names: tuple[str, ...]
    tensors: tuple[Tensor, ...]
    cotangents: tuple[Tensor | None, ...]
    seconds: tuple[Tensor | None, ...]

    @staticmethod
    def drawn(layer: Layer, problem: Problem, dtype: str, seed: int) -> Arguments:
        tensors = draw(layer, problem, dtype, seed)
        generator = torch.Generator().manual_seed(1000 + seed)
        bound = layer._interface.bind([tuple(tensor.shape) for tensor in tensors])

        def normal(size: Sequence[int], kind: torch.dtype) -> Tensor | None:
            if not (kind.is_floating_point or kind.is_complex):
                return None
            drawn = torch.complex128 if kind.is_complex else torch.float64
            return torch.randn(tuple(size), dtype=drawn, generator=generator).to(kind)

        outs = layer._interface.outputs
        cotangents = tuple(normal(layer._interface.shape(spec, bound), storage(spec.dtype, dtype)) for spec in outs)
        seconds = tuple(normal(tensor.shape, tensor.dtype) for tensor in tensors)
        return Arguments(layer._interface.names, tuple(tensors), cotangents, seconds)

    def differentiable(self) -> bool:
        return any(each is not None for each in self.cotangents) and any(each is not None for each in self.seconds)

    def paired(self) -> list[tuple[Tensor, Tensor | None]]:
        """Each tensor with the cotangent of its gradient, None where it has none."""
        return list(zip(self.tensors, self.seconds, strict=True))

    def exact(self) -> Arguments:
        """The same numbers in float64."""
        return Arguments(self.names, tuple(map(wide, self.tensors)), _all_wide(self.cotangents), _all_wide(self.seconds))

    def moved(self, step: float, seed: int, everything: bool = True) -> Arguments:
        """Every floating number t moved by step * max(|t|, 1) times a random sign; the tensors alone, unless `everything`."""
        generator = torch.Generator().manual_seed(seed)

        def move(tensor: Tensor | None) -> Tensor | None:
            if tensor is None or not (tensor.is_floating_point() or tensor.is_complex()):
                return tensor
            signs = torch.randint(0, 2, tensor.shape, generator=generator).to(torch.float64) * 2 - 1
            return tensor + step * tensor.abs().clamp(min=1.0) * signs

        tensors = tuple(moved for moved in map(move, self.tensors) if moved is not None)
        if not everything:
            return Arguments(self.names, tensors, self.cotangents, self.seconds)
        return Arguments(self.names, tensors, tuple(map(move, self.cotangents)), tuple(map(move, self.seconds)))


def wide(tensor: Tensor) -> Tensor:
    """The tensor in float64 or complex128; integers as they are."""
    if tensor.is_complex():
        return tensor.to(torch.complex128)
    return tensor.double() if tensor.is_floating_point() else tensor


def _all_wide(tensors: Sequence[Tensor | None]) -> tuple[Tensor | None, ...]:
    return tuple(None if tensor is None else wide(tensor) for tensor in tensors)
