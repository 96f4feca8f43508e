"""Random well-typed layers as text, over the whole language.

In: a seed. Out: a `RandomLayer`; the same on every run. Holds: the text passes the front end for every set of lengths that
`RandomLayer.lengths` gives.
"""

from __future__ import annotations

import indexed_productions as indexed
import nested_productions as nested
import productions
from layer_writer import BOOL, COMPLEX, INT, LEADING, REAL, RandomLayer, Writer

PREAMBLE = """const share = 0.3
def mixed(a, b) = share * a + (1 - share) * b
def half_sine(z) = sin(z) / 2
def unit[A](z) = z * rsqrt(mean[A](z * z) + 0.5)
"""
# How often each production is tried, over all layers; each layer draws its own favourites from these.
PRODUCTIONS: tuple[tuple[productions.Production, float], ...] = (
    (productions.pointwise, 5.0),
    (productions.with_integer, 1.0),
    (productions.with_condition, 1.0),
    (productions.integer, 0.5),
    (productions.condition, 0.7),
    (productions.ramp, 0.5),
    (productions.reduction, 2.5),
    (productions.integer_reduction, 0.4),
    (productions.own_index, 1.5),
    (productions.own_conditions, 0.2),
    (productions.product, 2.0),
    (productions.weighted, 1.0),
    (productions.complex_value, 0.8),
    (productions.complex_reduction, 0.5),
    (productions.scan, 1.0),
    (productions.complex_scan, 0.3),
    (productions.iterate, 0.5),
    (indexed.indexed_read, 3.5),
    (indexed.transform, 1.0),
    (indexed.layer_call, 0.5),
    (nested.window, 1.5),
    (nested.nested_reduction, 1.0),
    (nested.nested_scan, 0.7),
)
_DTYPES = ("f64", "f64", "f64", "f32", "f32", "bf16", "f16")


def random_layer(seed: int) -> RandomLayer:
    """The layer that belongs to a seed."""
    w = Writer(seed)
    dtype = w.random.choice(_DTYPES)
    sizes = {"M": w.random.choice((1, 2, 3, 4)), "N": w.random.choice((1, 3, 5))}
    w.axes.update({name: str(length) for name, length in sizes.items()})
    _declarations(w)
    # a few features a layer, so that they meet each other more often, and layers without some feature exist
    weights = [weight * w.random.choice((0.0, 0.0, 0.3, 1.0, 3.0)) for _, weight in PRODUCTIONS]
    weights[0] += 1.0
    wanted = w.random.choice((2, 3, 4, 5, 6, 8, 10, 14, 20, 28))
    made = 0
    for _ in range(20 * wanted):
        production = w.random.choices([each for each, _ in PRODUCTIONS], weights)[0]
        made += production(w) is not None
        if made == wanted:
            break
    _outs(w)
    helpers = indexed.HELPERS if any(call in s.text for s in w.statements for call in ("dense(", "gated(", "shifted(")) else ""
    header = ", ".join(f"{name} = {length}" for name, length in sizes.items())
    strided = {}
    for value in w.values:
        # over ... only even strides are allowed
        if value.is_input and len(value.entries or ()) > 1 and LEADING not in value.axes and w.chance(0.15):
            strided[value.name] = w.random.choice(("transposed", "sliced", "column"))
    return RandomLayer(
        seed,
        PREAMBLE + helpers,
        header,
        tuple(w.statements),
        dict(w.axes),
        tuple(w.conditions),
        dtype,
        2 if w.chance(0.3) else 1,
        strided,
        tied=w.chance(0.2),
    )


def _declarations(w: Writer) -> None:
    leads = w.chance(0.35)
    for number in range(w.random.randint(1, 3)):
        axes = list(dict.fromkeys(w.base_axis() for _ in range(w.random.randint(1 if number == 0 else 0, 3))))
        kind = COMPLEX if w.chance(0.06) else REAL
        dtype = w.random.choice(("f32", "f64")) if kind == REAL and w.chance(0.05) else ""
        lead = (LEADING,) if leads and w.chance(0.8) else ()
        w.declare("in", lead + (_entries(w, axes) if number else tuple(axes)), kind, dtype)
    for _ in range(w.random.randint(0, 3)):
        axes = list(dict.fromkeys(w.base_axis() for _ in range(w.random.randint(0, 2))))
        dtype = "f32" if w.chance(0.1) else ""
        w.declare(
            w.random.choice(("param", "param", "buffer")),
            _entries(w, axes),
            COMPLEX if w.chance(0.05) else REAL,
            dtype if not w.chance(0.1) else "",
        )
    if w.chance(0.45):
        w.declare("in", [w.base_axis()] if w.chance(0.7) else [], INT, w.random.choice(("i64", "i32")))
    if w.chance(0.4):
        w.declare("in", [w.base_axis()], BOOL)


def _entries(w: Writer, axes: list[str]) -> tuple[str, ...]:
    """The axes as stored dimensions: some split, some doubled, some of a size."""
    entries = []
    for axis in axes:
        if w.chance(0.1):
            entries.append(f"{w.random.choice(('M', 'N'))}*{axis}" if not any("*" in e for e in entries) else axis)
        elif w.chance(0.08):
            entries.append(f"2*{axis}")
        else:
            entries.append(axis)
    return tuple(entries)


def _outs(w: Writer) -> None:
    """The last values, and those that nothing uses."""
    lets = [value for value in w.values if not value.is_input]
    unused = [value for value in lets if value.name not in w.used]
    chosen = unused[-4:] or lets[-1:]
    for value in chosen:
        w.out(value)
    if not lets or not any(value.kind in (REAL, COMPLEX) for value in chosen):
        # no let came about, or none that has a gradient
        floating = [value for value in w.values if value.kind in (REAL, COMPLEX) and not value.is_anonymous]
        w.out(floating[-1] if floating else next(value for value in w.values if not value.is_anonymous))
