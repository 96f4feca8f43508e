"""Known operators written in the language, each with its peer in PyTorch or SciPy.

In: nothing. Out: `all_operators`, name -> `Operator`, gathered from the tables beside this file. Holds: a peer takes the layer's
tensors in declared order, as float64 (complex128, int64, bool) tensors, and gives its outs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy
import torch
from torch import Tensor


@dataclass(frozen=True)
class Operator:
    """`text`: a file with one layer, or several of which the last is meant. `shapes`: of its tensors, in declared order.

    `draws`: tensors that are not drawn from a standard normal distribution: (generator, shape) -> array. `complex`: those that are
    complex. `has_gradient`: whether torch can differentiate the peer.
    """

    text: str
    shapes: Mapping[str, tuple[int, ...]]
    peer: Callable[..., Any]
    draws: Mapping[str, Callable[[numpy.random.Generator, tuple[int, ...]], Any]] = field(default_factory=dict)
    complex: tuple[str, ...] = ()
    has_gradient: bool = True

    def tensors(self, seed: int = 0) -> dict[str, Tensor]:
        generator = numpy.random.default_rng(seed)
        found = {}
        for name, shape in self.shapes.items():
            if name in self.draws:
                array = numpy.asarray(self.draws[name](generator, shape))
            else:
                array = generator.standard_normal(shape)
                if name in self.complex:
                    array = array + 1j * generator.standard_normal(shape)
            found[name] = torch.from_numpy(numpy.asarray(array))
        return found

    def expected(self, tensors: Mapping[str, Tensor]) -> tuple[Tensor, ...]:
        results = self.peer(*tensors.values())
        return results if isinstance(results, tuple) else (results,)


def integers(low: int, high: int) -> Callable[[numpy.random.Generator, tuple[int, ...]], Any]:
    return lambda generator, shape: generator.integers(low, high, shape)


def uniform(low: float, high: float) -> Callable[[numpy.random.Generator, tuple[int, ...]], Any]:
    return lambda generator, shape: generator.uniform(low, high, shape)


def booleans() -> Callable[[numpy.random.Generator, tuple[int, ...]], Any]:
    return lambda generator, shape: generator.integers(0, 2, shape).astype(bool)


def distributions() -> Callable[[numpy.random.Generator, tuple[int, ...]], Any]:
    """Positive, with sum 1 along the last dimension."""

    def draw(generator: numpy.random.Generator, shape: tuple[int, ...]) -> Any:
        values = generator.uniform(0.1, 1.0, shape)
        return values / values.sum(-1, keepdims=True)

    return draw


def all_operators() -> dict[str, Operator]:
    """Every table, by name; a name is in one table only."""
    import operators_convolution
    import operators_images
    import operators_products
    import operators_sequences
    import operators_statistics
    import operators_transforms

    found: dict[str, Operator] = {}
    for table in (
        operators_convolution.TABLE,
        operators_images.TABLE,
        operators_products.TABLE,
        operators_sequences.TABLE,
        operators_statistics.TABLE,
        operators_transforms.TABLE,
    ):
        assert not set(found) & set(table)
        found.update(table)
    return found
