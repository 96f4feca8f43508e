"""The layer library as data for tests and benchmarks: for each entry an eager PyTorch reference and cases to run it on.

In: nothing. Out: `REFERENCES`, entry name -> `Reference`. Holds: every .lam file of the library has exactly one `Reference`;
`Case.draw` gives arguments in the layer's declared order, inputs first; a case's `sizes` are the compile-time sizes to
compile the layer with, its `lengths` the other axes, known at the call.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.nn import functional

from . import eager_attention, eager_convolution, eager_kan, eager_normalisation, eager_pointwise, eager_rational


@dataclass(frozen=True)
class Case:
    """One problem: the leading axes of x, the compile-time sizes, and the lengths of the other axes."""

    leading: tuple[int, ...] = ()
    lengths: Mapping[str, int] = field(default_factory=dict)
    sizes: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        named = [f"{name}={length}" for name, length in {**self.lengths, **self.sizes}.items()]
        return "x".join(map(str, self.leading)) + ("," if self.leading and named else "") + ",".join(named)


@dataclass(frozen=True)
class Draw:
    """A random tensor: offset + scale times a standard normal."""

    shape: tuple[int, ...]
    scale: float = 1.0
    offset: float = 0.0


Shapes = Callable[[tuple[int, ...], Mapping[str, int]], dict[str, Draw]]


@dataclass(frozen=True)
class Reference:
    """`function(x, *parameters)` is the layer; `shapes` gives each argument's draw from the leading axes and all lengths.

    `defaults`: the sizes that have a default in the specification. `cases` are small, with odd lengths among them; the first
    is smooth enough there for numerical second derivatives. `benchmark` is a size at which speed matters. `fused`: PyTorch's own
    operation where it has one that is faster, if less exact or less differentiable: what a benchmark has to beat. `inputs`: how
    many arguments come before the parameters.
    """

    function: Callable[..., Tensor]
    shapes: Shapes
    cases: tuple[Case, ...]
    benchmark: Case
    defaults: Mapping[str, int] = field(default_factory=dict)
    fused: Callable[..., Tensor] | None = None
    inputs: int = 1

    def draws(self, case: Case) -> dict[str, Draw]:
        """The arguments of a case by name, in declared order."""
        return self.shapes(case.leading, {**self.defaults, **case.lengths, **case.sizes})

    def draw(self, case: Case, dtype: torch.dtype, generator: torch.Generator) -> tuple[Tensor, ...]:
        """Random arguments in declared order. Drawn in float64 and rounded, so every dtype sees the same numbers."""
        return tuple(
            (draw.offset + draw.scale * torch.randn(draw.shape, generator=generator, dtype=torch.float64)).to(dtype)
            for draw in self.draws(case).values()
        )

    def evaluate(self, case: Case, *arguments: Tensor) -> Tensor:
        """The eager reference, given those of the case's sizes that it cannot read from its arguments."""
        return _given_sizes(self.function, case, arguments)

    def fastest(self, case: Case, *arguments: Tensor) -> Tensor:
        """The layer as PyTorch does it best without compiling: by `fused`, where there is one."""
        return _given_sizes(self.fused or self.function, case, arguments)


def _given_sizes(function: Callable[..., Tensor], case: Case, arguments: tuple[Tensor, ...]) -> Tensor:
    try:
        accepted = frozenset(inspect.signature(function).parameters)
    except ValueError:  # some of torch's own functions do not tell their parameters; they have no sizes
        accepted = frozenset()
    return function(*arguments, **{name: size for name, size in case.sizes.items() if name in accepted})


def pointwise(function: Callable[..., Tensor], fused: Callable[..., Tensor] | None = None) -> Reference:
    """A parameterless activation of any shape."""
    return Reference(
        function,
        lambda leading, n: {"x": Draw(leading, 2.0)},
        (Case((2, 3)), Case((37,)), Case((3, 5, 7)), Case(())),
        Case((4096, 1024)),
        fused=fused,
    )


def over_rows(function: Callable[..., Tensor], *parameters: str) -> Reference:
    """A layer over the last axis C, with one value of each parameter a channel."""
    # A normalisation of one or two values is constant: its gradient is a difference of equal terms, of which no digit is left.
    shortest = 3 if parameters else 1
    return Reference(
        function,
        lambda leading, n: {"x": Draw((*leading, n["C"]), 2.0)} | {name: Draw((n["C"],)) for name in parameters},
        (Case((2, 3), {"C": 4}), Case((3,), {"C": 17}), Case((5,), {"C": shortest}), Case((), {"C": 33})),
        Case((4096,), {"C": 1024}),
    )


def powers(function: Callable[..., Tensor], axes: tuple[str, ...], benchmark: Case) -> Reference:
    """A polynomial composition: M weights and a scalar bias."""
    lengths = {"C": 5} if axes else {}
    return Reference(
        function,
        lambda leading, n: {"x": Draw((*leading, *(n[axis] for axis in axes))), "w": Draw((n["M"],)), "b": Draw(())},
        (Case((2, 3), lengths), Case((7, 3), dict.fromkeys(axes, 17)), Case((3,), lengths, {"M": 4}), Case((1,), lengths)),
        benchmark,
        {"M": 3},
    )


def rational(
    function: Callable[..., Tensor], *, shared: bool = False, further: int = 0, scale: float = 0.5, maps: bool = False
) -> Reference:
    """A group-rational activation: `shared` numerator, `further` denominator coefficients, on feature `maps` or rows."""

    def shapes(leading: tuple[int, ...], n: Mapping[str, int]) -> dict[str, Draw]:
        channels = n["G"] * n["C"]
        return {
            "x": Draw((n["B"], channels, n["H"], n["W"]) if maps else (*leading, channels)),
            "a": Draw((n["M"] + 1,) if shared else (n["G"], n["M"] + 1), 0.5),
            "b": Draw((n["G"], n["N"] + further), scale),
        }

    cases: tuple[Case, ...]
    if maps:
        cases = (
            Case((), {"B": 2, "C": 3, "H": 2, "W": 3}, {"G": 2}),
            Case((), {"B": 3, "C": 1, "H": 5, "W": 3}, {"G": 3, "M": 3, "N": 2}),
            Case((), {"B": 1, "C": 5, "H": 1, "W": 1}, {"G": 1}),
        )
        benchmark = Case((), {"B": 32, "C": 8, "H": 56, "W": 56})
    else:
        cases = (
            Case((2, 3), {"C": 3}, {"G": 2}),
            Case((7,), {"C": 5}, {"G": 3, "M": 3, "N": 2}),
            Case((), {"C": 17}, {"G": 2, "M": 2, "N": 1}),
            Case((3,), {"C": 1}, {"G": 1}),
        )
        benchmark = Case((64, 197), {"C": 96})
    return Reference(function, shapes, cases, benchmark, {"G": 8, "M": 5, "N": 4})


def feature_maps(function: Callable[..., Tensor], grouped: bool) -> Reference:
    """A normalisation of feature maps with three parameters a channel."""

    def shapes(leading: tuple[int, ...], n: Mapping[str, int]) -> dict[str, Draw]:
        channels = n["C"] * n.get("G", 1)
        return {
            "x": Draw((n["B"], channels, n["H"], n["W"]), 1.5, 0.3),
            "v": Draw((channels,), 0.3, 1.0),
            "g": Draw((channels,), 0.3, 1.0),
            "b": Draw((channels,)),
        }

    sizes = {"G": 2} if grouped else {}
    return Reference(
        function,
        shapes,
        (
            Case((), {"B": 2, "C": 2, "H": 2, "W": 3}, sizes),
            Case((), {"B": 3, "C": 1, "H": 3, "W": 5}, {"G": 3} if grouped else {}),
            Case((), {"B": 1, "C": 3, "H": 4, "W": 1}, sizes),
        ),
        Case((), {"B": 32, "C": 8 if grouped else 64, "H": 56, "W": 56}),
        {"G": 8} if grouped else {},
    )


def mapping(
    function: Callable[..., Tensor], parameters: Callable[[Mapping[str, int]], dict[str, Draw]], **defaults: int
) -> Reference:
    """A layer from I inputs to O outputs."""
    return Reference(
        function,
        lambda leading, n: {"x": Draw((*leading, n["I"]), 0.7)} | parameters(n),
        (
            Case((4,), {"I": 3}, {"O": 2}),
            Case((2, 3), {"I": 5}, {"O": 7}),
            Case((), {"I": 1}, {"O": 1}),
            *(Case((3,), {"I": 2}, {"O": 3, name: size - 1}) for name, size in defaults.items()),
        ),
        Case((4096,), {"I": 256}, {"O": 256}),
        defaults,
    )


def attending(function: Callable[..., Tensor], fused: Callable[..., Tensor]) -> Reference:
    """Queries, keys and values, each head by itself."""
    return Reference(
        function,
        lambda leading, n: {
            "q": Draw((*leading, n["L"], n["D"])),
            "k": Draw((*leading, n["J"], n["D"])),
            "v": Draw((*leading, n["J"], n["E"])),
        },
        # Who sees one position only has weight 1: its gradient is a difference of equal terms, of which no digit is left.
        (
            Case((2,), {"L": 3, "J": 2, "D": 3, "E": 2}),
            Case((2, 3), {"L": 37, "J": 17, "D": 5, "E": 7}),
            Case((), {"L": 19, "J": 23, "D": 4, "E": 1}),
            Case((3,), {"L": 1, "J": 5, "D": 1, "E": 3}),
        ),
        Case((2, 8), {"L": 1024, "J": 1024, "D": 64, "E": 64}),
        {"CAUSAL": 0},
        fused,
        inputs=3,
    )


def convolution(
    function: Callable[..., Tensor],
    parameters: Callable[[Mapping[str, int]], dict[str, Draw]],
    cases: tuple[Case, ...],
    fused: Callable[..., Tensor] | None = None,
    **defaults: int,
) -> Reference:
    """A convolution of feature maps or sequences; the first case is the benchmark's, made small."""

    def shapes(leading: tuple[int, ...], n: Mapping[str, int]) -> dict[str, Draw]:
        return {"x": Draw(tuple(n[axis] for axis in ("B", "C", "L", "H", "W") if axis in n))} | parameters(n)

    return Reference(function, shapes, cases[1:], cases[0], defaults, fused)


REFERENCES: Mapping[str, Reference] = {
    "group_rational": rational(eager_rational.group_rational),
    "group_rational_a": rational(eager_rational.group_rational_a),
    "group_rational_b": rational(eager_rational.group_rational_b),
    "group_rational_c": rational(eager_rational.group_rational_c, further=1),
    # Small coefficients: this denominator has no guard, and a pole near a random input says nothing about the layer.
    "group_rational_n": rational(eager_rational.group_rational_n, scale=0.01),
    "group_rational_shared_a": rational(eager_rational.group_rational_a, shared=True),
    "group_rational_shared_b": rational(eager_rational.group_rational_b, shared=True),
    "group_rational_2d": rational(eager_rational.group_rational_2d, maps=True),
    "linear": mapping(eager_pointwise.linear, lambda n: {"w": Draw((n["O"], n["I"])), "b": Draw((n["O"],))}),
    "relu": pointwise(eager_pointwise.relu),
    "leaky_relu": pointwise(eager_pointwise.leaky_relu),
    "squared_relu": pointwise(eager_pointwise.squared_relu),
    "elu": pointwise(eager_pointwise.elu),
    "gelu": pointwise(eager_pointwise.gelu, functional.gelu),
    "gelu_tanh": pointwise(eager_pointwise.gelu_tanh, partial(functional.gelu, approximate="tanh")),
    "silu": pointwise(eager_pointwise.silu),
    "mish": pointwise(eager_pointwise.mish, functional.mish),
    "poly_relu": powers(eager_pointwise.poly_relu, (), Case((4096, 1024))),
    "poly_norm": powers(eager_normalisation.poly_norm, ("C",), Case((4096,), {"C": 4096})),
    "softmax": over_rows(eager_normalisation.softmax),
    "log_softmax": over_rows(eager_normalisation.log_softmax),
    "logsumexp": over_rows(eager_normalisation.logsumexp),
    "layer_norm": over_rows(eager_normalisation.layer_norm, "w", "b"),
    "rms_norm": over_rows(eager_normalisation.rms_norm, "w"),
    "attention": attending(eager_attention.attention, eager_attention.fused_attention),
    "evonorm_s0": feature_maps(eager_normalisation.evonorm_s0, grouped=True),
    "evonorm_b0": feature_maps(eager_normalisation.evonorm_b0, grouped=False),
    "cheby_kan": mapping(eager_kan.cheby_kan, lambda n: {"w": Draw((n["O"], n["I"], n["D"] + 1))}, D=4),
    "legendre_kan": mapping(eager_kan.legendre_kan, lambda n: {"w": Draw((n["O"], n["I"], n["D"] + 1))}, D=4),
    "spline_kan": mapping(
        eager_kan.spline_kan, lambda n: {"w": Draw((n["O"], n["I"], n["G"] + n["P"])), "s": Draw((n["O"], n["I"]))}, G=5, P=3
    ),
    "rbf_kan": mapping(
        eager_kan.rbf_kan,
        lambda n: {"w": Draw((n["O"], n["I"], n["K"])), "s": Draw((n["O"], n["I"])), "b": Draw((n["O"],))},
        K=8,
    ),
    "fourier_kan": mapping(
        eager_kan.fourier_kan,
        lambda n: {"w": Draw((n["O"], n["I"], n["G"])), "v": Draw((n["O"], n["I"], n["G"])), "b": Draw((n["O"],))},
        G=5,
    ),
    "conv1d": convolution(
        eager_convolution.conv1d,
        lambda n: {"w": Draw((n["O"], n["C"], n["K"]), 0.5), "b": Draw((n["O"],))},
        (
            Case((), {"B": 16, "C": 256, "L": 1024}, {"O": 256}),
            Case((), {"B": 2, "C": 3, "L": 5}, {"O": 4}),
            Case((), {"B": 1, "C": 5, "L": 11}, {"O": 7, "K": 4, "S": 2}),
            Case((), {"B": 3, "C": 4, "L": 1}, {"O": 5, "K": 5}),
        ),
        K=3,
        S=1,
    ),
    "conv2d": convolution(
        eager_convolution.conv2d,
        lambda n: {"w": Draw((n["O"], n["C"], n["I"], n["J"]), 0.3), "b": Draw((n["O"],))},
        (
            Case((), {"B": 8, "C": 64, "H": 56, "W": 56}, {"O": 64}),
            Case((), {"B": 2, "C": 3, "H": 4, "W": 3}, {"O": 4}),
            Case((), {"B": 1, "C": 4, "H": 7, "W": 5}, {"O": 5, "I": 5, "J": 2, "S": 2}),
            Case((), {"B": 3, "C": 1, "H": 1, "W": 6}, {"O": 4, "I": 1}),
        ),
        I=3,
        J=3,
        S=1,
    ),
    "depthwise_conv2d": convolution(
        eager_convolution.depthwise_conv2d,
        lambda n: {"w": Draw((n["C"], n["I"], n["J"]), 0.3), "b": Draw((n["C"],))},
        (
            Case((), {"B": 8, "C": 64, "H": 56, "W": 56}),
            Case((), {"B": 2, "C": 2, "H": 3, "W": 4}, {"I": 3, "J": 3}),
            Case((), {"B": 1, "C": 3, "H": 9, "W": 17}),
            Case((), {"B": 2, "C": 1, "H": 1, "W": 20}, {"I": 1, "J": 12}),
        ),
        I=7,
        J=7,
    ),
    "long_conv": convolution(
        eager_convolution.long_conv,
        lambda n: {"k": Draw((n["C"], n["K"]), 0.3), "d": Draw((n["C"],))},
        (
            Case((), {"B": 8, "C": 64, "L": 1024}, {"K": 1024}),
            Case((), {"B": 2, "C": 2, "L": 6}, {"K": 9}),
            Case((), {"B": 1, "C": 3, "L": 37}, {"K": 12}),
            Case((), {"B": 3, "C": 1, "L": 1}, {"K": 1}),
        ),
        eager_convolution.long_conv_by_fft,
    ),
}
