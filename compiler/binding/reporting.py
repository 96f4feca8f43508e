"""The report of a layer.

In: a layer. Out: text: what it takes and gives, the fits of its parameters, the programs made so far. Holds: nothing is
compiled for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..ir.lengths import entry_text
from ..ir.tensors import TensorSpec
from ..schedule.program import Signature

if TYPE_CHECKING:
    from .layer import Layer


def report(layer: Layer) -> str:
    """The report, a heading and its lines for each subject."""
    interface = layer._interface
    lengths = interface.graph.axis_lengths

    def declared(spec: TensorSpec) -> str:
        return f"  {spec.role:6} {spec.name}[{', '.join(entry_text(entry, lengths) for entry in spec.entries)}]: {spec.dtype}"

    lines = [f"layer {layer.name}", f"operators lamina::{layer._operators.name}_fwd, lamina::{layer._operators.name}_bwd"]
    lines += [declared(spec) for spec in (*interface.inputs, *interface.outputs)]
    lines += [f"  require {condition.text}" for condition in interface.conditions]
    fitted = [each for each in layer._initial if each.fit is not None]
    if fitted and fitted[0].fit is not None:
        solution = fitted[0].fit.solution
        names = ", ".join(each.name for each in fitted)
        lines.append(
            f"fit of {names}: {solution['function']} on [{solution['low']:g}, {solution['high']:g}], "
            f"largest error found {solution['error']:.3g}"
        )
    for made in layer._functions.source.made:
        lines.append(f"{made.program.direction} ({made.program.target}; {_text(made.signature)})")
        for title, text in made.program.report:
            lines += [f"  {title}: {text}" if "\n" not in text else f"  {title}:\n    " + text.replace("\n", "\n    ")]
    if not layer._functions.source.made:
        lines.append("no program made yet: one is at the first call of each signature")
    return "\n".join(lines) + "\n"


def _text(signature: Signature) -> str:
    tensors = [
        f"{entry.name} {entry.dtype}{'' if entry.layout == 'contiguous' else ' ' + entry.layout}" for entry in signature.inputs
    ]
    return ", ".join(tensors)
