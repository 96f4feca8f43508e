"""Random well-typed layers, for the property test of generated kernels.

In: hypothesis' choices. Out: a `Case`: a layer's text and the shapes of its tensors. Values stay of moderate size, so that errors are
those of a few roundings; functions are smooth, so that a rounding does not choose another branch.
"""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from kernel_harness import Case

_LENGTHS = (1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33)
_AXES = ("A", "B", "C", "D")
_UNARY = (
    "sin({0})",
    "tanh({0})",
    "sigmoid({0})",
    "softplus({0})",
    "gelu({0})",
    "cos({0}) * {0}",
    "exp(-({0})^2)",
    "1 / (1 + ({0})^2)",
    "sqrt(1 + ({0})^2)",
    "log(1 + ({0})^2)",
    "tanh({0})^3",
    "({0}) / 2",
    "-({0})",
    "select({0} > 0.1, sin({0}), 0)",
)
_BINARY = ("{0} + {1}", "{0} - {1}", "tanh({0}) * {1}", "({0}) / (1 + ({1})^2)", "sin({0}) * cos({1})", "sigmoid({0}) * ({1})")
_REDUCE = ("mean[{1}]({0})", "sum[{1}](tanh({0})) / {2}", "max[{1}]({0})", "min[{1}]({0})", "logsumexp[{1}]({0})", "rms[{1}](1 + {0})")
_KEEP = ("softmax[{1}]({0})", "({0}) - mean[{1}]({0})", "({0}) * rsqrt(mean[{1}](({0})^2) + 0.5)", "standardize[{1}]({0}, 0.5)")


@st.composite
def cases(draw: Any) -> Case:
    lengths = {axis: draw(st.sampled_from(_LENGTHS)) for axis in _AXES}
    declarations: list[str] = []
    shapes: dict[str, tuple[int, ...]] = {}
    values: list[tuple[str, tuple[str, ...]]] = []

    def subset(most: int, least: int = 0) -> tuple[str, ...]:
        return tuple(draw(st.lists(st.sampled_from(_AXES), unique=True, min_size=least, max_size=most)))

    def listed(axes: tuple[str, ...]) -> str:
        return "[" + ", ".join(axes) + "]"

    count = draw(st.integers(1, 3))
    for number in range(count):
        axes = subset(3, 1)
        shapes[f"x{number}"] = tuple(lengths[axis] for axis in axes)
        declarations.append(f"in x{number}{listed(axes)}")
        values.append((f"x{number}", axes))
    for number in range(draw(st.integers(0, 3))):
        known = sorted({axis for _, axes in values for axis in axes})
        axes = tuple(draw(st.lists(st.sampled_from(known), unique=True, max_size=2)))
        shapes[f"p{number}"] = tuple(lengths[axis] for axis in axes)
        declarations.append(f"param p{number}{listed(axes)} = 1")
        values.append((f"p{number}", axes))
    if draw(st.booleans()):
        declarations.append("param c[4] = 1")
        shapes["c"] = (4,)

    for number in range(draw(st.integers(2, 7))):
        first, axes = draw(st.sampled_from(values))
        kind = draw(st.sampled_from(("unary", "binary", "binary", "reduce", "keep", "product", "polynomial", "several")))
        text = f"sin({first})"
        if kind == "unary":
            text = draw(st.sampled_from(_UNARY)).format(first)
        elif kind == "binary":
            second, others = draw(st.sampled_from(values))
            if len({*axes, *others}) <= 3:
                text = draw(st.sampled_from(_BINARY)).format(first, second)
                axes = tuple(dict.fromkeys((*axes, *others)))
        elif kind in ("reduce", "keep") and axes:
            axis = draw(st.sampled_from(axes))
            text = draw(st.sampled_from(_REDUCE if kind == "reduce" else _KEEP)).format(first, axis, f"sqrt({axis})")
            axes = axes if kind == "keep" else tuple(each for each in axes if each != axis)
        elif kind == "several" and len(axes) > 1:
            gone = tuple(draw(st.lists(st.sampled_from(axes), unique=True, min_size=1)))
            text = f"{draw(st.sampled_from(('mean', 'max', 'min')))}[{', '.join(gone)}]({first})"
            axes = tuple(each for each in axes if each not in gone)
        elif kind == "product":
            second, others = draw(st.sampled_from(values))
            shared = [axis for axis in axes if axis in others]
            if shared and len({*axes, *others}) <= 4:
                gone = draw(st.sampled_from(shared))
                text = f"sum[{gone}](({first}) * ({second})) / {lengths[gone]}"
                axes = tuple(each for each in dict.fromkeys((*axes, *others)) if each != gone)
        elif kind == "polynomial" and "c" in shapes:
            text = f"sum[i < 4](c[i] * tanh({first})^i)"
        declarations.append(f"let t{number} = {text}")
        values.append((f"t{number}", axes))

    outs = []
    for number in range(draw(st.integers(1, 3))):
        name, axes = values[-1] if number == 0 else draw(st.sampled_from(values))
        order = tuple(draw(st.permutations(axes)))
        outs.append(f"out y{number}{listed(order)} = {name}")
    text = "layer random {\n  " + "\n  ".join((*declarations, *outs)) + "\n}"
    strided = {name: "transposed" for name, shape in shapes.items() if len(shape) > 1 and draw(st.integers(0, 4)) == 0}
    return Case(text, shapes, orders=2, growth=2.0**16, dtypes=("f64",), strided=strided)
