"""Productions of several parts in one statement: sums over windows, reductions of reductions, scans within scans.

In: a `Writer`. Out: the value added, or None. Holds: the bounds of `layer_writer` on magnitudes.
"""

from __future__ import annotations

from layer_writer import LEADING, REAL, Value, Writer, union


def window(w: Writer) -> Value | None:
    """A convolution or a pooling: windows with a stride, a dilation and a padding along one axis or two."""
    value = w.pick(indexable=True, most=3)
    if value is None or not value.entries or value.is_anonymous:
        return None
    places = [place for place, entry in enumerate(value.entries) if entry in w.axes and not w.axes[entry].isdigit()]
    if not places:
        return None
    along = sorted(w.random.sample(places, 2 if len(places) > 1 and w.chance(0.3) else 1))
    boundary = w.random.choice(("", "zero", "zero", "wrap", "clamp", "reflect"))
    indices = list(value.entries)
    over: list[str] = []
    widths: list[str] = []
    for place, name in zip(along, "ij", strict=False):
        indices[place], width = _windowed(w, value.entries[place], name, boundary)
        over.append(f"{name} < {width}")
        widths.append(str(width))
    kept = [index for index in indices if index.isalnum() and index in w.axes]
    others = [entry for place, entry in enumerate(value.entries) if place not in along and entry != LEADING]
    rest = [axis for entry in others for axis in entry.split("*")]
    moved = [word for place in along for word in indices[place].replace("*", " ").split() if word in w.axes]
    axes = union([LEADING] if LEADING in value.entries else [], rest, moved)
    read = f"{boundary}({value.name})" if boundary else value.name
    read = f"{read}[{', '.join(indices)}]"
    if w.chance(0.2):
        return w.let(f"{w.random.choice(('max', 'min', 'mean'))}[{', '.join(over)}]({read})", axes, settled=w.chance(0.5))
    channels = [axis for axis in rest if axis in kept and w.chance(0.7)][:2]
    summed = [axis for axis in channels if w.chance(0.6)]
    new = w.random.choice(("M", "N"))
    made = [new] if new not in axes and len(axes) - len(summed) < 4 and w.chance(0.6) else []
    entries = [*made, *channels]
    w.random.shuffle(entries)
    weight = w.declare(w.random.choice(("param", "param", "in")), (*entries, *widths), REAL)
    w.values.remove(weight)  # its anonymous axes are of use here alone
    product = f"{read} * {weight.name}[{', '.join((*entries, *'ij'[: len(widths)]))}]"
    count = " * ".join((*summed, *widths))
    result = [axis for axis in union(axes, made) if axis not in summed]
    return w.let(f"sum[{', '.join((*summed, *over))}]({product}) / (2 + {count})", result, settled=w.chance(0.5))


def _windowed(w: Writer, entry: str, name: str, boundary: str) -> tuple[str, int]:
    """The index of a window, and its width."""
    width, stride, dilation = w.random.choice((1, 2, 3, 5)), w.random.choice((1, 1, 2, 3)), w.random.choice((1, 1, 2))
    reach = dilation * (width - 1)
    step = f"{dilation}*{name}" if dilation > 1 else name
    if not boundary:
        w.require(f"{entry} >= {1 + reach}")
        new = w.derived_axis("P", f"({entry} - {1 + reach}) / {stride} + 1")
        return f"{stride}*{new} + {step}" if stride > 1 else f"{new} + {step}", width
    if boundary != "zero":  # an empty axis has no element to take
        w.require(f"{entry} >= 1")
    if stride == 1 and w.chance(0.6):
        return w.random.choice((f"{entry} - {step}", f"{entry} + {step} - {reach // 2}")), width
    new = w.derived_axis("P", f"({entry} + 1) / {stride}")
    return f"{stride}*{new} + {step} - {w.random.choice((0, 1, reach))}", width


def nested_reduction(w: Writer) -> Value | None:
    """Reductions over different axes within one reduction, or beside what they are of."""
    first = w.pick()
    if first is None or not first.own_axes:
        return None
    axis = w.random.choice(first.own_axes)
    second = w.pick(having=axis)
    if second is None or len(union(first, second)) > 4:
        return None
    parts = [_reduced(w, each, axis) for each in (first, second)]
    kept = union(*(axes for _, axes in parts))
    texts = (
        f"sum[{axis}]({parts[0][0]} * {parts[1][0]}) / (3 + 3 * {axis})",
        f"sum[{axis}](sin({parts[0][0]}) * {second.name}) / (3 + 3 * {axis})",
        f"{first.name} * tanh({parts[1][0]}) / 2",
        f"max[{axis}]({parts[0][0]} - {parts[1][0]}) / 2",
    )
    choice = w.random.randrange(len(texts))
    if choice == 3:
        w.require_elements((axis,))
    used = (kept, union(parts[0][1], second), union(first, parts[1][1]), kept)[choice]
    return w.let(texts[choice], [each for each in used if each != axis or choice == 2])


def _reduced(w: Writer, value: Value, axis: str) -> tuple[str, tuple[str, ...]]:
    """The value reduced over some of its axes but `axis`, and what is left of them."""
    over = [each for each in value.own_axes if each != axis and w.chance(0.7)]
    if not over:
        return value.name, value.axes
    listed, count = ", ".join(over), " * ".join(over)
    texts = ("max[{1}]({0})", "mean[{1}]({0})", "sum[{1}]({0}) / (1 + {2})", "min[{1}](cos({0}))", "prod[{1}](cos({0}))")
    text = w.random.choice(texts)
    if text.startswith("m"):
        w.require_elements(over)
    return text.format(value.name, listed, count), tuple(each for each in value.axes if each not in over)


def nested_scan(w: Writer) -> Value | None:
    """A recurrence whose steps hold a reduction, an iteration or a recurrence along another axis."""
    value = w.pick()
    if value is None or len(value.own_axes) < 2:
        return None
    axis, other = w.random.sample(value.own_axes, 2)
    texts = (
        "0.5*s + sum[{1}](scan[{1}](r = 0 : 0.4*r + {0} * cos(s) / 2)) / (2 + {1})",
        "tanh(s + sum[{1}]({0} * s) / (1 + {1}))",
        "0.5*s + max[{1}]({0} + s) / 4",
        "0.4*s + scan[{1}](r = 0 : 0.3*r + {0} / 3)",
        "s / 2 + iterate[2](z = {0} : cos(z + s)) / 2",
    )
    choice = w.random.randrange(len(texts))
    if choice == 2:
        w.require_elements((other,))
    axes = [each for each in value.axes if each != other or choice > 2]
    return w.let(f"scan[{axis}](s = 0 : {texts[choice].format(value.name, other)})", axes, settled=w.chance(0.5))
