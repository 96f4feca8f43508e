"""What a random layer can state: each production adds one `let` (and what it needs) to a `Writer`, or nothing if it does not fit.

In: a `Writer`. Out: the value added, or None. Holds: the bounds of `layer_writer` on magnitudes; functions are called well inside
their domains.
"""

from __future__ import annotations

from collections.abc import Callable

from layer_writer import BOOL, COMPLEX, INT, REAL, Value, Writer, union

Production = Callable[[Writer], "Value | None"]

UNARY = (
    *("sin({0})", "cos({0})", "tanh({0})", "sigmoid({0})", "erf({0})", "erfc({0})", "atan({0})", "asinh({0})", "silu({0})"),
    *("gelu({0})", "gelu_tanh({0})", "mish({0})", "softplus({0}) / 2", "exp(sin({0}))", "exp2(tanh({0}))", "expm1(sin({0}))"),
    *("sinh({0} / 3)", "cosh({0} / 3)", "tan(sin({0}))", "asin(0.9 * sin({0}))", "acos(0.9 * cos({0}))", "acosh(1.5 + {0}^2)"),
    *("atanh(0.9 * tanh({0}))", "sqrt(0.5 + {0}^2)", "rsqrt(0.5 + {0}^2)", "log(0.5 + {0}^2)", "log2(1.5 + {0}^2) / 2"),
    *("log1p({0}^2)", "lgamma(1.5 + {0}*{0}/4)", "digamma(0.9 + {0}*{0}/4)", "{0}^2 / 4", "{0}^3 / 9", "1 / (1 + {0}^2)"),
    *("{0} / (1 + {0}*{0})", "pow(0.5 + sin({0})^2, 1.5)", "(0.7 + sigmoid({0}))^(-2)", "abs({0})", "-{0}", "relu({0})"),
    *("hardtanh({0})", "leaky_relu({0}, 0.1)", "clamp({0}, -1.5, 0.5)", "floor({0})", "round(2 * {0}) / 2", "sign({0})"),
    *(
        "elu({0})",
        "softsign({0})",
        "chebyshev(3, tanh({0}))",
        "legendre(4, tanh({0}))",
        "hermite(2, {0} / 4)",
        "bspline(3, 2 + {0})",
    ),
    *(
        "bspline(2, 1.5 + {0})",
        "bspline(1, 1 + {0})",
        "({0} + 1) / 2",
        "{0} - {0} / 3",
        "half_sine({0})",
        "select({0} > 0.1, {0}, 0)",
    ),
    *("select({0} > 0.5, log({0}), 0)", "max({0}, 0.2)", "min({0}, -0.1)", "2^({0} / 2)", "logsigmoid({0}) / 2", "square({0}) / 5"),
)
BINARY = (
    *("({0} + {1}) / 2", "({0} - {1}) / 2", "{0} * {1} / 3", "{0} * sin({1})", "{0} / (1 + {1}^2)", "{0} / (1.2 + abs({1}))"),
    *("atan2({0}, 1.5 + {1}^2)", "min({0}, {1})", "max({0}, {1})", "clamp({0}, -1, {1})", "pow(0.6 + sigmoid({0}), {1})"),
    *(
        "select({0} > {1}, {0}, sin({1}))",
        "lerp({0}, {1}, 0.3)",
        "sqrt(0.1 + {0}^2 + {1}^2) / 1.5",
        "mixed({0}, {1})",
        "({0} - {1})^2 / 12",
    ),
    *("select({0} <= {1} and {0} > -1, {0}, {1} / 2)", "select(not ({0} > 0 or {1} > 0), 1, {1})", "tanh({0}) * {1}"),
)
WITH_INTEGER = (
    *("{0} * {1} / 8", "sin({0} + {1})", "select({1} > 0, {0}, -{0})", "(1.5 + sin({0}) / 2)^clamp({1}, -2, 2) / 2"),
    *("{0} + {1} / 8", "cos({0} * {1})", "{0} * max({1}, 1) / 8", "{0} / (1 + {1}*{1})"),
)
WITH_CONDITION = (
    "select({1}, {0}, 0)",
    "select({1}, {0}, tanh({0}))",
    "select(not {1}, sin({0}), 1)",
    "{0} * select({1}, 0.5, -1)",
)
INTEGERS = (
    *("clamp({0} + index({1}), -4, 4)", "clamp({0} * 2 - 1, -8, 8)", "min({0}, 3)", "max({0}, -{0})", "sign({0})", "abs({0})"),
    *("select({0} > 1, {0}, 0)", "clamp({0} - {1}, -5, 5)", "-{0}"),
)
CONDITIONS = ("{0} > 0.3", "{0} <= -0.2", "{0} > 0 and {0} < 1", "{0} != 0", "not ({0} > 1 or {0} < -1)")
COMPLEX_OF_COMPLEX = (
    *("{0} * conj({0}) / 5", "conj({0})", "{0}^2 / 5", "exp({0} / 5)", "-{0}", "{0} / (8 + {0})", "sqrt(9 + {0})", "log(9 + {0})"),
    *("sin({0} / 5)", "cos({0} / 5)", "tanh({0} / 8)", "{0} + 1", "sinh({0} / 5)", "cosh({0} / 5)", "{0}^3 / 25"),
)
COMPLEX_OF_BOTH = (
    "{0} * cis({1})",
    "({0} + {1}) / 2",
    "{0} * {1} / 3",
    "{0} / (1.5 + {1}^2)",
    "select({1} > 0, {0}, {1})",
    "cis({1}) - {0}/2",
)
COMPLEX_OF_TWO = (
    "({0} + {1}) / 2",
    "{0} * {1} / 5",
    "{0} * conj({1}) / 5",
    "{0} / (8 + {1})",
    "{0} - {1} / 2",
    "select(re({0}) > 0, {0}, {1})",
)
REAL_OF_COMPLEX = (
    "re({0}) / 2",
    "im({0}) / 2",
    "abs({0} + 6) / 4",
    "arg({0} + 8)",
    "re({0} * conj({0})) / 10",
    "im({0}^2) / 10",
    "abs({0}) / 2",
)


def pointwise(w: Writer) -> Value | None:
    value = w.pick()
    if value is None:
        return None
    if w.chance(0.45):
        return w.let(w.random.choice(UNARY).format(value.name), value.axes)
    other = w.beside(value)
    if other is None:
        return None
    return w.let(w.random.choice(BINARY).format(value.name, other.name), union(value, other))


def with_integer(w: Writer) -> Value | None:
    value, whole = w.pick(), w.pick(INT)
    if value is None or whole is None or len(union(value, whole)) > 4:
        return None
    return w.let(w.random.choice(WITH_INTEGER).format(value.name, whole.name), union(value, whole))


def with_condition(w: Writer) -> Value | None:
    value, condition = w.pick(), w.pick(BOOL)
    if value is None or condition is None or len(union(value, condition)) > 4:
        return None
    return w.let(w.random.choice(WITH_CONDITION).format(value.name, condition.name), union(value, condition))


def integer(w: Writer) -> Value | None:
    whole = w.pick(INT)
    if whole is None:
        return None
    text = w.random.choice(INTEGERS)
    axes = whole.own_axes or w.known_axes()
    axis = w.random.choice(axes)
    added = (axis,) if "{1}" in text else ()
    return w.let(text.format(whole.name, axis), union(whole, added) if "index" in text else whole.axes, INT)


def condition(w: Writer) -> Value | None:
    value = w.pick(REAL)
    if value is None:
        return None
    other = w.pick(BOOL)
    if other is not None and w.chance(0.4) and len(union(value, other)) <= 4:
        return w.let(f"{other.name} {w.random.choice(('and', 'or'))} {value.name} > 0.2", union(value, other), BOOL)
    return w.let(w.random.choice(CONDITIONS).format(value.name), value.axes, BOOL)


def ramp(w: Writer) -> Value | None:
    """Running indices and lengths as values."""
    value = w.pick()
    if value is None or not value.own_axes:
        return None
    axes = value.own_axes
    axis = w.random.choice(axes)
    texts = (
        "cos(index({1}) * {0})",
        "{0} * index({1}) / (1 + {1})",
        "sin({0} + 2 * pi * index({1}) / len({1}))",
        "{0} / sqrt(1 + {1})",
    )
    return w.let(w.random.choice(texts).format(value.name, axis), value.axes)


def reduction(w: Writer) -> Value | None:
    """Over axes of the expression."""
    value = w.pick()
    if value is None or not value.own_axes:
        return None
    axes = value.own_axes
    if w.chance(0.3):
        return _kept_reduction(w, value, w.random.choice(axes))
    over = w.random.sample(axes, 1 if w.chance(0.7) else w.random.randint(1, len(axes)))
    listed, count = ", ".join(over), " * ".join(over)
    kind = REAL
    texts = [
        *("mean[{1}]({0})", "sum[{1}]({0}) / (1 + {2})", "sum[{1}](sin({0})) / (1 + {2})", "max[{1}]({0})", "min[{1}](tanh({0}))"),
        *("prod[{1}](cos({0}))", "prod[{1}](1 + {0} / (4 * {2}))", "sum[{1}](select({0} > 0, {0}, 0)) / (1 + {2})"),
        *("any[{1}]({0} > 0.5)", "all[{1}]({0} > -1)", "sum[{1}](select({0} > 0, 1, 0)) / (1 + {2})"),
    ]
    if len(over) == 1:
        texts += [
            "logsumexp[{1}]({0}) / (1 + log1p({2}))",
            "rms[{1}](1 + {0}) / 2",
            "var[{1}]({0}) / 3",
            "l1_norm[{1}]({0}) / (1 + {2})",
        ]
    text = w.random.choice(texts)
    if any(word in text for word in ("mean", "max", "min", "logsumexp", "rms", "var", "4 * ")):
        w.require_elements(over)
    if text.startswith(("any", "all")):
        kind = BOOL
    return w.let(text.format(value.name, listed, count), [axis for axis in value.axes if axis not in over], kind)


def _kept_reduction(w: Writer, value: Value, axis: str) -> Value:
    texts = (
        *("softmax[{1}]({0})", "{0} - mean[{1}]({0})", "unit[{1}]({0}) / 2", "standardize[{1}]({0}, 0.5) / 2"),
        *("log_softmax[{1}]({0}) / (2 + log1p({1}))", "({0} - max[{1}]({0})) / 2", "{0} / (1 + l2_norm[{1}](1 + {0}))"),
        "softmin[{1}]({0})",
    )
    text = w.random.choice(texts)
    if "max[" in text or "log" in text:  # seen by whoever sums the difference
        w.require_elements((axis,))
    return w.let(text.format(value.name, axis), value.axes)


def integer_reduction(w: Writer) -> Value | None:
    kind = w.random.choice((INT, BOOL))
    value = w.pick(kind)
    if value is None or not value.own_axes:
        return None
    axes = value.own_axes
    axis = w.random.choice(axes)
    rest = [each for each in value.axes if each != axis]
    if kind == BOOL:
        return w.let(f"{w.random.choice(('any', 'all'))}[{axis}]({value.name})", rest, BOOL)
    text = w.random.choice(("clamp(sum[{1}]({0}), -8, 8)", "max[{1}]({0})", "min[{1}]({0})", "prod[{1}](sign({0}))"))
    w.require_elements((axis,))
    return w.let(text.format(value.name, axis), rest, INT)


def own_index(w: Writer) -> Value | None:
    """Reductions over an index of their own."""
    value = w.pick()
    if value is None:
        return None
    coefficients = next((v for v in w.values if v.entries == ("M+1",)), None)
    if coefficients is None:
        coefficients = w.declare("param", ("M+1",), REAL)
    c, x = coefficients.name, value.name
    w.used.add(c)
    texts = (
        f"sum[i < M+1]({c}[i] * tanh({x})^i) / 2",
        f"sum[i < 3](sin({x} + i) / (1 + i)) / 2",
        f"prod[i < 2](cos({x} + i))",
        f"max[i in 1..4](sin({x} * i))",
        f"min[i < M+1]({c}[i] * {x}) / 2",
        f"mean[i < M+1]({c}[i] + {x} / (1 + i)) / 2",
        f"sum[i < M, j < 2](sin({c}[i + j] * {x})) / (2 * M)",
        f"sum[d < M+1]({c}[d] * chebyshev(d, tanh({x}))) / (1 + M)",
        f"sum[d < M+1]({c}[len(M) - d] * legendre(d, tanh({x}))) / (1 + M)",
        f"sum[d < M+1]({c}[d] * hermite(d, sin({x}) / 2)) / 30",
        f"sum[j < M+1]({c}[j] * bspline(3, {x} - j + 3))",
        f"{c}[0] * {x} / 2 + {c}[len(M)] / 2",
        f"sum[i in 1..M+1]({c}[i] * {x}^i / 3^i) / M",
        f"sum[i < 3](0.5^i * {x}) / 2",
    )
    return w.let(w.random.choice(texts), value.axes)


def own_conditions(w: Writer) -> Value | None:
    value = w.pick()
    if value is None:
        return None
    texts = ("any[i < 3]({0} > i / 2)", "all[i in 0..2]({0} > -i)", "any[i < 0]({0} > i)")
    return w.let(w.random.choice(texts).format(value.name), value.axes, BOOL)


def product(w: Writer) -> Value | None:
    """A sum over shared axes of a product of two or three."""
    first = w.pick()
    if first is None or not first.own_axes:
        return None
    axes = first.own_axes
    axis = w.random.choice(axes)
    second = w.pick(having=axis)
    if second is None or len(union(first, second)) > 4:
        return None
    shared = [a for a in axes if a in second.axes]
    over = w.random.sample(shared, 1 if w.chance(0.75) else len(shared))
    factors = [first, second]
    third = w.beside(Value("", union(first, second)))
    if third is not None and w.chance(0.3):
        factors.append(third)
    kept = [a for a in union(*factors) if a not in over]
    if len(kept) > 4:
        return None
    texts = [
        value.name if w.chance(0.7) else w.random.choice(("sin({0})", "({0} + 0.5)", "tanh({0})")).format(value.name)
        for value in factors
    ]
    return w.let(f"sum[{', '.join(over)}]({' * '.join(texts)}) / (3 + 3 * {' * '.join(over)})", kept)


def weighted(w: Writer) -> Value | None:
    """A matrix product with a parameter of its own, that brings a new axis."""
    value = w.pick(most=3)
    if value is None or not value.own_axes:
        return None
    axes = value.own_axes
    axis = w.random.choice(axes)
    new = w.random.choice(("M", "N")) if w.chance(0.5) else w.base_axis()
    if new in value.axes:
        return None
    entries = (new, axis) if w.chance(0.5) else (axis, new)
    weight = w.declare("param", entries, REAL)
    w.used.add(weight.name)
    return w.let(
        f"sum[{axis}]({value.name} * {weight.name}) / (1 + {axis})",
        [a for a in union(value, weight) if a != axis],
        settled=w.chance(0.5),
    )


def complex_value(w: Writer) -> Value | None:
    value, other = w.pick(COMPLEX), w.pick()
    if value is None:
        if other is None:
            return None
        text = w.random.choice(("cis({0})", "{0} * cis({0} / 2)", "cis({0}) * 2 + {0}", "exp(cis({0}))"))
        return w.let(text.format(other.name), other.axes, COMPLEX)
    if w.chance(0.35):
        return w.let(w.random.choice(REAL_OF_COMPLEX).format(value.name), value.axes)
    if w.chance(0.4):
        return w.let(w.random.choice(COMPLEX_OF_COMPLEX).format(value.name), value.axes, COMPLEX)
    second = w.beside(value, COMPLEX) if w.chance(0.5) else None
    if second is not None:
        return w.let(w.random.choice(COMPLEX_OF_TWO).format(value.name, second.name), union(value, second), COMPLEX)
    if other is None or len(union(value, other)) > 4:
        return None
    return w.let(w.random.choice(COMPLEX_OF_BOTH).format(value.name, other.name), union(value, other), COMPLEX)


def complex_reduction(w: Writer) -> Value | None:
    value = w.pick(COMPLEX)
    if value is None or not value.own_axes:
        return None
    axes = value.own_axes
    axis = w.random.choice(axes)
    kept = [a for a in value.axes if a != axis]
    second = w.pick(w.random.choice((REAL, COMPLEX)), having=axis)
    if second is not None and w.chance(0.5) and len(union(value, second)) <= 4:
        rest = [a for a in union(value, second) if a != axis]
        return w.let(f"sum[{axis}]({value.name} * {second.name}) / (5 + 5 * {axis})", rest, COMPLEX)
    text = w.random.choice(("sum[{1}]({0}) / (1 + {1})", "mean[{1}]({0})", "prod[{1}]({0} / 5)"))
    w.require_elements((axis,))
    return w.let(text.format(value.name, axis), kept, COMPLEX)


def scan(w: Writer) -> Value | None:
    value = w.pick()
    if value is None or not value.own_axes:
        return None
    axes = value.own_axes
    axis = w.random.choice(axes)
    others = [v for v in w.values if v.kind == REAL and axis not in v.axes and len(union(v, value)) <= 4 and not v.is_anonymous]
    start = "0"
    initial: tuple[str, ...] = ()
    if others and w.chance(0.4):
        chosen = w.random.choice(others[-4:])
        start, initial = chosen.name, chosen.axes
        w.used.add(chosen.name)
    second = w.beside(value) or value
    texts = (
        *("0.5*s + {0}/2", "tanh(s + {0})", "s * tanh({1}) * 0.7 + {0}/3", "max(s, {0})", "0.9*s + 0.1*{0}", "sin(s) * cos({0})"),
        *("s + {0} / (1 + {2})", "select({0} > 0, s, {1})", "log(exp(s) + exp({0})) / 2", "s / (1 + s^2) + {0}/2"),
        *(
            "(1 - sigmoid({1}))*s + sigmoid({1})*{0}",
            "s * sigmoid({1}) + {0}/4 * sin(index({2}))",
            "s*cos({0})",
            "min(s + 0.1, {0})",
        ),
    )
    text = w.random.choice(texts)
    used = union(value, second, initial) if "{1}" in text else union(value, initial)
    body = text.format(value.name, second.name, axis)
    return w.let(f"scan[{axis}](s = {start} : {body})", used, settled=w.chance(0.5))


def complex_scan(w: Writer) -> Value | None:
    value = w.pick(COMPLEX)
    if value is None or not value.own_axes:
        return None
    axes = value.own_axes
    axis = w.random.choice(axes)
    other = w.beside(value) or w.pick()
    if other is None or len(union(value, other)) > 4:
        return None
    texts = ("0.6*s + {0}/3", "s * cis({1}) * 0.6 + {0}/3", "0.5 * s * sigmoid({1}) + {0}/2", "s * {0} / 6")
    text = w.random.choice(texts)
    used = union(value, other) if "{1}" in text else value.axes
    return w.let(f"scan[{axis}](s = {w.random.choice(('0', '1'))} : {text.format(value.name, other.name)})", used, COMPLEX)


def iterate(w: Writer) -> Value | None:
    value = w.pick()
    other = w.beside(value) if value is not None else None
    if value is None or other is None:
        return None
    count = w.random.choice((0, 1, 2, 3, 5))
    texts = (
        "z = {0} : 0.5*z + sin({1})",
        "z = 1 + {0}^2 : (z + (1 + {0}^2)/z) / 2",
        "a = {0}, b = {1} : (a + b)/2, sin(a)",
        "a = {0}, b = 0 : b, tanh(a + b)",
        "z = {0} : cos(z * {1})",
    )
    text = w.random.choice(texts)
    used = union(value, other) if "{1}" in text else value.axes
    return w.let(f"iterate[{count}]({text.format(value.name, other.name)})", used)
