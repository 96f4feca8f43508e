"""Random well-typed layers, for the property test of generated kernels.

In: a seed. Out: a `Case`: a layer's text and the shapes of its tensors. Values stay of moderate size, so that errors are
those of a few roundings; choices are made by what no rounding changes.
"""

from __future__ import annotations

import random
from typing import Any

from kernel_harness import Case, booleans, integers

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
_REDUCE = (
    "mean[{1}]({0})",
    "sum[{1}](tanh({0})) / {2}",
    "max[{1}]({0})",
    "min[{1}]({0})",
    "logsumexp[{1}]({0})",
    "rms[{1}](1 + {0})",
)
_KEEP = ("softmax[{1}]({0})", "({0}) - mean[{1}]({0})", "({0}) * rsqrt(mean[{1}](({0})^2) + 0.5)", "standardize[{1}]({0}, 0.5)")
_KINDS = (
    *("unary", "binary", "binary", "reduce", "keep", "product", "polynomial", "several"),
    *("masked", "renamed", "constant", "ramp"),
)


def _declared(declarations: list[str], name: str) -> list[str]:
    """The axes of a declared tensor."""
    text = next(each for each in declarations if each.startswith(f"in {name}["))
    return [axis for axis in text[text.index("[") + 1 : text.index("]")].split(", ") if axis]


def case_of(seed: int) -> Case:
    """The layer and shapes that belong to a seed; the same on every run."""
    rng = random.Random(seed)
    lengths = {axis: rng.choice(_LENGTHS) for axis in _AXES}
    declarations: list[str] = []
    shapes: dict[str, tuple[int, ...]] = {}
    values: list[tuple[str, tuple[str, ...]]] = []

    def subset(most: int, least: int = 0) -> tuple[str, ...]:
        return tuple(rng.sample(_AXES, rng.randint(least, most)))

    def value() -> tuple[str, tuple[str, ...]]:
        """Mostly one of the last, so that layers grow deep."""
        return rng.choice(values[-3:] if rng.random() < 0.6 else values)

    def listed(axes: tuple[str, ...]) -> str:
        return "[" + ", ".join(axes) + "]"

    count = rng.randint(1, 3)
    for number in range(count):
        axes = subset(3, 1)
        shapes[f"x{number}"] = tuple(lengths[axis] for axis in axes)
        declarations.append(f"in x{number}{listed(axes)}")
        values.append((f"x{number}", axes))
    for number in range(rng.randint(0, 3)):
        known = sorted({axis for _, axes in values for axis in axes})
        axes = tuple(rng.sample(known, rng.randint(0, min(2, len(known)))))
        shapes[f"p{number}"] = tuple(lengths[axis] for axis in axes)
        declarations.append(f"param p{number}{listed(axes)} = 1")
        values.append((f"p{number}", axes))
    if rng.random() < 0.5:
        declarations.append("param c[4] = 1")
        shapes["c"] = (4,)
    drawn: dict[str, Any] = {}
    if rng.random() < 0.5:
        axes = value()[1]
        shapes["m"] = tuple(lengths[axis] for axis in axes)
        declarations.append(f"in m{listed(axes)}: bool")
        drawn["m"] = booleans()
    if rng.random() < 0.5:
        axes = value()[1]
        shapes["k"] = tuple(lengths[axis] for axis in axes)
        declarations.append(f"in k{listed(axes)}: i64")
        drawn["k"] = integers(-2, 4)
    masks = {name: tuple(_declared(declarations, name)) for name in drawn}

    used: list[str] = []
    for number in range(rng.randint(2, 8)):
        first, axes = value()
        kind = rng.choice(_KINDS)
        text = f"sin({first})"
        if kind == "unary":
            text = rng.choice(_UNARY).format(first)
        elif kind == "binary":
            second, others = value()
            if len({*axes, *others}) <= 3:
                text = rng.choice(_BINARY).format(first, second)
                axes = tuple(dict.fromkeys((*axes, *others)))
        elif kind in ("reduce", "keep") and axes:
            axis = rng.choice(axes)
            text = rng.choice(_REDUCE if kind == "reduce" else _KEEP).format(first, axis, f"sqrt({axis})")
            axes = axes if kind == "keep" else tuple(each for each in axes if each != axis)
        elif kind == "several" and len(axes) > 1:
            gone = tuple(rng.sample(axes, rng.randint(1, len(axes))))
            text = f"{rng.choice(('mean', 'max', 'min'))}[{', '.join(gone)}]({first})"
            axes = tuple(each for each in axes if each not in gone)
        elif kind == "product":
            second, others = value()
            shared = [axis for axis in axes if axis in others]
            if shared and len({*axes, *others}) <= 4:
                gone = rng.choice(shared)
                text = f"sum[{gone}](({first}) * ({second})) / {lengths[gone]}"
                axes = tuple(each for each in dict.fromkeys((*axes, *others)) if each != gone)
        elif kind == "masked" and masks:
            name, others = rng.choice(sorted(masks.items()))
            if len({*axes, *others}) <= 3:
                forms = (
                    ("select(m, sin({0}), 0)", "select(m, {0}, tanh({0}))")
                    if name == "m"
                    else ("{0} * k / 2", "sin({0} + k)", "select(k > 0, {0}, k)")
                )
                text = rng.choice(forms).format(first)
                axes = tuple(dict.fromkeys((*axes, *others)))
        elif kind == "renamed" and first[0] in "xp" and axes:
            axis = rng.choice(axes)
            if f"R{axis}" not in used and len(axes) < 3:
                used.append(f"R{axis}")
                declarations.append(f"axis R{axis} = {axis}")
                other = f"{first}[{', '.join(f'R{a}' if a == axis else a for a in axes)}]"
                text = f"sum[R{axis}](tanh({first} * {other})) / {lengths[axis]}"
        elif kind == "constant" and first[0] in "xp" and axes:
            axis = rng.choice(axes)
            text = f"sin({first}[{', '.join('0' if a == axis else a for a in axes)}])"
            axes = tuple(a for a in axes if a != axis)
        elif kind == "ramp" and axes:
            text = f"cos(index({rng.choice(axes)}) * {first})"
        elif kind == "polynomial" and "c" in shapes:
            text = f"sum[i < 4](c[i] * tanh({first})^i)"
        declarations.append(f"let t{number} = {text}")
        values.append((f"t{number}", axes))

    outs: list[str] = []
    for number in range(rng.randint(1, 3)):
        name, axes = values[-1 - number]
        order = tuple(rng.sample(axes, len(axes)))
        outs.append(f"out y{number}{listed(order)} = {name}")
    text = "layer random {\n  " + "\n  ".join((*declarations, *outs)) + "\n}"
    strided = {name: "transposed" for name, shape in shapes.items() if len(shape) > 1 and rng.randint(0, 4) == 0}
    dtype = rng.choice(("f64", "f64", "f64", "bf16"))
    return Case(text, shapes, drawn, orders=2, growth=2.0**16, dtypes=(dtype,), strided=strided)
