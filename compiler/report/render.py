"""Reports as text for people.

In: a `Report`. Out: a rich renderable, or plain text. Holds: no cell is cut: what is printed can be searched, copied and piped.
"""

from __future__ import annotations

from io import StringIO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from .record import ProgramReport, Report

_WIDTH = 120
_TITLES = {
    "forward": "forward",
    "backward": "backward",
    "double_backward": "second backward",
    "training_forward": "forward, in training",
    "training_backward": "backward, in training",
}


def text(report: Report) -> str:
    """The report as plain text, ending in a line end."""
    buffer = StringIO()
    Console(file=buffer, width=_WIDTH, color_system=None, force_terminal=False, highlight=False).print(renderable(report))
    return "\n".join(line.rstrip() for line in buffer.getvalue().splitlines()) + "\n"


def renderable(report: Report) -> Group:
    """The report for a rich console."""
    facts = _table()
    sizes = ", ".join(f"{name} = {'open' if value is None else value}" for name, value in report.sizes)
    _row(facts, "sizes", sizes or "none")
    for tensor in report.tensors:
        _row(facts, tensor.role, str(tensor))
    for requirement in report.requirements:
        _row(facts, "require", requirement)
    if report.fit is not None:
        fit = report.fit
        names = ", ".join(fit.parameters)
        reached = f"{names}: {fit.function} on [{fit.low:g}, {fit.high:g}], largest error found {fit.error:.3g}"
        if fit.divisor is not None:
            reached += f"; no pole, divisors at least {fit.divisor:.3g}"
        _row(facts, "fit", reached)
    for line in _licences(report):
        _row(facts, "accuracy", line)
    if any("backward" in program.direction for program in report.programs):
        saved = ", ".join(map(str, report.saved)) or "nothing beyond the layer's own tensors"
        _row(facts, "saved for backward", saved)
    for reason in report.missing:
        _row(facts, "not compiled", reason)
    parts: list[Text | Table] = [Text(f"layer {report.layer}", style="bold"), facts]
    for program in report.programs:
        parts += [Text(""), Text(_heading(program), style="bold"), _program(program)]
    if not report.programs:
        parts.append(Text("no program made yet: one is at the first call of each signature"))
    return Group(*parts)


def _licences(report: Report) -> list[str]:
    """A line for each licence, with what became of it."""
    if not report.licences:
        return ["no licence to approximate; no approximation is used"]
    lines = []
    for licence in report.licences:
        called = ", ".join(licence.called)
        reason = f"no approximation in the library fits {called}" if called else "the layer calls no such function"
        lines.append(f"licence for {licence}; not used: {reason}")
    return lines + [f"approximation: {each}" for each in report.approximations]


def _heading(program: ProgramReport) -> str:
    name = _TITLES.get(program.direction, program.direction)
    return f"{name} ({program.target}, reals computed in {program.compute})"


def _program(program: ProgramReport) -> Table:
    table = _table()
    _row(table, "reads", ", ".join(map(str, program.inputs)) or "nothing")
    _row(table, "writes", ", ".join(map(str, program.outputs)))
    if program.layouts:
        _row(table, "layouts", ", ".join(program.layouts))
    if program.temporaries:
        _row(table, "temporaries", ", ".join(map(str, program.temporaries)))
    for kernel in program.kernels:
        _row(table, kernel.name, kernel.summary)
    for note in program.notes:
        _row(table, "note", note)
    cost = f"{program.bytes_per_element:g} bytes read and written"
    if program.operations_per_element is not None:
        cost += f", {program.operations_per_element:g} operations"
    _row(table, "estimate", f"{cost} for each element of {program.elements}")
    if program.functions:
        bounds = ", ".join(f"{function.name} {function.ulp:g} ulp" for function in program.functions)
        _row(table, "largest errors", bounds)
    return table


def _table() -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table


def _row(table: Table, name: str, value: str) -> None:
    # as Text: what stands in brackets is a shape, not rich's markup
    table.add_row(Text(f"  {name}"), Text(value))
